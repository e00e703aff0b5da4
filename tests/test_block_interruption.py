"""Ctrl-C, forks and other threads while blocks are read."""

import pytest
from test_interruption import interrupt, run  # noqa: F401

SOURCE = """
import threading

class Slow:
    n_rows, n_features = 4000, 3
    bounds = np.arange(0, 4001, 100)
    pause = 0.0
    def read(self, i):
        time.sleep(self.pause)
        X = np.random.default_rng(i).standard_normal((100, 3))
        return X, X[:, 0]

net = gd.Network([3, 1])
"""


@pytest.mark.parametrize("backend", ["compiled", "vectorized"])
def test_ctrl_c_while_reading_ends_the_reader_and_keeps_the_last_epoch(backend, interrupt):  # noqa: F811
    (kept, threads, seconds), sent = interrupt(SOURCE.replace("\n", "\n        ") + f"""
        history = gd.train(net, Slow(), rng=0)
        before = net.params.copy()
        Slow.pause = 0.02
        print("ready", flush=True)
        try:
            gd.train(net, Slow(), epochs=10**6, resume=history, backend="{backend}", window=20)
        except KeyboardInterrupt:
            print("stopped", (net.params == before).all(), threading.active_count(),
                  time.monotonic())
    """)  # fmt: skip
    assert (kept, threads) == ("True", "1")
    assert float(seconds) - sent < 0.5


def test_ctrl_c_while_training_ends_the_reader(interrupt):  # noqa: F811
    (threads, seconds), sent = interrupt(SOURCE.replace("\n", "\n        ") + """
        net = gd.Network([3, 600, 600, 1], rng=0)
        print("ready", flush=True)
        try:
            gd.train(net, Slow(), epochs=10**6, batch_size=1, optimizer=gd.SGD(1e-9), rng=0)
        except KeyboardInterrupt:
            print("stopped", threading.active_count(), time.monotonic())
    """)  # fmt: skip
    assert threads == "1"
    assert float(seconds) - sent < 1


def test_a_forked_child_reads_without_a_thread_and_has_the_same_bits(run):  # noqa: F811
    process = run(SOURCE.replace("\n", "\n        ") + """
        source = Slow()
        def train():
            net = gd.Network([3, 1])
            gd.train(net, source, epochs=2, rng=0)
            return net.params
        expected = train()
        started = []
        start = threading.Thread.start
        threading.Thread.start = lambda thread: started.append(thread) or start(thread)
        child = os.fork()
        if child == 0:
            os._exit(0 if (train() == expected).all() and not started else 1)
        print("child", os.waitpid(child, 0)[1])
    """)  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert out == "child 0\n", err


def test_several_trainings_at_the_same_time(run):  # noqa: F811
    """Each has a reader of its own."""
    process = run(SOURCE.replace("\n", "\n        ") + """
        from concurrent.futures import ThreadPoolExecutor
        def train(k):
            net = gd.Network([3, 1])
            gd.train(net, Slow(), epochs=3, rng=0, window=2)
            return net.params.tobytes()
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(train, range(8)))
        print(len(found), threading.active_count())
    """)  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert out == "1 1\n", err
