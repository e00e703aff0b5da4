"""Registries: what Python defines and what the kernels compute are the same members."""

import json
from dataclasses import MISSING, fields

import pytest
from members import optimizers

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.engine import kernels
from fastgd.losses import LOSSES
from fastgd.optimizers import OPTIMIZERS
from fastgd.schedules import SCHEDULES, from_entry

#: kernels of scikit-learn's optimizers, which have no name in the package
ESTIMATORS_OWN = {"efficient_adam", "velocity", "nesterov_velocity"}


@pytest.mark.parametrize("level", kernels.levels())
def test_members_and_kernels_have_the_same_names(level):
    names = kernels.names(level)
    matrices = {f"{loss.name}_matrix" for loss in LOSSES.values() if loss.targets.indices}
    assert names["activation"] == list(dict.fromkeys(names["activation"]))
    assert set(names["activation"]) == set(ACTIVATIONS)
    assert set(names["loss"]) == set(LOSSES) | matrices
    assert set(names["optimizer"]) == set(optimizers()) | ESTIMATORS_OWN


def test_every_optimizer_is_public():
    kinds = {kind.__name__: kind for kind in OPTIMIZERS.values()}
    assert set(gd.optimizers.__all__) == set(kinds)
    assert {name: getattr(gd, name) for name in kinds} == kinds
    assert set(kinds) <= set(gd.__all__)


def test_every_schedule_is_public_and_can_be_saved():
    offered = {getattr(gd.schedules, name) for name in gd.schedules.__all__}
    assert offered == {*SCHEDULES.values(), gd.schedules.Schedule, gd.schedules.Function}


@pytest.mark.parametrize("optimizer", optimizers().values(), ids=list(optimizers()))
def test_every_optimizer_resumes_from_a_file(optimizer, tmp_path):
    def train(net, epochs, **options):
        X = [[0.5], [1.0], [-2.0]]
        return gd.train(net, X, [1.0, 2.0, -1.0], batch_size=2, epochs=epochs, **options)

    whole, parts = gd.Network([1, 1]), gd.Network([1, 1])
    train(whole, 4, optimizer=optimizer, rng=0)
    history = train(parts, 2, optimizer=optimizer, rng=0)
    gd.save_checkpoint(tmp_path / "run.npz", parts, history)
    parts, history = gd.load_checkpoint(tmp_path / "run.npz")
    assert history.optimizer == optimizer
    train(parts, 2, resume=history)
    assert parts.params.tobytes() == whole.params.tobytes()


def made(kind):
    """Return a schedule of this kind, with small numbers for what it needs."""
    small = {"int": 3, "float": 0.5, "Sequence[int]": [1, 4]}
    needed = [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    return kind(**{field.name: small[field.type] for field in needed if field.init})


@pytest.mark.parametrize("kind", SCHEDULES.values())
def test_every_schedule_resumes_in_memory_and_from_a_file(kind):
    schedule = made(kind)
    again = from_entry(json.loads(json.dumps(schedule.to_entry())))
    whole = schedule.rates(0.1, 0, 12)
    assert again == schedule
    assert [again.rates(0.1, t, 1)[0] for t in range(12)] == whole.tolist()
