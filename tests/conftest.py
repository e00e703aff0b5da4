"""Shared fixtures, data, error bounds, and the list of allowed skips."""

import os
import shutil
import subprocess
import sys
from zlib import crc32

import numpy as np
import pytest

import fastgd as gd
from fastgd.backends import compiled
from fastgd.engine import kernels
from fastgd.losses import LOSSES

# The instruction levels that give the same bits: those that fuse multiply-adds, or one alone.
ALIKE = [level for level in kernels.levels() if level != "baseline"] or kernels.levels()
ONE_LEVEL = "this CPU runs only one of the instruction levels that give the same bits"


def several_levels(test):
    """Mark a test that compares all of ALIKE."""
    return pytest.mark.each_level(pytest.mark.skipif(len(ALIKE) < 2, reason=ONE_LEVEL)(test))


def pytest_addoption(parser):
    parser.addoption(
        "--cross-section", action="store_true",
        help="run only some cases of each test, which cover each value of each parameter",
    )  # fmt: skip


def cross_section(cases):
    """Choose cases of each test such that each value of each parameter occurs in one.

    `cases` maps each case's name to identities of its parameters' values. The cases are ordered by
    a checksum of their names: the choice is the same each time, and mixes values.
    """
    chosen, seen = set(), set()
    for name in sorted(cases, key=lambda name: crc32(name.encode())):
        test = name.partition("[")[0]
        values = {(test, *value) for value in cases[name].items()} or {(test,)}
        if not values <= seen:
            chosen.add(name)
            seen |= values
    return chosen


def parameters(item):
    """Return the identities of a case's parameters, which are unique as pytest keeps them alive."""
    callspec = getattr(item, "callspec", None)
    return {name: id(value) for name, value in callspec.params.items()} if callspec else {}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "isa" in item.fixturenames:
            item.add_marker("each_level")
    yield  # to -m, which selects by these marks
    if config.getoption("--cross-section"):
        chosen = cross_section({item.nodeid: parameters(item) for item in items})
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]


# Skips that are allowed in continuous integration: packages that cannot be installed.
FORESEEN = (
    ONE_LEVEL,
    "MLPClassifier does not have a decision_function method",  # nor has scikit-learn's
)


def nothing_is_missing(report):
    """In continuous integration, turn an unexpected skip into a failure.

    .ci/run installs everything that the tests need there, so a skip hides a failed installation.
    """
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2]
        if not any(each in reason for each in FORESEEN):
            report.outcome = "failed"
            report.longrepr = f"{reason}\nWith CI=true nothing may be missing (tests/conftest.py)."
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    return nothing_is_missing((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    return nothing_is_missing((yield))


@pytest.fixture(scope="module")
def browser():
    """The system's chromium; only continuous integration has to have it."""
    from playwright.sync_api import sync_playwright  # only where there is something to open

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("there is no chromium on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=kernels.levels())
def isa(request, monkeypatch):
    """Every instruction level that this CPU has, one after the other."""
    monkeypatch.setattr(compiled, "LEVEL", request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[1, 3])
def n_threads(request, monkeypatch):
    """One thread, and more than the machine may have, with all used even for the smallest step."""
    monkeypatch.setattr(compiled, "ALL_THREADS", request.param > 1)
    return request.param


@pytest.fixture(params=["loop", "vectorized", "compiled"])
def backend(request):
    return request.param


def draw(*shapes, dtype="float64", seed=0):
    """Draw arrays of normal numbers, one of each shape."""
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def make_data(sizes, loss, n=50, dtype="float64", seed=1):
    """Make n samples that the loss accepts."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, sizes[0])).astype(dtype)
    targets = LOSSES[loss].targets.name
    if targets == "class":
        return X, rng.integers(sizes[-1], size=n)
    y = rng.standard_normal((n, sizes[-1]))
    if targets == "probability":
        y = (y > 0).astype(float)
    elif targets == "sign":
        y = np.where(y > 0, 1.0, -1.0)
    elif targets == "count":
        y = rng.poisson(1.0, size=(n, sizes[-1]))
    return X, y.astype(dtype)


def tolerance(dtype, *lengths):
    """Return a bound on rounding: epsilon times the lengths of the consecutive sums.

    A sum of k products is off by at most k epsilon times the sum of their sizes (Higham 2002,
    Accuracy and Stability of Numerical Algorithms, section 3.1); the sizes are of order one in
    these tests, and 8 leaves room for the constants of the formulas.
    """
    return 8 * float(np.finfo(dtype).eps) * sum(lengths)


def assert_close(actual, expected, dtype, *lengths):
    """Compare with `tolerance`, relative to the largest expected number where that is above 1."""
    expected = np.asarray(expected)
    scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(dtype, *lengths) * scale)


# The step of central differences in float64. They are off by STEP^2 / 6 third derivatives, and by
# epsilon / STEP values, which is STEP^2 too: this step makes both small.
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


def moved(net, params):
    """Return a copy of a network with these parameters."""
    copy = net.copy()
    copy.params = params
    return copy


def slopes(function, point):
    """Return a function's central differences along each number of a vector, as the last axis."""
    steps = STEP * np.eye(len(point))
    return np.stack(
        [(np.asarray(function(point + s)) - function(point - s)) / (2 * STEP) for s in steps], -1
    )


def assert_slopes(actual, function, point):
    """Compare derivatives with central differences, relative to the function and its slopes."""
    expected = slopes(function, point)
    scale = max(1.0, np.abs(function(point)).max(), np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * STEP**2 * scale)


def run_python(program, **environment):
    """Run a program in a fresh interpreter; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment},
        stdout=subprocess.PIPE, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def small_run():
    """A network and data on which a test may train."""
    net = gd.Network([3, 5, 1], rng=0)
    X, y = make_data(net.sizes, net.loss, dtype="float32")
    return net, X, y


@pytest.fixture
def own_figures():
    """Draw with matplotlib's own style, and leave no figure open."""
    import matplotlib
    from matplotlib import pyplot

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
    pyplot.close("all")
