"""Run trainings while Python code changes everything it can reach, at random.

Callbacks, samplings, schedules, generators, optimizers and another thread resize, overwrite and
replace the arrays of a run, its parameters, and the contents of its history. A training may end
with a result or an error, but must not crash or corrupt memory, which a build with the address
sanitizer detects (tools/sanitize.py). An undisturbed training is repeated in between and must keep
its bits.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastgd as gd
from fastgd.schedules import Schedule

LOSSES = ("squared_error", "cross_entropy", "log_loss", "hinge")  # one for each kind of targets
OPTIMIZERS = (
    gd.SGD(0.01, momentum=0.9),
    *(kind(learning_rate=0.01) for kind in gd.optimizers.OPTIMIZERS.values()),
)
SAMPLINGS = tuple(gd.sampling.SAMPLINGS)


class Mischief:
    """Holds the objects that may change; each call changes one of them at random."""

    def __init__(self, rng: np.random.Generator, often: float) -> None:
        self.rng, self.often = rng, often
        self.arrays: list[Any] = []
        self.history: gd.History | None = None

    def __call__(self, *, beside: bool = False) -> None:
        """Change something, or nothing; with `beside`, while the engine may be running."""
        if self.rng.random() < self.often:
            with contextlib.suppress(Exception):
                self.change(self.arrays[self.rng.integers(len(self.arrays))], beside)

    def change(self, array: Any, beside: bool = False) -> None:
        """Change an array, its memory or a history in one of many ways."""
        rng, history = self.rng, self.history
        changes: list[Callable[[], Any]] = [
            lambda: array.fill(rng.choice([2**31 - 1, -1, 1, 0])),
            lambda: setattr(array, "shape", (array.size, 1)),
            lambda: setattr(array, "dtype", np.int8),
            lambda: array.setflags(write=False),
        ]
        # NumPy copies arrays without the GIL and without holding their memory, so another thread
        # that resizes one crashes NumPy. tests/test_memory.py has threads that resize what a run
        # reads.
        if not beside:
            changes += [
                lambda: array.resize((int(rng.integers(1, 9)),) * array.ndim, refcheck=False),
                lambda: array.base.resize(1, refcheck=False),
            ]
        if not beside and array is self.arrays[0]:  # NumPy frees its memory even if there are views
            state = 1, array.shape, array.dtype, False, bytes(array.nbytes)
            changes.append(lambda: array.__setstate__(state))
        if history is not None:
            kept: Any = history._state
            changes += [
                lambda: setattr(kept, "moments", ()),
                lambda: setattr(kept, "moments", tuple(m[:1] for m in kept.moments)),
                lambda: [m.fill(np.nan) for m in kept.moments],
                lambda: setattr(kept, "scalars", np.zeros(int(rng.integers(9)))),
                lambda: setattr(kept, "step", int(rng.integers(-9, 2**62))),
                lambda: history.trace.clear(),
                lambda: setattr(history, "_state", None),
                lambda: setattr(history, "optimizer", gd.Adam()),
                lambda: setattr(history, "_schedule_state", (1e300,)),
                lambda: history.loss.clear(),
            ]
        if history is not None and not beside:
            changes += [
                lambda: [m.resize(1, refcheck=False) for m in history._state.moments],
                lambda: [v.base.resize(1, refcheck=False) for v in history.trace.values()],
            ]
        changes[rng.integers(len(changes))]()


class OwnSampling:
    """A sampling that keeps and reuses its order."""

    def __init__(self, act: Mischief, n: int, dtype: Any) -> None:
        self.act, self.order = act, np.arange(n, dtype=dtype)
        act.arrays.append(self.order)

    def epoch(self, n: int, rng: np.random.Generator) -> Any:
        """Change something, and return the order."""
        self.act()
        return self.order


class OwnGenerator(np.random.Generator):
    """A generator whose draws change things, and may be out of range."""

    act: Mischief

    def _drawn(self, values: Any) -> Any:
        self.act()
        if self.act.rng.random() < self.act.often / 4:
            return np.asarray(values) * 10**7
        return values

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Draw, and change the array that was given for the result."""
        drawn = super().standard_normal(size, dtype, out)
        self.act(beside=True)
        if out is not None and self.act.rng.random() < self.act.often:
            self.act.change(out)
        return drawn

    def choice(self, *args: Any, **kwargs: Any) -> Any:
        """Draw samples that may not exist."""
        return self._drawn(super().choice(*args, **kwargs))

    def binomial(self, *args: Any, **kwargs: Any) -> Any:
        """Draw batch sizes that may be too large."""
        return self._drawn(super().binomial(*args, **kwargs))


@dataclass(frozen=True)
class OwnSchedule(Schedule):
    """A schedule that sometimes returns the wrong number of rates."""

    act: Any = None

    def rates(self, base: float, start: int, count: int, state: Any = None) -> Any:
        """Return rates, sometimes one too many or too few."""
        self.act()
        return np.full(max(0, count + int(self.act.rng.integers(-1, 2) * (start % 5 == 4))), base)

    def _rates(self, base: float, t: Any, state: Any) -> Any:
        return np.full(len(t), base)


@dataclass(frozen=True)
class OwnOptimizer(gd.Adam):
    """An optimizer whose state does not fit its kernel."""

    more: int = 0

    n_moments = property(lambda self: 2 + self.more % 3 - 1)  # type: ignore[assignment]

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """As many as Adam's, or more."""
        return (*super().hyperparameters, *[0.5] * (20 * (self.more // 3)))


def draw(rng: np.random.Generator) -> tuple[gd.Network, dict[str, Any], Mischief]:
    """Return a network, the arguments of a training, and the object that changes them."""
    act = Mischief(rng, rng.choice([0.0, 0.1, 0.5]))
    loss = str(rng.choice(LOSSES))
    n, width = int(rng.integers(1, 200)), int(rng.integers(1, 40))
    outputs = int(rng.integers(2, 20)) if loss == "cross_entropy" else 1
    hidden = [int(k) for k in rng.integers(1, 40, rng.integers(3))]
    dtype = str(rng.choice(["float32", "float64"]))
    net = gd.Network([width, *hidden, outputs], loss=loss, dtype=dtype, rng=0)
    labels = rng.integers(2 if outputs == 1 else outputs, size=n)
    y = (2 * labels - 1 if loss == "hinge" else labels).astype(
        rng.choice(["int32", "int64"]) if outputs > 1 else dtype
    )
    X = rng.standard_normal((n, width)).astype(dtype)
    weight = rng.random(n).astype(dtype) + 1
    act.arrays += [X, y, weight, net.params]
    generator = OwnGenerator(np.random.PCG64(int(rng.integers(99))))
    generator.act = act
    sampling: Any = SAMPLINGS[rng.integers(len(SAMPLINGS))]
    if rng.random() < 0.4:
        sampling = OwnSampling(act, n, rng.choice(["uint32", "int64", "int32"]))
    settings: dict[str, Any] = {
        "X": X, "y": y, "sample_weight": weight, "sampling": sampling, "rng": generator,
        "batch_size": int(rng.integers(1, n + 1)), "epochs": int(rng.integers(1, 9)),
        "optimizer": OPTIMIZERS[rng.integers(len(OPTIMIZERS))],
        "n_threads": int(rng.integers(1, 3)),
    }  # fmt: skip
    if rng.random() < 0.1:
        settings["optimizer"] = OwnOptimizer(more=int(rng.integers(6)))
    if rng.random() < 0.3:
        settings["schedule"] = OwnSchedule(act=act, unit=str(rng.choice(["epoch", "update"])))
    if rng.random() < 0.5:
        settings["validation"] = X.copy(), y.copy()
        act.arrays += settings["validation"]
    if rng.random() < 0.5:
        settings["record"] = ("loss", "params", "gradient_norm")
        settings["record_every"] = int(rng.integers(1, 5))
    if rng.random() < 0.3:
        settings |= {"clip_per_sample": 1.0}
        if not isinstance(sampling, str) or sampling == "poisson":
            settings["noise_multiplier"] = 0.1
    if hidden and rng.random() < 0.3:
        settings["dropout"] = 0.3
    return net, settings, act


@contextlib.contextmanager
def beside(act: Mischief) -> Iterator[None]:
    """Change things from another thread as well."""
    stop = threading.Event()

    def attack() -> None:
        while not stop.wait(1e-5):
            act(beside=True)

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run(seed: int) -> bool:
    """Train under random changes; return whether it ended without an error."""
    rng = np.random.default_rng(seed)
    net, settings, act = draw(rng)

    def look(net: gd.Network, history: gd.History) -> None:
        act.history = history
        act()

    settings["callbacks"] = [look]
    many = rng.random() < 0.2
    try:
        with beside(act) if rng.random() < 0.5 else contextlib.nullcontext():
            if many:
                X, y = settings.pop("X"), settings.pop("y")
                del settings["n_threads"]
                settings["samples"] = np.arange(len(X), dtype=np.uint32)
                settings["batch_size"] = 1
                act.arrays.append(settings["samples"])
                gd.train_many([net], X, y, settings, n_threads=2)
            else:
                history = gd.train(net, **settings)
                for name in ("optimizer", "schedule", "rng"):
                    settings.pop(name, None)
                gd.train(net, **settings, resume=history)
    except Exception:
        return False
    return True


def undisturbed() -> bytes:
    """Return the bits of an undisturbed training."""
    X = np.random.default_rng(0).standard_normal((100, 5))
    net = gd.Network([5, 9, 1], rng=0)
    gd.train(net, X, X[:, 0], epochs=2, optimizer=gd.Adam(0.01), rng=0)
    return net.params.tobytes()


def main() -> int:
    """Run for a time; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="the first training's (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="print each seed before it runs")
    options = parser.parse_args()
    expected, end, ended = undisturbed(), time.monotonic() + options.seconds, 0
    with np.errstate(all="ignore"):
        for seed in itertools.count(options.seed):
            if options.verbose:
                print(f"\rseed {seed}", end="", flush=True)
            ended += run(seed)
            if undisturbed() != expected:
                print(f"after seed {seed} an undisturbed training has different bits")
                return 1
            if time.monotonic() > end:
                break
    print(f"\n{seed + 1 - options.seed} trainings under changes, {ended} of them without an error")
    return 0


if __name__ == "__main__":
    sys.exit(main())
