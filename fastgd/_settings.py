"""The checked settings of a training: what `train` accepts besides its data.

Names and defaults are defined only in the signature of `fastgd.train`. Settings that depend on
the data (batch size, sampling, weights) are checked in `training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd import _validation, _words, backends
from fastgd._progress import check_verbose
from fastgd._recording import RECORDS
from fastgd.backends._dropout import check_dropout
from fastgd.history import History, check_owner, restore_rng
from fastgd.metrics import Metric, check_metrics
from fastgd.network import Network
from fastgd.optimizers import SGD, Optimizer, OptimizerState, check_optimizer
from fastgd.stopping import EarlyStopping, check_early_stopping

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["Beginning", "Settings"]

DEFAULT_OPTIMIZER = SGD(0.01)


class Settings(NamedTuple):
    """The arguments of `train`, in the form that a run computes with.

    Each attribute is the argument of the same name.
    """

    epochs: int
    callbacks: tuple[Callable[..., Any], ...]
    backend: Any
    drop_last: bool
    shards: int
    reduction: str
    n_threads: int
    l1: float
    l2: float
    clip_value: float | None
    clip_norm: float | None
    clip_per_sample: float | None
    noise_multiplier: float
    dropout: tuple[float, ...]
    record: set[str]
    record_every: int
    early_stopping: EarlyStopping | None
    metrics: tuple[Metric, ...]
    verbose: int | str

    @classmethod
    def check(cls, net: Network, given: Mapping[str, Any]) -> Settings:
        """Return the checked settings; raise if one is not as `train` documents.

        Parameters
        ----------
        net : Network
            The network to train.
        given : mapping
            All of `train`'s keyword arguments.
        """
        real, choice = _validation.check_real, _validation.check_choice
        settings = cls(
            epochs=_validation.check_int("epochs", given["epochs"], at_least=0),
            callbacks=_validation.check_callbacks(given["callbacks"], "net", "history"),
            backend=backends.load(choice("backend", given["backend"], backends.BACKENDS)),
            drop_last=_validation.check_bool("drop_last", given["drop_last"]),
            shards=_validation.check_int("shards", given["shards"], at_least=1),
            reduction=choice("reduction", given["reduction"], ("mean", "sum")),
            n_threads=_validation.check_threads(given["n_threads"]),
            l1=real("l1", given["l1"], at_least=0),
            l2=real("l2", given["l2"], at_least=0),
            **{name: _limit(name, given[name]) for name in CLIPPING},
            noise_multiplier=real("noise_multiplier", given["noise_multiplier"], at_least=0),
            dropout=check_dropout(given["dropout"], len(net.hidden)),
            record=_validation.check_record(given["record"], RECORDS),
            record_every=_validation.check_int("record_every", given["record_every"], at_least=1),
            early_stopping=check_early_stopping(given["early_stopping"]),
            metrics=check_metrics(given["metrics"], net.loss),
            verbose=check_verbose(given["verbose"]),
        )
        settings._check_together(given["sampling"], given["validation"] is not None)
        return settings

    def _check_together(self, sampling: Any, validated: bool) -> None:
        """Check the settings that depend on one another."""
        if self.clip_value is not None and self.clip_norm is not None:
            raise ValueError("clip_value and clip_norm clip the same gradient: give one of them")
        if self.noise_multiplier > 0 and self.clip_per_sample is None:
            raise ValueError(
                "noise_multiplier needs clip_per_sample: the noise hides one sample's gradient, "
                "whose norm must be bounded"
            )
        if self.noise_multiplier > 0 and isinstance(sampling, str) and sampling != "poisson":
            raise ValueError(
                f"noise_multiplier goes with sampling='poisson', not {sampling!r}: privacy "
                "accounting assumes that sampling"
            )
        if self.early_stopping is not None:
            self._check_monitor(self.early_stopping.monitor, validated)

    def _check_monitor(self, monitor: str, validated: bool) -> None:
        """Check that the value that early stopping watches will be computed."""
        names = ["loss", *(metric.name for metric in self.metrics)]
        after = ["validation_loss", *(f"validation_{metric.name}" for metric in self.metrics)]
        if monitor in after and not validated:
            raise ValueError(
                f"early_stopping watches {monitor!r}, but there is no validation data: give it, "
                "as in validation=0.2, or watch the training loss by "
                "fastgd.EarlyStopping(monitor='loss')"
            )
        known = names + (after if validated else [])
        if monitor not in known:
            raise ValueError(
                f"early_stopping watches {monitor!r}, but this training only computes "
                f"{_words.listed(known)} (metrics= adds more){_words.did_you_mean(monitor, known)}"
            )


CLIPPING = ("clip_value", "clip_norm", "clip_per_sample")


def _limit(name: str, value: Any) -> float | None:
    return None if value is None else _validation.check_real(name, value, above=0)


class Beginning(NamedTuple):
    """The state in which a training starts: a new one, or the end of an earlier training."""

    optimizer: Optimizer
    schedule: Schedule | None
    rng: np.random.Generator
    state: OptimizerState
    history: History

    @classmethod
    def check(cls, net: Network, given: Mapping[str, Any]) -> Beginning:
        """Return the starting state, from train's optimizer, schedule, rng and resume."""
        optimizer, schedule = given["optimizer"], given["schedule"]
        rng, resume = given["rng"], given["resume"]
        if optimizer is not None:
            check_optimizer(optimizer)
        if resume is None:
            return cls._fresh(net, optimizer, schedule, rng)
        if not isinstance(resume, History) or resume._state is None:
            hint = ""
            if isinstance(resume, tuple):
                hint = ": load_checkpoint returns the network and the history, which is meant here"
            raise TypeError(
                f"resume must be what fastgd.train returned, not {_words.show(resume)}{hint}"
            )
        if optimizer is not None or schedule is not None or rng is not None:
            raise ValueError(
                "resume brings the optimizer, the schedule and the generator: leave them out"
            )
        return cls._after(net, resume)

    @classmethod
    def _fresh(cls, net: Network, optimizer: Any, schedule: Any, rng: Any) -> Beginning:
        optimizer = DEFAULT_OPTIMIZER if optimizer is None else optimizer
        generator = _validation.check_rng(rng)
        state = optimizer.initial_state(net.params)
        made = None if schedule is None else _make_schedule(schedule)
        history = History(optimizer=optimizer, schedule=made, _network=repr(net))
        if made is not None:
            history._schedule_state = made.initial_state()
        return cls(optimizer, made, generator, state, history)

    @classmethod
    def _after(cls, net: Network, resume: History) -> Beginning:
        """Continue from copies of another training's final state."""
        check_owner("resume", resume, net)
        history = resume.copy()
        history.diverged = False
        assert history.optimizer is not None
        assert history._state is not None
        return cls(
            history.optimizer, history.schedule, restore_rng(resume), history._state, history
        )


def _make_schedule(value: Any) -> Schedule:
    from fastgd.schedules import make_schedule  # only imported if there is a schedule

    return make_schedule(value)
