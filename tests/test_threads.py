"""The number of threads: limits by the user, the environment and the operating system.

In a build without threads it is always one.
"""

import os

import pytest
from conftest import run_python
from threadpoolctl import threadpool_limits

from fastgd.backends import compiled
from fastgd.engine import engine, limits

MOST = 8 if engine.config()["threads compiled in"] else 1
THREADS = "/proc/self/task"  # where Linux lists the threads of a process


@pytest.mark.parametrize("limit", [1, 3])
def test_threadpoolctl_limits_them(limit):
    before = engine.max_threads()
    with threadpool_limits(limit, user_api="openmp"):
        assert engine.max_threads() == min(limit, MOST)
    assert engine.max_threads() == before


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),  # two levels of nested teams
        ({"OMP_NUM_THREADS": "3", "OMP_THREAD_LIMIT": "2"}, 2),
    ],
)
def test_the_environment_sets_them(variables, threads):
    code = "import fastgd; from fastgd.engine import engine; print(engine.max_threads())"
    assert int(run_python(code, **variables)) == min(threads, MOST)


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_limit_that_is_no_number_is_ignored_with_a_warning(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.warns(RuntimeWarning, match=f"OMP_NUM_THREADS='{text}' is not a positive"):
        assert limits.from_environment(5) == 5


@pytest.mark.skipif(not os.path.isdir(THREADS), reason=f"threads are counted in {THREADS}")
def test_a_limit_holds_while_training():
    """Run in a new process, and count its threads by the operating system: none may be added."""
    code = f"""
import os, fastgd as gd, numpy as np
from fastgd.backends import compiled
from threadpoolctl import threadpool_limits
compiled.ALL_THREADS = True
def added():
    before = len(os.listdir({THREADS!r}))
    gd.train(gd.Network([3, 5, 1]), np.ones((50, 3)), np.ones(50), batch_size=50, epochs=3)
    return len(os.listdir({THREADS!r})) - before
with threadpool_limits(1, user_api="openmp"):
    held = added()
with threadpool_limits(3, user_api="openmp"):
    print(held, added())
"""
    assert run_python(code).split() == ["0", str(min(3, MOST) - 1)]


def test_very_many_threads_are_limited(monkeypatch):
    """A number such as 100,000 is a typing error."""
    monkeypatch.setattr(compiled, "max_threads", lambda: 1_000_000)
    assert compiled.threads(0) == compiled.MOST_THREADS
    assert compiled.threads(1_000_000) == compiled.MOST_THREADS


@pytest.mark.parametrize(("wanted", "limit", "used"), [(0, 3, 3), (2, 3, 2), (8, 3, 3), (8, 1, 1)])
def test_a_call_can_lower_the_number_of_threads_but_not_raise_it(wanted, limit, used):
    """More threads than cores would make each step slower; the environment's limit holds."""
    with threadpool_limits(limit, user_api="openmp"):
        assert compiled.threads(wanted) == min(used, MOST)


def test_fewer_threads_than_requested_do_the_whole_step():
    """The environment's second limit holds too."""
    code = """
import numpy as np
import fastgd as gd
from fastgd.backends import compiled

compiled.ALL_THREADS = True
X = np.random.default_rng(0).standard_normal((300, 40))
for sizes in ((40, 1), (40, 200, 200, 1)):
    bits = set()
    for n_threads in (1, 4):
        net = gd.Network(sizes, rng=0)
        gd.train(net, X, X[:, 0], batch_size=50, epochs=2, rng=0, n_threads=n_threads)
        bits.add(net.params.tobytes())
    assert len(bits) == 1
"""
    run_python(code, OMP_NUM_THREADS="4", OMP_THREAD_LIMIT="2")


@pytest.mark.skipif(not os.path.isdir(THREADS), reason=f"threads are counted in {THREADS}")
@pytest.mark.parametrize("stacks", [0, 1, 3])
def test_training_works_with_the_threads_that_can_be_started(stacks):
    """At a limit on addresses, as at one on processes, the other threads do the work.

    The limit leaves room for the stacks of so many threads and for other memory.
    """
    code = f"""
import os, resource
import numpy as np, fastgd as gd
from fastgd.backends import compiled

compiled.ALL_THREADS = True
X = np.random.default_rng(0).standard_normal((300, 40))
def trained(n_threads):
    net = gd.Network([40, 30, 1], rng=0)
    gd.train(net, X, X[:, 0], batch_size=50, epochs=2, rng=0, n_threads=n_threads)
    return net.params.tobytes()
alone = trained(1)
pages = int(open("/proc/self/statm").read().split()[0])
size = pages * resource.getpagesize() + ({stacks} + 6) * (1 << 20)
resource.setrlimit(resource.RLIMIT_AS, (size, size))
assert trained(32) == alone
assert trained(32) == alone
net = gd.Network([40, 1], rng=0)
gd.train_many([net, net.copy()], X, X[:, 0], {{"epochs": 2}}, n_threads=2)
print(len(os.listdir({THREADS!r})) <= 1 + {stacks} + 6)
"""
    assert run_python(code, OMP_NUM_THREADS="32", OPENBLAS_NUM_THREADS="1").split() == ["True"]


@pytest.mark.skipif(not os.path.isdir(THREADS), reason=f"signals are read in {THREADS}")
def test_the_engines_threads_block_all_signals_but_those_of_faults():
    """So that Ctrl-C reaches Python, and a fault in a thread reaches faulthandler."""
    code = f"""
import os, signal
import fastgd as gd, numpy as np
from fastgd.backends import compiled
compiled.ALL_THREADS = True
before = set(os.listdir({THREADS!r}))
gd.train(gd.Network([3, 5, 1]), np.ones((50, 3)), np.ones(50), batch_size=50, n_threads=2)
for thread in set(os.listdir({THREADS!r})) - before:
    lines = open(f"{THREADS}/{{thread}}/status").read().splitlines()
    (mask,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigBlk")]
    print([mask >> (number - 1) & 1 for number in
           (signal.SIGINT, signal.SIGALRM, signal.SIGBUS, signal.SIGSEGV)])
"""
    one = "[1, 1, 0, 0]" if MOST > 1 else ""  # a build without threads starts none
    assert run_python(code, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1") == one
