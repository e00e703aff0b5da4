"""An epoch that a backend makes in several calls has the bits of one call."""

import itertools

import numpy as np
import pytest
from conftest import make_data

import fastgd as gd
from fastgd._plan import Halfway, Part
from fastgd._trace import Trace
from fastgd.training import prepare

SIZES = {
    "linear": ([5, 1], "log_loss", ()),
    "wide": ([300, 1], "squared_error", ()),
    "softmax": ([150, 3], "cross_entropy", ()),
    "network": ([5, 16, 2], "squared_error", ("relu",)),
}
OPTIONS = {
    "plain": {},
    "adam": {"optimizer": gd.Adam(0.01), "l2": 0.01, "drop_last": True},
    "dropout": {"dropout": 0.3},
    "averaged": {"optimizer": gd.ASGD(0.01), "l1": 0.001},
    "poisson": {"sampling": "poisson", "clip_per_sample": 1.0, "noise_multiplier": 0.5},
}


def make_run(kind, options, batch_size, backend, dtype):
    sizes, loss, hidden = SIZES[kind]
    X, y = make_data(sizes, loss, n=61, dtype=dtype)
    net = gd.Network(sizes, hidden=hidden[0] if hidden else "relu", loss=loss, dtype=dtype, rng=0)
    return prepare(net, X, y, batch_size=batch_size, backend=backend, rng=0, **options)


def room(steps, run):
    n = len(run.job.params)
    return Trace(
        1, loss=np.zeros(steps), penalty=np.zeros(steps), gradient_norm=np.zeros(steps),
        sample_squares=np.zeros(steps), params=np.zeros((steps, n), run.job.params.dtype),
    )  # fmt: skip


def run_epoch(run, cuts, traced, elsewhere):
    """Run one epoch in parts that end after the steps in `cuts`; return all that it leaves.

    With elsewhere, each part has its samples in an array of its own, as a part of a file has.
    """
    job = run.job
    from fastgd.sampling import draw_batches

    order, bounds = draw_batches(job.sampler, job.n_samples, job.rng)
    ends = job.plan.bounds(len(order)) if bounds is None else bounds
    steps = len(ends) - 1
    rates = np.linspace(0.05, 0.01, steps)
    epoch = job.backend.start(job.plan, job.params, job.state, job.rng)
    trace = room(steps, run) if traced else None
    at, total = Halfway(), 0.0
    edges = [0, *[cut for cut in cuts if cut < steps], steps]
    for first, last in itertools.pairwise(edges):
        rest = order[ends[first] :]
        data = None
        if elsewhere:
            more = rest[: ends[last] - ends[first] + 1]
            data = tuple(None if x is None else np.ascontiguousarray(x[more])
                         for x in (job.plan.X, job.plan.y, job.plan.sample_weight))  # fmt: skip
            rest = np.arange(len(more), dtype=np.uint32)
        total = epoch(
            rest, rates[first:last].copy(),
            None if trace is None else trace.after(first),
            None if bounds is None else bounds[first:] - bounds[first],
            Part(last - first, last == steps, at, data),
        )  # fmt: skip
    assert at.steps == steps
    moments = [moment.tobytes() for moment in job.state.moments]
    left = [total, job.params.tobytes(), *moments, job.state.step, job.state.scalars.tobytes()]
    return left + ([] if trace is None else [x.tobytes() for x in trace.places().values()
                                             if isinstance(x, np.ndarray)])  # fmt: skip


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("traced", "elsewhere"), [(False, True), (True, False)])
def test_parts_have_the_bits_of_one_call(
    kind, options, batch_size, traced, elsewhere, backend, n_threads
):
    dtype = "float64" if traced else "float32"
    given = dict(OPTIONS[options])
    if "dropout" in given and kind != "network":
        given = {"l1": 0.01}
    if "sampling" in given and elsewhere:  # an empty batch has no samples to move
        elsewhere = False
    made = make_run(kind, given, batch_size, backend, dtype)
    once = run_epoch(made, [], traced, False)
    for cuts in ([1], [3, 4, 11]):
        made = make_run(kind, given, batch_size, backend, dtype)
        assert run_epoch(made, cuts, traced, elsewhere) == once


def test_a_part_writes_the_state_in_the_middle(backend):
    """From which a new call goes on with the same bits."""
    whole = make_run("network", {"optimizer": gd.Adam(0.01)}, 4, backend, "float32")
    once = run_epoch(whole, [], False, False)
    run = make_run("network", {"optimizer": gd.Adam(0.01)}, 4, backend, "float32")
    job = run.job
    order = job.sampler.epoch(job.n_samples, job.rng)
    rates = np.linspace(0.05, 0.01, 16)
    params, state = job.params.copy(), job.state.copy()
    before, at = job.params.tobytes(), Halfway()
    epoch = job.backend.start(job.plan, job.params, job.state, job.rng)
    epoch(order, rates[:7], part=Part(7, False, at, into=(params, state)))
    assert job.params.tobytes() == before != params.tobytes()
    assert (at.steps, at.samples, state.step, job.state.step) == (7, 28, 7, 0)
    epoch = job.backend.start(job.plan, params, state, job.rng)
    total = epoch(order[28:], rates[7:], part=Part(9, True, at))
    assert [total, params.tobytes()] == once[:2]
    assert state.step == 16


def test_an_engine_refuses_more_steps_than_the_order_has():
    run = make_run("network", {}, 4, "compiled", "float32")
    epoch = run.job.backend.start(run.job.plan, run.job.params, run.job.state, run.job.rng)
    with pytest.raises(ValueError, match="the order has 2 steps, not 3"):
        epoch(np.arange(8, dtype=np.uint32), np.full(3, 0.1), part=Part(3, True))


def test_an_engine_refuses_other_samples_of_another_size():
    run = make_run("network", {}, 4, "compiled", "float32")
    plan = run.job.plan
    epoch = run.job.backend.start(plan, run.job.params, run.job.state, run.job.rng)
    order, rates = np.arange(8, dtype=np.uint32), np.full(2, 0.1)
    for data in ((plan.X[:8], plan.y[:7], None), (plan.X[:8, :4].copy(), plan.y[:8], None)):
        with pytest.raises(ValueError, match="bytes where"):
            epoch(order, rates, part=Part(2, True, Halfway(), data))
    with pytest.raises(ValueError, match="weights, or none"):
        epoch(order, rates, part=Part(2, True, Halfway(), (plan.X, plan.y, plan.X[:, 0].copy())))
