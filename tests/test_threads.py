"""How many threads there are to use: what the user, the environment and others say."""

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_limits

from fastgd import _engine

needs_openmp = pytest.mark.skipif(not _engine.config()["openmp"], reason="this build has no OpenMP")


@needs_openmp
@pytest.mark.parametrize("limit", [1, 3])
def test_threadpoolctl_limits_them(limit):
    before = _engine.max_threads()
    with threadpool_limits(limit, user_api="openmp"):
        assert _engine.max_threads() == limit
    assert _engine.max_threads() == before


@needs_openmp
@pytest.mark.parametrize("value", ["1", "3"])
def test_the_environment_sets_them(value):
    code = "import fastgd; from fastgd import _engine; print(_engine.max_threads())"
    environment = {**os.environ, "OMP_NUM_THREADS": value}
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert shown.strip() == value


@needs_openmp
def test_a_limit_holds_while_training(small_run, monkeypatch):
    """Threads are counted by the operating system: none may be added under a limit of one."""
    import fastgd as gd
    from fastgd.backends import compiled

    if not os.path.isdir("/proc/self/task"):
        pytest.skip("this system does not list a process's threads")
    net, X, y = small_run
    monkeypatch.setattr(compiled, "ALL_THREADS", True)
    before = len(os.listdir("/proc/self/task"))
    with threadpool_limits(1, user_api="openmp"):
        gd.train(net, X, y, batch_size=50, epochs=3)
    assert len(os.listdir("/proc/self/task")) <= before


@needs_openmp
def test_very_many_threads_are_cut(monkeypatch):
    """OpenMP's library crashes from some 100,000 on; a larger number is a slip of the hand."""
    from fastgd.backends import compiled

    monkeypatch.setattr(compiled, "max_threads", lambda: 1_000_000)
    assert compiled.threads(0) == compiled.MOST_THREADS
    assert compiled.threads(1_000_000) == compiled.MOST_THREADS


@needs_openmp
@pytest.mark.parametrize(("wanted", "limit", "used"), [(0, 3, 3), (2, 3, 2), (8, 3, 3), (8, 1, 1)])
def test_a_call_lowers_the_number_of_threads_and_does_not_raise_it(wanted, limit, used):
    """More threads than cores would make each step slower; the environment's limit holds."""
    from fastgd.backends import compiled

    with threadpool_limits(limit, user_api="openmp"):
        assert compiled.threads(wanted) == used
