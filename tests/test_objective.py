"""The backends' interface for external optimizers, and for scikit-learn's costs."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import assert_close, make_data

import fastgd as gd
from fastgd import backends
from fastgd._plan import Plan
from fastgd._trace import Trace
from fastgd.sklearn._descent import EfficientAdam, Momentum


def make_plan(sizes, loss="squared_error", **settings):
    X, y = make_data(sizes, loss)
    y = y.astype(np.int32) if loss == "cross_entropy" else y
    weight = np.random.default_rng(2).uniform(0.1, 2, len(X))
    settings = {
        "optimizer": gd.SGD(0.1), "batch_size": 8, "reduction": "mean", "drop_last": False,
        **settings,
    }  # fmt: skip
    return Plan(
        sizes=tuple(sizes), hidden=("tanh",) * (len(sizes) - 2), loss=loss,
        X=X, y=y, sample_weight=weight, n_threads=0, **settings,
    )  # fmt: skip


def start_params(plan):
    return gd.Network(plan.sizes, loss=plan.loss, dtype="float64", rng=0).params


@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 1), (3, 4, 2)])
def test_objective_returns_loss_and_gradient(sizes, backend):
    plan = make_plan(sizes, reduction="sum")
    net = gd.Network(sizes, hidden="tanh", dtype="float64", rng=0)
    samples = np.array([3, 1, 40, 1], np.int64)
    total, gradient = backends.load(backend).objective(plan)(net.params, samples)
    data = plan.X[samples], plan.y[samples]
    weighted = {"sample_weight": plan.sample_weight[samples], "reduction": "sum"}
    assert_close(total, net.loss_value(*data, **weighted), "float64", 8)
    assert_close(gradient, gd.gradient(net, *data, **weighted), "float64", 8)


def test_objective_can_be_called_again(backend):
    plan = make_plan((3, 4, 1))
    evaluate = backends.load(backend).objective(plan)
    params = start_params(plan)
    first = evaluate(params, np.arange(30))
    evaluate(2 * params, np.arange(7))
    again = evaluate(params, np.arange(30))
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 2)])
def test_a_mean_may_divide_by_weights(sizes, backend):
    weight = np.random.default_rng(1).uniform(1, 2, 50)
    plan = make_plan(sizes, mean_weight=weight)
    order = np.random.default_rng(3).permutation(50)
    rates = np.full(len(plan.bounds(len(order))) - 1, 0.1)
    params = start_params(plan)
    state = plan.optimizer.initial_state(params)
    expected = params.copy()
    backends.load(backend).start(plan, params, state, np.random.default_rng(0))(order, rates)
    evaluate = backends.load(backend).objective(make_plan(sizes, reduction="sum"))
    for start in range(0, 50, 8):
        batch = order[start : start + 8]
        expected -= 0.1 / weight[batch].sum() * evaluate(expected, batch)[1]
    assert_close(params, expected, "float64", 100)


def test_a_batch_without_weight_is_divided_by_one():
    plan = make_plan((3, 1), mean_weight=np.repeat([1.0, 0.0], [8, 42]), drop_last=True)
    np.testing.assert_array_equal(plan.scales(np.arange(50), None), [1 / 8, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("of_sum", [False, True])
def test_trace_keeps_the_penalty(scaled, of_sum, backend):
    plan = make_plan(
        (3, 4, 2), l2=0.3, penalty_of_sum=of_sum, batch_size=50,
        mean_weight=np.full(50, 0.4) if scaled else None,
    )  # fmt: skip
    params = start_params(plan)
    weights = gd.Network(plan.sizes, dtype="float64", rng=0).weights
    penalty = 0.15 * sum(float((W**2).sum()) for W in weights)
    trace = Trace(1, loss=np.empty(1), penalty=np.empty(1))
    run = backends.load(backend).start(
        plan, params, plan.optimizer.initial_state(params), np.random.default_rng(0)
    )
    total = run(np.arange(50), np.array([0.1]), trace)
    expected = penalty if of_sum else penalty * (20 if scaled else 50)
    assert_close(trace.penalty * 50, [expected], "float64", 20)
    assert_close(trace.loss * 50, [total], "float64", 20)


@pytest.mark.parametrize(
    "optimizer",
    [
        Momentum(0.1, momentum=0.9),
        Momentum(0.1, momentum=1.0, nesterov=True),
        EfficientAdam(0.01, eps=1e-3),
    ],
    ids=["velocity", "nesterov", "efficient adam"],
)
def test_scikit_learns_optimizers_agree(optimizer, backend, dtype):
    """With a learning rate that changes: a velocity holds the rates of its steps."""
    plan = make_plan((3, 4, 2), optimizer=optimizer)
    plan = replace(
        plan, X=plan.X.astype(dtype), y=plan.y.astype(dtype),
        sample_weight=plan.sample_weight.astype(dtype),
    )  # fmt: skip
    rates = np.linspace(0.1, 0.01, 7)

    def reached(name):
        params = start_params(plan).astype(dtype)
        state = optimizer.initial_state(params)
        epoch = backends.load(name).start(plan, params, state, np.random.default_rng(0))
        for _ in range(2):
            epoch(np.arange(50), rates)
        return params

    assert_close(reached(backend), reached("loop"), dtype, 300)


def test_the_velocity_includes_earlier_learning_rates():
    params, gradient = np.zeros(1), np.ones(1)
    optimizer = Momentum(1.0, momentum=0.5)
    state = optimizer.initial_state(params)
    optimizer.update(params, gradient, state, 1.0)
    optimizer.update(params, gradient, state, 0.25)
    assert params[0] == -1.0 + (-0.5 - 0.25)
