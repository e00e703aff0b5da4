"""recommend_batch_size(): the basis of the advice."""

import numpy as np
import pytest

import fastgd as gd
from fastgd import advice


def problem(spread, n=2000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 10))
    return gd.Network([10, 1], rng=0), X, X[:, 0] + spread * rng.standard_normal(n)


def costs(monkeypatch, step, sample):
    """Set the time of a step of B samples, in seconds."""
    monkeypatch.setattr(
        advice, "_step_seconds", lambda net, X, y, weight, size, *rest: step + sample * size
    )


@pytest.fixture
def step_costs(monkeypatch):
    """Set the time of a step of B samples to 1 us and B times 0.1 us."""
    costs(monkeypatch, 1e-6, 1e-7)


def test_relative_times_follow_the_formula(step_costs):
    result = gd.recommend_batch_size(*problem(1.0), rng=0)
    times = []
    for row in result.candidates:
        assert row.relative_updates == pytest.approx(1 + result.noise_scale / row.batch_size)
        times.append(row.relative_updates * row.step_seconds)
    relative = np.array(times) / min(times)
    assert [row.relative_time for row in result.candidates] == pytest.approx(relative)


def test_candidates_are_the_powers_of_two_and_all_samples_with_their_bytes(step_costs):
    candidates = gd.recommend_batch_size(*problem(1.0), rng=0).candidates
    assert [row.batch_size for row in candidates] == [*(2**k for k in range(11)), 2000]
    assert [row.batch_bytes for row in candidates] == [40 * row.batch_size for row in candidates]


def test_the_smallest_batch_size_near_the_shortest_time_is_advised(step_costs):
    result = gd.recommend_batch_size(*problem(1.0), rng=0)
    near = [row.batch_size for row in result.candidates if row.relative_time <= 1.1]
    assert result.batch_size == min(near)


def compared(result):
    """Return the reasons about other batch sizes."""
    return [reason for reason in result.reasons if "would take" in reason]


def test_the_reasons_compare_with_both_neighbours(monkeypatch):
    costs(monkeypatch, 1e-6, 1e-7)
    result = gd.recommend_batch_size(*problem(1.0), rng=0)
    rows = result.candidates
    chosen = [row.batch_size for row in rows].index(result.batch_size)
    below = rows[chosen - 1].relative_time / rows[chosen].relative_time
    whole = rows[-1].relative_time / rows[chosen].relative_time
    assert compared(result) == [
        f"Batches of {rows[chosen - 1].batch_size} would take {below:.2f} times as long.",
        f"Batches of 2,000 (all) would take {whole:.2f} times as long.",
    ]
    assert (
        "A sample takes 1.1 us in a batch of 1, and 100 ns in one of 2,000: 11 times as fast."
    ) in result.reasons


@pytest.mark.parametrize(
    ("step", "sample", "batch_size", "other"), [(0, 1, 1, "2,000 (all)"), (1, 0, 2000, "1,024")]
)
def test_the_extreme_sizes_are_compared_with_their_only_neighbour(
    step, sample, batch_size, other, monkeypatch
):
    """A noise scale of 1000 samples, and a step whose time is its samples', or is always 1."""
    costs(monkeypatch, step, sample)
    monkeypatch.setattr(advice.np, "median", lambda values: 1000.0)
    result = gd.recommend_batch_size(*problem(1.0), rng=0)
    assert result.batch_size == batch_size
    (reason,) = compared(result)
    assert reason.startswith(f"Batches of {other} would take ")


def test_an_interactive_session_shows_what_print_shows(step_costs):
    result = gd.recommend_batch_size(*problem(1.0), rng=0)
    assert repr(result) == str(result)
    assert repr(result).startswith(f"Batch size {result.batch_size:,}\n")


def test_noisier_data_need_larger_batches(step_costs):
    sizes = [
        gd.recommend_batch_size(*problem(spread), optimizer=gd.SGD(1e-4), rng=0).batch_size
        for spread in (0.1, 30.0)
    ]
    assert sizes[0] < sizes[1]


def test_recommendation_from_real_measurements():
    net, X, y = problem(1.0)
    before = net.params.copy()
    result = gd.recommend_batch_size(net, X, y, rng=0)
    assert all(row.step_seconds > 0 for row in result.candidates)
    np.testing.assert_array_equal(net.params, before)
    text = str(result)
    assert text.startswith(f"Batch size {result.batch_size:,}\n")
    assert text.endswith("those with gradients without noise, times of the shortest.")
    assert all(reason in text for reason in result.reasons)


def test_a_diverging_learning_rate_is_reported():
    net, X, y = problem(1.0)
    result = gd.recommend_batch_size(net, X, y, optimizer=gd.SGD(1e6), rng=0)
    assert "diverged" in result.reasons[0]
    assert result.noise_scale == result.noise_scale_at_start
    assert np.isfinite([row.relative_time for row in result.candidates]).any()


def test_two_samples_are_enough_and_one_is_not():
    net, X, y = problem(1.0)
    assert gd.recommend_batch_size(net, X[:2], y[:2], rng=0).batch_size in (1, 2)
    with pytest.raises(ValueError, match="at least 2 samples"):
        gd.recommend_batch_size(net, X[:1], y[:1])


def test_sample_weights_and_classes_are_used():
    rng = np.random.default_rng(0)
    net = gd.Network([4, 8, 3], loss="cross_entropy", rng=0)
    data = rng.standard_normal((300, 4)), rng.integers(3, size=300)
    weight = rng.uniform(size=300)
    result = gd.recommend_batch_size(
        net, *data, sample_weight=weight, optimizer=gd.Adam(0.01), n_threads=1, rng=0
    )
    expected = gd.noise_scale(net, *data, sample_weight=weight).simple
    assert result.noise_scale_at_start == expected != gd.noise_scale(net, *data).simple
    assert result.noise_scale != expected


def test_batch_sizes_that_diverge_are_not_timed():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 20)).astype(np.float32)
    y = X[:, 0] + rng.standard_normal(400)
    net = gd.Network([20, 1], rng=0)
    advice = gd.recommend_batch_size(net, X, y, optimizer=gd.SGD(0.2), rng=0)
    assert np.isnan(advice.candidates[0].step_seconds)
    assert "nan" not in " ".join(advice.reasons)
    assert any("diverged with learning rate 0.2, " in reason for reason in advice.reasons)
    with pytest.raises(ValueError, match="lower learning rate"):
        gd.recommend_batch_size(net, X, y, optimizer=gd.SGD(1e300), rng=0)


def test_a_noise_scale_below_zero_is_shown_as_zero():
    """The estimate is without bias; samples whose gradients are alike can bring it below 0."""
    X = np.ones((64, 1))
    shown = gd.recommend_batch_size(gd.Network([1, 1]), X, np.full(64, 3.0), rng=0)
    assert "-0" not in str(shown)
    assert advice._samples(-0.3) == advice._samples(0.0) == "0 samples"


def test_a_notebook_shows_the_candidates_and_marks_the_advice():
    X = np.random.default_rng(0).standard_normal((64, 2))
    advice = gd.recommend_batch_size(gd.Network([2, 1], rng=0), X, X[:, 0], rng=0)
    html = advice._repr_html_()
    assert html.count("<tr") == 1 + len(advice.candidates)
    marked = html.split('class="marked"><th')[1].split("</th>")[0]
    assert f">{advice.batch_size:,} <span>advised" in marked
