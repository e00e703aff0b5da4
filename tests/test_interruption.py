"""Signals, forks and Python threads must neither hang a training nor lose its model."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

SETUP = """
import os, signal, sys, time
import numpy as np
import fastgd as gd
from fastgd.backends import compiled
compiled.ALL_THREADS = True
rng = np.random.default_rng(0)
"""


@pytest.fixture
def run():
    """Return a function that starts a program; programs still running after the test are killed."""
    started = []

    def run(body, **environment):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", SETUP + textwrap.dedent(body)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, **environment},
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def interrupt(run):
    """Return a function that runs a program and interrupts it some time after its first line.

    The function returns the lines printed at the end, and the time of the signal.
    """

    def interrupt(body):
        process = run(body)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert out.startswith("stopped"), err
        return out.split()[1:], sent

    return interrupt


@pytest.mark.parametrize("backend", ["compiled", "vectorized", "loop"])
@pytest.mark.parametrize(
    ("sizes", "batch_size"), [((20, 64, 1), 32), ((200, 1), None), ((30, 1), 1)]
)
def test_ctrl_c_stops_and_keeps_the_last_epoch(sizes, batch_size, backend, interrupt):
    """The signal may come between an epoch and its callback: then one more epoch is done."""
    (stopped, kept), sent = interrupt(f"""
        X = rng.standard_normal((20_000, {sizes[0]}))
        y = X[:, 0]
        net, again = (gd.Network({sizes}, dtype="float64", rng=0) for _ in range(2))
        options = dict(batch_size={batch_size}, n_threads=3, backend="{backend}")
        start = dict(rng=0, optimizer=gd.SGD(1e-4))
        epochs = []
        print("ready", flush=True)
        try:
            gd.train(net, X, y, epochs=10**9, callbacks=[lambda *_: epochs.append(1)], **start,
                     **options)
        except KeyboardInterrupt:
            stopped = time.monotonic()
        history = gd.train(again, X, y, epochs=len(epochs), **start, **options)
        kept = np.array_equal(net.params, again.params)
        if not kept:
            gd.train(again, X, y, epochs=1, resume=history, **options)
            kept = np.array_equal(net.params, again.params)
        print("stopped", stopped, kept, flush=True)
    """)
    assert kept == "True"
    if backend == "compiled":
        # 0.1 s is promised; a loaded machine may wake the process later
        assert float(stopped) - sent < 1.0


def test_ctrl_c_stops_many_runs_and_keeps_their_last_epochs(interrupt):
    """As above; if the signal comes before a run's first epoch, the run has no epochs."""
    kept, _ = interrupt("""
        X = rng.standard_normal((2000, 20))
        nets = [gd.Network([20, 8, 1], rng=0) for _ in range(4)]
        epochs = [0] * 4
        def count(k):
            def callback(net, history): epochs[k] = history.epochs
            return callback
        print("ready", flush=True)
        try:
            gd.train_many(nets, X, X[:, 0], [
                dict(epochs=10**9, rng=0, callbacks=[count(k)]) for k in range(4)
            ], n_threads=2)
        except KeyboardInterrupt:
            pass
        def reached(n):
            net = gd.Network([20, 8, 1], rng=0)
            gd.train(net, X, X[:, 0], epochs=n, rng=0)
            return net.params
        kept = [any(np.array_equal(net.params, reached(n + more)) for more in (0, 1))
                for net, n in zip(nets, epochs)]
        print("stopped", *kept, max(epochs) > 0, flush=True)
    """)
    assert kept == ["True"] * 5


@pytest.mark.parametrize(("n_threads", "batch_size"), [(1, 1), (2, 1), (1, None)])
def test_ctrl_c_stops_a_linear_estimator(n_threads, batch_size, interrupt):
    (stopped,), sent = interrupt(f"""
        from fastgd.sklearn import SGDClassifier
        clf = SGDClassifier(
            n_threads={n_threads}, batch_size={batch_size}, max_iter=10**9, tol=None, random_state=0
        )
        print("ready", flush=True)
        try:
            clf.fit(np.ones((3000, 300)), np.arange(3000) % 3)
        except KeyboardInterrupt:
            print("stopped", time.monotonic(), flush=True)
    """)
    assert float(stopped) - sent < 5  # 0.1 s on a quiet machine


def test_a_forked_child_trains_after_threaded_training(run):
    process = run("""
        X = rng.standard_normal((5000, 30))
        y = X[:, 0]
        net = gd.Network([30, 64, 1], rng=0)
        gd.train(net, X, y, epochs=1, rng=0, n_threads=4)
        before = net.params.copy()
        child = os.fork()
        if child == 0:
            gd.train(net, X, y, epochs=1, rng=0, n_threads=4)
            threads = len(os.listdir("/proc/self/task"))  # it starts its own
            own = 4 if gd.show_config("dicts")["threads compiled in"] else 1
            os._exit(0 if np.isfinite(net.params).all() and threads == own else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        gd.train(net, X, y, epochs=1, rng=0, n_threads=4)
        print(code)
    """)
    out, err = process.communicate(timeout=60)
    assert out.strip() == "0", err


def test_python_threads_train_at_the_same_time(run):
    process = run("""
        import threading
        X = rng.standard_normal((3000, 30))
        y = X[:, 0]
        nets = [gd.Network([30, 32, 1], rng=0) for _ in range(8)]
        jobs = [
            threading.Thread(target=gd.train, args=(net, X, y),
                             kwargs=dict(epochs=3, rng=0, n_threads=3))
            for net in nets
        ]
        for job in jobs: job.start()
        for job in jobs: job.join()
        print(len({net.params.tobytes() for net in nets}))
    """)
    out, err = process.communicate(timeout=120)
    assert out.strip() == "1", err


def test_an_exception_of_a_signal_handler_reaches_the_caller(run):
    process = run("""
        class Alarm(Exception): pass
        def ring(*_): raise Alarm
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        X = rng.standard_normal((20_000, 20))
        try:
            gd.train(gd.Network([20, 32, 1], rng=0), X, X[:, 0], epochs=10**9, rng=0)
        except Alarm:
            print("alarm")
    """)
    out, err = process.communicate(timeout=60)
    assert out.strip() == "alarm", err


NEIGHBOUR = "while True: sum(range(100_000))"


@pytest.fixture
def busy_neighbours():
    """Keep the cores busy with two processes while the test runs."""
    busy = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(2)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.parametrize("trainings", [8, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sizes", [(20, 100, 100, 3), (2000, 1)])
def test_more_threads_than_cores_finish_on_a_busy_machine(sizes, trainings, run, busy_neighbours):
    """With batches that may be empty, and stretches of steps that are ended for being too slow."""
    process = run(f"""
        compiled.ALL_THREADS = False  # True would disable the time limit of a stretch
        X = rng.standard_normal((300, {sizes[0]}))
        for _ in range({trainings}):
            gd.train(gd.Network({sizes}, rng=0), X, X[:, :{sizes[-1]}], batch_size=1, epochs=3,
                     sampling="poisson", optimizer=gd.SGD(1e-4), rng=0)
        print("finished")
    """, OMP_NUM_THREADS="5")  # fmt: skip
    out, err = process.communicate(timeout=30 + trainings)
    assert out.strip() == "finished", err


def test_a_child_forked_in_a_callback_continues_training(run):
    """With the same training: each team of threads belongs to the thread that started it."""
    process = run("""
        X = rng.standard_normal((2000, 30))
        children = []
        def fork(net, history):
            if history.epochs == 2: children.append(os.fork())
        net = gd.Network([30, 64, 1], rng=0)
        gd.train(net, X, X[:, 0], epochs=4, rng=0, n_threads=4, callbacks=[fork])
        if children == [0]:
            os.write(1, net.params.tobytes().hex().encode() + b"\\n")
            os._exit(0)
        os.waitpid(children[0], 0)
        print(net.params.tobytes().hex())
    """)
    out, err = process.communicate(timeout=60)
    child, parent = out.split()
    assert child == parent, err


@pytest.mark.parametrize("n_signals", [1, 3])
def test_no_thread_outlives_an_interrupted_train_many(n_signals, run):
    """At any place of the signal, and with more signals while the threads are joined."""
    process = run(f"""
        import _thread
        X = rng.standard_normal((500, 20))
        nets = [gd.Network([20, 8, 1], rng=0) for _ in range(6)]
        class Alarm(Exception): pass
        left, others = 0, _thread._count()
        def ring(*_):
            global left
            left -= 1
            if left: signal.setitimer(signal.ITIMER_REAL, 1e-4)
            raise Alarm
        signal.signal(signal.SIGALRM, ring)
        stopped = 0
        for k in range(60):
            left = {n_signals}
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + 1.5e-3 * rng.random())
                gd.train_many(nets, X, X[:, 0], dict(epochs=10**9, rng=0), n_threads=3)
            except Alarm:
                pass
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                stopped += 1
            except Alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
            before = [net.params.tobytes() for net in nets]
            time.sleep(2e-3)
            assert [net.params.tobytes() for net in nets] == before, k
            waited = time.monotonic() + 10
            while _thread._count() > others:  # a thread that has run its last call ends soon
                assert time.monotonic() < waited, k
        print("finished")
    """)
    out, err = process.communicate(timeout=120)
    assert out.strip() == "finished", err


@pytest.mark.parametrize(
    "call",
    [
        "gd.train_many([net, net.copy()], X, y, {'epochs': 10**9, 'batch_size': 64}, n_threads=2)",
        "gd.compare(net, X, y, epochs=10**6, n_threads=2)",
        "gd.train(net, X, y, epochs=10**9, batch_size=None, backend='vectorized')",
        "gd.train(net, X, y, epochs=10**9, batch_size=None, backend='loop')",
        "MLPRegressor(hidden_layer_sizes=(64,), solver='lbfgs', max_iter=10**9, tol=0).fit(X, y)",
        "SGDClassifier(n_threads=2, max_iter=10**9, tol=None).fit(X, (2 * y).astype(int))",
        "while True: gd.recommend_batch_size(net, X, y)",
        "while True: gd.noise_scale(net, X, y, full=True)",
        "while True: net.predict(X)",
        "while True: gd.gradient(net, X, y, backend='vectorized')",
        "while True: gd.per_sample_norms(net, X, y)",
    ],
)
def test_ctrl_c_stops_every_call(call, interrupt):
    (stopped, same), sent = interrupt(f"""
        import threading
        from fastgd.sklearn import MLPRegressor, SGDClassifier
        X = rng.standard_normal((200_000, 50))
        y = X[:, 0]
        net = gd.Network([50, 64, 1], rng=0)
        print("ready", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            stopped = time.monotonic()
        before = net.params.copy()
        time.sleep(0.05)
        print("stopped", stopped, np.array_equal(net.params, before), flush=True)
    """)
    assert same == "True"
    assert float(stopped) - sent < 1.5  # 0.1 s on a quiet machine


@pytest.mark.parametrize("options", ["n_threads=1", "n_threads=3"])
def test_a_daemon_thread_that_trains_lets_the_interpreter_exit(options, run):
    process = run(f"""
        import threading
        X = rng.standard_normal((2000, 20))
        net = gd.Network([20, 8, 1], rng=0)
        threading.Thread(
            target=lambda: gd.train(net, X, X[:, 0], epochs=10**9, rng=0, {options}), daemon=True
        ).start()
        time.sleep(0.05)
    """)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
