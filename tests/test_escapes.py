"""Escapes from saddles: which runs escape, and how shares are counted and shown."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from test_landscapes import OPTIMIZERS, each_landscape

import fastgd as gd
from fastgd.landscapes import Bowl, Quintic, Saddle, descend, escape_share
from fastgd.landscapes._escape import wilson_interval
from fastgd.landscapes._runs import Runs


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1.5, 2.5])
def test_batch_gradient_descent_stays_before_the_quintics_saddle(rate):
    """For all stable rates, and for those up to 2.59 times as high."""
    quintic = Quintic()
    optimizer = gd.SGD(rate * quintic.largest_learning_rate)
    _, history = descend(quintic, -3.0, batch_size=None, epochs=2000, optimizer=optimizer, rng=0)
    path = history.trace["params"][:, 0]
    assert path.max() < -1.5
    assert (np.diff(path) > 0).all()
    assert path[-1] > -1.8


def test_a_step_never_reaches_the_quintics_saddle():
    """The premises of the proof in the docstring hold on a fine grid."""
    quintic = Quintic()
    theta = np.linspace(-3, -1.5, 100_000, endpoint=False)[:, None]
    factor = (-quintic.gradient(theta) / (-1.5 - theta)).max()
    assert factor == pytest.approx(0.60141, abs=1e-4)
    assert 1 / factor == pytest.approx(1.6628, abs=1e-3)
    assert quintic.largest_learning_rate == pytest.approx(0.64)


def test_steps_cannot_reach_the_quintics_maximum():
    """Small batches cannot reach -4: all slopes are negative on an interval longer than a step."""
    quintic = Quintic()
    theta = np.linspace(-3.65, -2.78, 1000)[:, None]
    assert (quintic.gradients(theta, np.arange(quintic.n)) < 0).all()
    longest_step_left = quintic.largest_learning_rate * quintic.spread
    assert longest_step_left < 3.65 - 2.78


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_small_batches_pass_the_quintics_saddle(rate, batch_size):
    quintic = Quintic()
    optimizer = gd.SGD(rate * quintic.largest_learning_rate)
    for seed in range(5):
        theta, _ = descend(
            quintic, -3.0, batch_size=batch_size, epochs=100, optimizer=optimizer, rng=seed
        )
        assert theta.item() > quintic.saddle.item()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_batch_gradient_descent_ends_in_the_saddle_of_two_dimensions(rate):
    saddle = Saddle()
    optimizer = gd.SGD(rate * saddle.largest_learning_rate)
    theta, _ = descend(saddle, [0, 1], batch_size=None, epochs=2000, optimizer=optimizer, rng=0)
    assert theta[0] == 0
    np.testing.assert_allclose(theta[1], 0, atol=1e-6)


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_share_that_escapes_falls_with_the_batch_size(landscape):
    shares = escape_share(landscape, batch_sizes=[1, 4, 16, None], n_seeds=60)
    assert shares.escaped[0] == 60
    assert shares.escaped[-1] == 0
    assert (np.diff(shares.share) <= 0).all()
    assert (np.diff(shares.median_updates[:-1]) > 0).all()
    assert not shares.diverged.any()


@pytest.mark.parametrize("landscape", [Quintic(n=30), Saddle(n=30)], ids=repr)
@pytest.mark.parametrize("batch_size", [1, 7, 30])
@pytest.mark.parametrize("optimizer", [gd.SGD(0.3), gd.SGD(0.05, momentum=0.9), gd.Adam(0.02)])
@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_parallel_runs_equal_descend(landscape, batch_size, optimizer, sampling):
    updates = 120
    epochs = -(-updates // gd.plan(30, batch_size).batches)
    shares = escape_share(
        landscape, None, [batch_size], n_seeds=9, updates=updates, optimizer=optimizer,
        sampling=sampling,
    )  # fmt: skip
    firsts = []
    for seed in range(9):
        _, history = descend(
            landscape, batch_size=batch_size, epochs=epochs, optimizer=optimizer,
            sampling=sampling, rng=seed,
        )  # fmt: skip
        away = landscape.escaped(history.trace["params"][:updates])
        if away.any():
            firsts.append(int(away.argmax()) + 1)
    assert shares.escaped[0] == len(firsts)
    np.testing.assert_equal(shares.median_updates[0], np.median(firsts) if firsts else np.nan)


@each_landscape
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_the_number_of_runs_changes_no_bit(landscape, batch_size, optimizer):
    batch_size = min(batch_size, landscape.n)
    orders = np.stack([np.random.default_rng(k).permutation(landscape.n) for k in range(11)])
    samples = orders[:, :batch_size]
    together = Runs(landscape, landscape.start, 11, optimizer)
    for _ in range(3):
        together.step(samples, 0.01)
    for k in range(11):
        alone = Runs(landscape, landscape.start, 1, optimizer)
        for _ in range(3):
            alone.step(samples[k : k + 1], 0.01)
        assert alone.params[0].tolist() == together.params[k].tolist()


def test_diverged_runs_are_counted_separately():
    shares = escape_share(
        Quintic(spread=30), batch_sizes=[1, None], n_seeds=20, optimizer=gd.SGD(0.5)
    )
    assert shares.diverged[0] > 0
    assert shares.escaped[0] + shares.diverged[0] <= 20
    assert "diverged" in str(shares)


def test_table_of_shares():
    shares = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)
    *_, first, last = str(shares).splitlines()
    assert first.split()[:4] == ["1", "10", "10", "100.0%"]
    assert last.split()[:5] == ["all", "64", "10", "0", "0.0%"]
    assert "95 % confidence" in str(shares)
    assert max(map(len, str(shares).splitlines())) < 80


def test_table_of_shares_in_a_notebook():
    html = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)._repr_html_()
    assert html.count("<tr") == 3
    assert "all 64" in html


def test_picture_of_shares():
    shares = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)
    ax = shares.plot(ax=Figure().subplots())
    assert "leaves the saddle in 100 % of 10 runs" in ax.get_title(loc="left").replace("\n", " ")


def test_table_of_shares_by_rich():
    console = Console(width=100)
    with console.capture() as capture:
        console.print(escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10))
    assert "all 64" in capture.get()


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_against_newcombes_table(successes, trials, low, high):
    """Newcombe 1998, Statistics in Medicine 17, 857, table I, method 3."""
    ends = wilson_interval(np.array([successes]), trials, 0.95)
    np.testing.assert_allclose(np.ravel(ends), [low, high], atol=5e-5)


def test_wilson_interval_of_all_mirrors_that_of_none():
    low, high = wilson_interval(np.array([0, 50]), 50, 0.9)
    assert (low[0], high[1]) == (0, 1)
    assert 1 - low[1] == pytest.approx(high[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: escape_share(Bowl()), ValueError, "has no saddle to escape from"),
        (lambda: escape_share(Quintic(), 0.9), ValueError, "near a minimum already"),
        (lambda: escape_share(Quintic(), batch_sizes=4), TypeError, "batch_sizes must list"),
        (lambda: escape_share(Quintic(), batch_sizes=[]), ValueError, "batch_sizes is empty"),
        (lambda: escape_share(Quintic(), confidence=1), ValueError, "confidence is 1"),
        (lambda: escape_share(Quintic(), updates=0), ValueError, "updates is 0"),
        (lambda: escape_share(Quintic(), n_seeds=0), ValueError, "n_seeds is 0"),
        (
            lambda: escape_share(
                Quintic(), batch_sizes=[8], drop_last=True,
                sampling=SimpleNamespace(epoch=lambda n, rng: np.arange(4)),
            ),
            ValueError, "returned 4 terms, .* batches of 8: no update",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
