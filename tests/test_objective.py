"""What the backends offer to optimizers outside, and to scikit-learn's costs."""

import numpy as np
import pytest
from conftest import assert_close, make_data

import fastgd as gd
from fastgd import backends
from fastgd._plan import Plan
from fastgd._trace import Trace


def make_plan(sizes, loss="squared_error", **settings):
    X, y = make_data(sizes, loss)
    y = y.astype(np.int32) if loss == "cross_entropy" else y
    weight = np.random.default_rng(2).uniform(0.1, 2, len(X))
    settings = {"batch_size": 8, "reduction": "mean", **settings}
    return Plan(
        sizes=tuple(sizes), hidden=("tanh",) * (len(sizes) - 2), loss=loss,
        optimizer=gd.SGD(0.1), X=X, y=y, sample_weight=weight, drop_last=False, n_threads=0,
        **settings,
    )  # fmt: skip


def start_params(plan):
    return gd.Network(plan.sizes, loss=plan.loss, dtype="float64", rng=0).params


@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 1), (3, 4, 2)])
def test_objective_is_loss_and_gradient_of_the_samples(sizes, backend):
    plan = make_plan(sizes, reduction="sum")
    net = gd.Network(sizes, hidden="tanh", dtype="float64", rng=0)
    samples = np.array([3, 1, 40, 1], np.int64)
    total, gradient = backends.load(backend).objective(plan)(net.params, samples)
    data = plan.X[samples], plan.y[samples]
    weighted = {"sample_weight": plan.sample_weight[samples], "reduction": "sum"}
    assert_close(total, net.loss_value(*data, **weighted), "float64", 8)
    assert_close(gradient, gd.gradient(net, *data, **weighted), "float64", 8)


def test_objective_may_be_asked_again(backend):
    plan = make_plan((3, 4, 1))
    evaluate = backends.load(backend).objective(plan)
    params = start_params(plan)
    first = evaluate(params, np.arange(30))
    evaluate(2 * params, np.arange(7))
    again = evaluate(params, np.arange(30))
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 2)])
def test_scales_are_the_factors_of_the_samples_gradients(sizes, backend):
    plan = make_plan(sizes)
    order = np.arange(len(plan.X))
    steps = len(plan.bounds(len(order))) - 1
    scales, rates = np.linspace(0.01, 0.1, steps), np.full(steps, 0.1)
    params = start_params(plan)
    state = plan.optimizer.initial_state(params)
    rng = np.random.default_rng(0)
    expected = params.copy()
    backends.load(backend).start(plan, params, state, rng)(order, rates, scales=scales)
    evaluate = backends.load(backend).objective(make_plan(sizes, reduction="sum"))
    for step, scale in enumerate(scales):
        expected -= 0.1 * scale * evaluate(expected, order[8 * step : 8 * step + 8])[1]
    assert_close(params, expected, "float64", 100)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("of_sum", [False, True])
def test_trace_keeps_the_penalty(scaled, of_sum, backend):
    plan = make_plan((3, 4, 2), l2=0.3, penalty_of_sum=of_sum, batch_size=50)
    params = start_params(plan)
    weights = gd.Network(plan.sizes, dtype="float64", rng=0).weights
    penalty = 0.15 * sum(float((W**2).sum()) for W in weights)
    scales = np.array([1 / 20]) if scaled else None
    trace = Trace(1, loss=np.empty(1), penalty=np.empty(1))
    run = backends.load(backend).start(
        plan, params, plan.optimizer.initial_state(params), np.random.default_rng(0)
    )
    total = run(np.arange(50), np.array([0.1]), trace, scales=scales)
    expected = penalty if of_sum else penalty * (20 if scaled else 50)
    assert_close(trace.penalty * 50, [expected], "float64", 20)
    assert_close(trace.loss * 50, [total], "float64", 20)
