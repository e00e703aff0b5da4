"""`Checkpoint`: a training that was killed goes on with the next step, and the same bits."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import make_data
from test_blocks import MODELS, N, make, results

import fastgd as gd

OPTIONS = {
    "plain": {"batch_size": 16},
    "single": {"batch_size": 1},
    "adam": {"optimizer": gd.Adam(0.01), "batch_size": 4, "drop_last": True},
    "dropout": {"dropout": 0.3, "batch_size": 16},
    "trace": {"record": ("loss", "params", "noise_scale"), "record_every": 3, "batch_size": 8},
    "private": {"sampling": "poisson", "clip_per_sample": 1.0, "noise_multiplier": 0.5},
    "schedule": {"schedule": gd.schedules.Cosine(10), "batch_size": 8},
    "updates": {"schedule": gd.schedules.Exponential(0.99, unit="update"), "batch_size": 8},
    "stratified": {"sampling": "replacement", "batch_size": 10},
    "validation": {"validation": 0.2, "early_stopping": 5, "metrics": ("mae",), "batch_size": 16},
}  # fmt: skip


class Files:
    """Keeps each state that a checkpoint writes."""

    def __init__(self, path, every):
        self.inner = gd.Checkpoint(path, every)
        self.begin, self.portion, self.is_due = (
            self.inner.begin, self.inner.portion, self.inner.is_due,
        )  # fmt: skip
        self.kept = []

    def save(self, model, history):
        self.inner.save(model, history)
        with open(self.inner.path, "rb") as file:
            self.kept.append(file.read())

    def __call__(self, net, history):
        pass


@pytest.mark.parametrize("kind", ["linear", "network"])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_checkpoint_leads_to_the_same_end(kind, options, backend, tmp_path):
    given = dict(OPTIONS[options])
    if kind == "linear":
        given.pop("dropout", None)
        given.pop("metrics", None)
    net, X, y = make(kind)
    plain, *_ = make(kind)
    files = Files(tmp_path / "run.npz", "7 steps")
    history = gd.train(net, X, y, epochs=3, rng=5, backend=backend, callbacks=[files], **given)
    expected = results(net, history)
    assert results(plain, gd.train(plain, X, y, epochs=3, rng=5, backend=backend, **given)) == (
        expected
    )
    given = {name: value for name, value in given.items() if name not in ("optimizer", "schedule")}
    for content in files.kept[:: max(1, len(files.kept) // 3)]:
        (tmp_path / "again.npz").write_bytes(content)
        again, before = gd.load_checkpoint(tmp_path / "again.npz")
        rest = gd.train(
            again, X, y, epochs=3 - before.epochs, resume=before, backend=backend, **given
        )
        assert results(again, rest) == expected


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("batch_size", [1, 16])
def test_blocks_go_on_within_an_epoch(kind, batch_size, tmp_path):
    net, X, y = make(kind)
    blocks = gd.open_blocks(X, y, block_rows=20)
    files = Files(tmp_path / "run.npz", "5 steps")
    given = {"window": 3, "batch_size": batch_size}
    history = gd.train(net, blocks, epochs=2, rng=5, callbacks=[files], **given)
    expected = results(net, history)
    plain, *_ = make(kind)
    assert results(plain, gd.train(plain, blocks, epochs=2, rng=5, **given)) == expected
    for content in files.kept[:: max(1, len(files.kept) // 6)]:
        (tmp_path / "again.npz").write_bytes(content)
        again, before = gd.load_checkpoint(tmp_path / "again.npz")
        rest = gd.train(again, blocks, epochs=2 - before.epochs, resume=before, **given)
        assert results(again, rest) == expected


KILLED = """
import os, sys
import numpy as np
import fastgd as gd
path, = sys.argv[1:]
rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 5)).astype("f4")
blocks = gd.open_blocks(X, X[:, 0] ** 2, block_rows=50)
net = gd.Network([5, 8, 1], rng=0)

class Slow:
    n_rows, n_features, bounds = blocks.n_rows, blocks.n_features, blocks.bounds
    reads = 0
    def read(self, i):
        self.reads += 1
        if self.reads == 60 and path != "-":
            print("reading", flush=True)
            import time; time.sleep(60)
        return blocks.read(i)

options = dict(window=4, batch_size=8)
saved = dict(callbacks=[gd.Checkpoint(path, "20 steps")])
if path == "-":
    history = gd.train(net, Slow(), epochs=3, rng=0, **options)
elif os.path.exists(path):
    net, history = gd.load_checkpoint(path)
    assert history._unfinished is not None
    Slow.reads = 1000
    history = gd.train(net, Slow(), epochs=3 - history.epochs, resume=history, **saved, **options)
else:
    gd.train(net, Slow(), epochs=3, rng=0, **saved, **options)
print(net.params.tobytes().hex(), history.loss)
"""


def test_a_killed_training_goes_on(tmp_path):
    path = str(tmp_path / "run.npz")

    def run(path):
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), path],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    killed = run(path)
    assert killed.stdout.readline() == "reading\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    rest, _ = run(path).communicate(timeout=60)
    whole, _ = run("-").communicate(timeout=60)
    assert rest == whole != ""
    assert sorted(os.listdir(tmp_path)) == ["run.npz", "run.previous.npz"]


@pytest.mark.parametrize(("every", "updates"), [
    ("1 epoch", [7, 14, 21]), ("2 epochs", [14]), ("10 steps", [10, 20]), ("0.0000001 s", None),
])  # fmt: skip
def test_when_it_saves(every, updates, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        gd.checkpoints, "save_checkpoint",
        lambda path, net, history: seen.append(history._state.step),
    )  # fmt: skip
    net = gd.Network([5, 1], rng=0)
    X, y = make_data([5, 1], "squared_error", n=100)
    gd.train(
        net, X, y, batch_size=15, epochs=3, rng=0,
        callbacks=[gd.Checkpoint(tmp_path / "run.npz", every)],
    )  # fmt: skip
    if updates is None:
        assert len(seen) > 3
        assert seen == sorted(seen)
    else:
        assert seen == updates


def test_the_file_before_is_kept(tmp_path):
    net, X, y = make("network")
    saves = gd.Checkpoint(tmp_path / "run.npz", "4 steps")
    gd.train(net, X, y, batch_size=N // 10, rng=0, epochs=1, callbacks=[saves])
    steps = [gd.load_checkpoint(path)[1]._state.step for path in (saves.previous, saves.path)]
    assert steps == [4, 8]
    assert sorted(os.listdir(tmp_path)) == ["run.npz", "run.previous.npz"]


@pytest.mark.parametrize(("every", "kind", "message"), [
    (300, TypeError, "must be a text such as '5 min'"),
    ("5", ValueError, "a number and a unit"),
    ("5 apples", ValueError, "a number and a unit"),
    ("0 steps", ValueError, "a number and a unit"),
    ("1.5 epochs", ValueError, "whole numbers"),
])  # fmt: skip
def test_a_wrong_interval_is_refused(every, kind, message):
    with pytest.raises(kind, match=message):
        gd.Checkpoint("run.npz", every)


def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(tmp_path):
    net, X, y = make("network")
    before = net.params.copy()
    with pytest.raises(OSError, match="there is no folder"):
        gd.train(net, X, y, callbacks=[gd.Checkpoint(tmp_path / "none" / "run.npz")])
    assert (net.params == before).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"batch_size": 15}, "batch_size=16, shards=1, not batch_size=15"),
    ({"n": N - 20}, "over 203 samples"),
])  # fmt: skip
def test_an_epoch_over_other_data_is_not_continued(change, message, tmp_path):
    net, X, y = make("network")
    gd.train(
        net, X, y, batch_size=16, rng=0, epochs=1,
        callbacks=[gd.Checkpoint(tmp_path / "run.npz", "5 steps")],
    )  # fmt: skip
    net, history = gd.load_checkpoint(tmp_path / "run.npz")
    before = net.params.copy()
    n = change.get("n", N)
    with pytest.raises(ValueError, match=message):
        gd.train(net, X[:n], y[:n], batch_size=change.get("batch_size", 16), resume=history)
    assert (net.params == before).all()


@pytest.mark.parametrize("damage", [
    {"steps": -1}, {"samples": "3"}, {"total": None}, {"seed": 2**64}, {"rng": {}},
    {"seconds": [1]},
])  # fmt: skip
def test_a_damaged_unfinished_epoch_is_refused(damage, tmp_path, monkeypatch):
    net, X, y = make("network")
    fields = gd.checkpoints._unfinished_fields
    monkeypatch.setattr(
        gd.checkpoints, "_unfinished_fields",
        lambda unfinished: unfinished and fields(unfinished) | damage,
    )  # fmt: skip
    saves = gd.Checkpoint(tmp_path / "run.npz", "5 steps")
    gd.train(net, X, y, batch_size=16, rng=0, epochs=1, callbacks=[saves])
    with pytest.raises(ValueError, match="damaged or was not written by fastgd"):
        gd.load_checkpoint(saves.path)


def test_wait_seconds_are_kept(tmp_path):
    net, X, y = make("network")
    history = gd.train(net, gd.open_blocks(X, y), rng=0, epochs=2)
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    assert gd.load_checkpoint(tmp_path / "run.npz")[1].wait_seconds == history.wait_seconds
    assert np.array(history.wait_seconds).min() > 0
