"""verbose: a line per epoch, or a bar."""

import sys

import numpy as np
import pytest

import fastgd as gd


@pytest.fixture
def run():
    X = np.linspace(-1, 1, 20).reshape(-1, 1)
    return gd.Network([1, 1]), X, X[:, 0]


def test_nothing_is_shown_unless_asked_for(run, capsys):
    gd.train(*run)
    assert capsys.readouterr() == ("", "")


def test_verbose_1_prints_a_line_per_epoch(run, capsys):
    history = gd.train(*run, epochs=10, validation=0.2, metrics=["mae"], verbose=1, rng=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[2].startswith(f"epoch  3/10: loss {history.loss[2]:.6g}, mae ")
    assert f", validation loss {history.validation_loss[2]:.6g}, validation mae " in lines[2]
    assert lines[2].endswith(" s)")


def test_a_resumed_training_continues_the_numbering(run, capsys):
    history = gd.train(*run, epochs=2)
    gd.train(*run, epochs=1, resume=history, verbose=1)
    assert capsys.readouterr().out.startswith("epoch 3/3: ")


def test_a_bar(run, capsys):
    gd.train(*run, epochs=7, verbose="bar")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "7/7" in shown.err
    assert "loss=" in shown.err


def test_without_tqdm_a_bar_becomes_lines(run, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    gd.train(*run, epochs=2, verbose="bar")
    assert capsys.readouterr().out.count("epoch") == 2


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("baar", ValueError, "verbose is 'baar', but must be 0, 1 or 'bar': did you mean 'bar'?"),
        (2, ValueError, "verbose is 2, but must be 0, 1 or 'bar'"),
        (-1, ValueError, "verbose is -1, but must be 0, 1 or 'bar'"),
        (None, TypeError, "verbose must be 0, 1 or 'bar', not None"),
        (1.5, TypeError, "verbose must be 0, 1 or 'bar', not 1.5"),
    ],
)
def test_other_values_are_refused(run, value, error, message):
    with pytest.raises(error) as caught:
        gd.train(*run, verbose=value)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [True, np.True_, np.int64(1)])
def test_true_means_lines(run, capsys, value):
    gd.train(*run, epochs=1, verbose=value)
    assert capsys.readouterr().out.count("epoch") == 1


def test_a_resumed_training_shows_only_what_it_computes(capsys):
    X = np.random.default_rng(0).standard_normal((20, 2))
    net = gd.Network([2, 1])
    held = {"validation": (X[:4], X[:4, 0]), "metrics": ["mae"]}
    history = gd.train(net, X, X[:, 0], epochs=1, rng=0, **held)
    gd.train(net, X, X[:, 0], epochs=1, resume=history, verbose=1)
    shown = capsys.readouterr()
    assert "loss" in shown.out + shown.err
    assert "mae" not in shown.out + shown.err
    assert "validation" not in shown.out + shown.err
