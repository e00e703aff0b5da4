"""Callbacks that report to other packages, each with the real one."""

import mlflow
import numpy as np
import optuna
import pytest
import wandb
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import fastgd as gd

optuna.logging.set_verbosity(optuna.logging.WARNING)


def train(*callbacks, **options):
    X = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    settings = {"validation": 0.5, "metrics": ["r2"], "epochs": 3, "rng": 0} | options
    return gd.train(gd.Network([3, 1]), X, X[:, 0], callbacks=callbacks, **settings)


def reported(history):
    """What a tracker should know of a training: each series by its name."""
    return {
        "loss": history.loss,
        "validation_loss": history.validation_loss,
        "learning_rate": history.learning_rate,
        "r2": history.metrics["r2"],
        "validation_r2": history.validation_metrics["r2"],
    }


@pytest.mark.parametrize(
    ("options", "monitor", "series"),
    [
        ({}, None, "validation_loss"),
        ({"validation": None}, None, "loss"),
        ({}, "validation_r2", "validation_r2"),
    ],
)
def test_optuna_sees_each_epoch(options, monitor, series):
    trial = optuna.create_study().ask()
    history = train(gd.callbacks.Optuna(trial, monitor=monitor), **options)
    seen = trial.study.trials[0].intermediate_values
    assert seen == dict(enumerate(getattr(history, series, None) or reported(history)[series], 1))


def test_optuna_prunes():
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0))
    study.optimize(lambda trial: train(gd.callbacks.Optuna(trial)).loss[-1], n_trials=1)
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert list(trial.intermediate_values) == [1]


def test_an_unknown_value_to_monitor_is_named():
    trial = optuna.create_study().ask()
    with pytest.raises(ValueError, match=r"monitor.*'validation_loss'"):
        train(gd.callbacks.Optuna(trial, monitor="val_loss"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_logs_each_epoch(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run() as run:
        history = train(gd.callbacks.MLflow())
    client = mlflow.MlflowClient()
    for name, values in reported(history).items():
        logged = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in logged] == list(enumerate(values, 1))


def scalars(path):
    """Read the steps and values of an event file, by tag."""
    found = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def test_tensorboard_has_each_epoch(tmp_path):
    history = train(gd.callbacks.TensorBoard(tmp_path / "run"))
    (file,) = (tmp_path / "run").iterdir()
    wanted = {
        name: list(enumerate(np.float32(values).tolist(), 1))
        for name, values in reported(history).items()
    }
    assert scalars(file) == wanted


@pytest.mark.slow
def test_wandb_has_each_epoch(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no active run"):
        gd.callbacks.WandB()
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=tmp_path, project="test") as run:
        history = train(gd.callbacks.WandB())
        assert run.step == 4  # the next one
        assert {k: run.summary[k] for k in reported(history)} == {
            name: values[-1] for name, values in reported(history).items()
        }


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (lambda: gd.callbacks.Optuna(None), "optuna"),
        (gd.callbacks.MLflow, "mlflow"),
        (lambda: gd.callbacks.TensorBoard("x"), "tensorboard.summary"),
        (gd.callbacks.WandB, "wandb"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(make, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(
        ImportError, match=rf"{module.partition('.')[0]}.*pip install 'fastgd\[trackers\]'"
    ):
        make()
