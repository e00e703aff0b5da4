"""The command line from a user's view: what it prints, writes and refuses."""

import contextlib
import copy
import csv
import errno
import io
import json
import os
import pickle
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastgd as gd
from fastgd.commandline import _main as cli
from fastgd.commandline._output import Progress
from fastgd.data import load_digits
from fastgd.table_model._problem import StepSizeRule

FAST = ["--epochs", "2", "--hidden", "8"]


def write_table(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return str(path)


def houses(n=120):
    """Return a table whose price and kind follow from its other columns."""
    rng = np.random.default_rng(0)
    rows = [["area", "city", "price", "kind"]]
    for area in rng.uniform(20, 200, n).tolist():
        city = ["Bern", "Lyon", 'Oslo, "East"'][int(rng.integers(3))]
        price = 3 * area + 100 * (city == "Bern") + float(rng.normal(0, 5))
        rows.append([f"{area:.2f}", city, f"{price:.2f}", "big" if area > 100 else "small"])
    return rows


def pickle_again(model):
    return pickle.loads(pickle.dumps(model))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with house.csv the working directory."""
    monkeypatch.chdir(tmp_path)
    write_table("house.csv", houses())
    return tmp_path


@pytest.fixture
def run(capsys):
    """Return a function that runs the command line: its exit code, output and errors."""

    def run(*words):
        code = cli.main(list(words))
        return (code, *capsys.readouterr())

    return run


def body(out):
    """Return the table's rows, as lists of words, without the star of the best one."""
    lines = out.split("-----\n")[1].split("\n\n")[0].splitlines()
    return [line.removesuffix(" *").replace(" of ", "/").split() for line in lines]


def numbers(out):
    """Return the table's rows without what is measured."""
    return [row[:4] + row[5:] for row in body(out)]


def recommended(out):
    """Return the batch sizes of the starred rows."""
    return [line.split()[1] for line in out.splitlines() if line.endswith(" *")]


def read(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


@pytest.fixture(scope="module")
def main_job():
    """Return what the command line prints without any words."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main([]) == 0
    return out.getvalue()


def test_the_main_job_compares_three_batch_sizes_on_the_digits(main_job):
    assert "Alpaydin & Kaynak 1998, UCI repository, CC BY 4.0" in main_job
    assert "1,438 rows train, 359 validate. Model: 64-64-10" in main_job
    assert [row[:4] for row in body(main_job)] == [
        ["stochastic", "1", "7/12", "0.011"],
        ["mini-batch", "32", "18/20", "0.12"],
        ["batch", "1,438", "20/20", "0.69"],
    ]


def test_the_main_job_learns_more_by_small_batches(main_job):
    rows = body(main_job)
    assert min(float(row[-1].rstrip("%")) for row in rows) > 94
    losses = [float(row[-3]) for row in rows]
    assert max(losses[:2]) < losses[2]


def test_the_main_job_fits_a_terminal(main_job):
    lines = main_job.splitlines()
    assert max(map(len, lines)) <= 90
    assert max(len(line) for line in lines if "  " in line) <= 79


def test_the_same_seed_prints_the_same_numbers(run):
    def job(*words):
        return numbers(run(*FAST, *words)[1])

    assert job() == job() == job("--threads", "1")
    assert job() != job("--seed", "1")


def test_compare_is_the_main_jobs_name(folder, run):
    words = ["house.csv", "--target", "price", *FAST]
    tables = [numbers(run(*job, *words)[1]) for job in ([], ["compare"])]
    assert tables[0] == tables[1]


def test_with_a_goal_the_advice_is_for_it(folder, run):
    words = ["house.csv", "--target", "price", "--hidden", "none"]
    advice = run(*words, "--goal", "0.5")[1].split("\n\n")[-1]
    assert "it reached the goal, a validation loss of 0.5" in " ".join(advice.split())
    advice = " ".join(run(*words, "--goal", "-1")[1].split("\n\n")[-1].split())
    assert advice.startswith(
        "No batch size reached the goal, a validation loss of -1. Nearest came"
    )


def test_a_page_without_matplotlib_names_the_extra(monkeypatch, run):
    for name in [name for name in sys.modules if name.startswith("fastgd.plot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("--html", "report.html")
    assert (code, out) == (2, "")
    assert err.startswith("fastgd: error: --html: ")
    assert "pip install 'fastgd[plot]'" in err
    assert err.count("\n") == 1


def test_backends_print_the_same_table(folder, run):
    outputs = [
        numbers(out)
        for _, out, _ in (
            run("house.csv", "--target", "price", *FAST, "--backend", backend)
            for backend in ("compiled", "vectorized", "loop")
        )
    ]
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_regression_on_a_users_file(folder, run):
    words = ["house.csv", "--target", "price", "--ignore", "kind", "--hidden", "16,16"]
    code, out, err = run(*words, "--epochs", "30", "--batch-size", "8,full")
    assert (code, err) == (0, "")
    assert "Target: price (regression: its values are numbers with fractions; --task" in out
    assert "Inputs: area, city (3 categories)" in out
    assert "Model: 4-16-16-1 relu network" in out
    rows = body(out)
    assert [row[:4] for row in rows] == [
        ["mini-batch", "8", "28/30", "0.097"],
        ["batch", "96", "30/30", "0.11"],
    ]
    assert float(rows[0][-1]) > 0.9
    assert "of the variance of price" in " ".join(out.split())


def test_a_classification_and_a_linear_model(folder, run):
    code, out, _ = run("house.csv", "--target", "kind", "--hidden", "none", "--batch-size", "4")
    assert code == 0
    assert "Target: kind (classification: its values are text" in out
    assert "Model: 5-2 linear model" in out
    assert float(body(out)[0][-1].rstrip("%")) > 85


def test_saving_and_predicting_numbers(folder, run):
    code, out, _ = run("house.csv", "--target", "price", "--epochs", "40", "--save", "house.npz")
    assert code == 0
    assert re.search(r"Saved the model of batch size \d+ to house.npz\.", out)
    rows = [
        ["kind", "area", "note", "city"],
        ["small", "50", "?", "Lyon"],
        ["big", "150", "", "Bern"],
    ]
    write_table("new.csv", rows)
    code, out, err = run("predict", "house.npz", "new.csv", "--output", "out.csv")
    assert (code, out, err) == (0, "Wrote 2 predictions to out.csv.\n", "")
    head, *values = read("out.csv")
    assert head == ["prediction"]
    np.testing.assert_allclose([float(value) for (value,) in values], [150, 550], rtol=0.15)
    code, out, _ = run("predict", "house.npz", "new.csv")
    assert [[line] for line in out.splitlines()] == [head, *values]
    assert sorted(os.listdir(folder)) == ["house.csv", "house.npz", "new.csv", "out.csv"]


def test_saving_and_predicting_classes(folder, run):
    run("house.csv", "--target", "city", "--epochs", "200", "--ignore", "kind", "--save", "m.npz")
    code = run("predict", "m.npz", "house.csv", "--probabilities", "--output", "out.csv")[0]
    assert code == 0
    head, *rows = read("out.csv")
    names = ["Bern", "Lyon", 'Oslo, "East"']
    assert head == ["prediction", *(f"probability of {name}" for name in names)]
    chances = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert [row[0] for row in rows] == [names[i] for i in chances.argmax(axis=1)]
    truth = [row[1] for row in houses()[1:]]
    assert np.mean([row[0] == city for row, city in zip(rows, truth, strict=True)]) > 0.6


def test_the_saved_model_is_the_best_one_and_loads_in_python(folder, run):
    _, out, _ = run("--save", "digits.npz", *FAST)
    scores = {row[1]: float(row[-1].rstrip("%")) for row in body(out)}
    (best,) = recommended(out)
    assert f"Saved the model of batch size {best} to" in out
    assert gd.load("digits.npz").network.sizes == (64, 8, 10)
    images, labels = load_digits()
    rows = [[f"pixel {i // 8},{i % 8}" for i in range(64)], *images.tolist()]
    write_table("digits.csv", rows)
    assert run("predict", "digits.npz", "digits.csv", "--output", "out.csv")[0] == 0
    predicted = np.array(read("out.csv")[1:], dtype=int)[:, 0]
    assert np.mean(predicted == labels) > max(scores.values()) / 100 - 0.05


@pytest.mark.parametrize("again", [lambda model: model, copy.deepcopy, pickle_again])
@pytest.mark.parametrize("target", ["price", "city"])
def test_a_model_that_python_saves_again_loses_nothing(folder, run, target, again):
    run("house.csv", "--target", target, "--save", "m.npz", *FAST)
    _, before, _ = run("predict", "m.npz", "house.csv")
    whole = Path("m.npz").read_bytes()
    again(gd.load("m.npz")).save("m.npz")
    assert run("predict", "m.npz", "house.csv")[1] == before
    assert Path("m.npz").read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: {**table, "version": 99},
            "'m.npz' cannot be used: it was saved by a later",
        ),
        (lambda table: {**table, "columns": table["columns"][1:]}, "do not fit together"),
        (lambda table: {}, "its description of the columns is damaged (KeyError('version'))"),
        (lambda table: None, "its description of the columns is damaged"),
    ],
)
def test_a_models_damaged_columns_are_said(model, run, change, message):
    with np.load("m.npz") as file:
        entries = dict(file)
    header = json.loads(str(entries["fastgd"]))
    entries["fastgd"] = np.array(json.dumps(header | {"table": change(header["table"])}))
    np.savez("m.npz", **entries)
    code, out, err = run("predict", "m.npz", "house.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    with pytest.raises(ValueError, match=re.escape(message)):
        gd.load("m.npz")


def with_gaps(folder):
    rows = houses(40)
    rows[3][0] = "NA"
    rows[7][1] = ""
    write_table("gaps.csv", rows)


def test_missing_values_are_an_error_when_training(folder, run):
    with_gaps(folder)
    code, out, err = run("gaps.csv", "--target", "price", "--missing", "error", *FAST)
    assert (code, out) == (2, "")
    assert err == (
        "fastgd: error: gaps.csv: values are missing in 2 of 40 rows: 'area' 1 (line 4: 'NA'), "
        "'city' 1 (line 8: ''). Fill them in, leave such rows out with --missing drop, or such "
        "columns with --ignore\n"
    )


def test_a_target_with_missing_values_is_not_to_be_ignored(folder, run):
    with_gaps(folder)
    words = ["--missing", "error", "--ignore", "city"]
    code, _, err = run("gaps.csv", "--target", "area", *words, *FAST)
    assert code == 2
    assert err.endswith(
        "(line 4: 'NA'). Fill them in, or leave such rows out with --missing drop\n"
    )


def test_rows_with_missing_values_can_be_left_out(folder, run):
    with_gaps(folder)
    code, out, _ = run("gaps.csv", "--target", "price", "--missing", "drop", *FAST)
    assert code == 0
    assert "Dropped: 2 rows with missing values, area 1, city 1.\n" in out
    assert "30 rows train, 8 validate" in out


def test_columns_with_missing_values_can_be_left_out(folder, run):
    with_gaps(folder)
    assert run("gaps.csv", "--target", "price", "--ignore", "area,city", *FAST)[0] == 0


@pytest.fixture
def model_of_two_columns(folder, run):
    """Save as m.npz a model of house.csv's prices that reads the area and the city."""
    run("house.csv", "--target", "price", "--ignore", "kind", "--save", "m.npz", *FAST)


def test_missing_values_are_an_error_when_predicting(model_of_two_columns, folder, run):
    with_gaps(folder)
    code, out, err = run("predict", "m.npz", "gaps.csv")
    assert (code, out) == (2, "")
    assert "'area' 1 (line 4: 'NA'), 'city' 1 (line 8: '')" in err
    assert "--missing empty" in err


def test_predictions_of_rows_with_missing_values_can_be_empty(model_of_two_columns, folder, run):
    with_gaps(folder)
    assert run("predict", "m.npz", "gaps.csv", "--missing", "empty", "--output", "o.csv")[0] == 0
    values = [value for (value,) in read("o.csv")[1:]]
    assert len(values) == 40
    assert [i for i, value in enumerate(values) if not value] == [2, 6]


def test_unknown_categories_are_an_error(model_of_two_columns, run):
    write_table("new.csv", [["area", "city"], ["50", "Rome"]])
    code, out, err = run("predict", "m.npz", "new.csv")
    assert (code, out) == (2, "")
    assert "new.csv, line 2, column 'city': the model knows no 'Rome'; in training" in err


def test_unknown_categories_can_be_ignored(model_of_two_columns, run):
    write_table("new.csv", [["area", "city"], ["50", "Rome"]])
    code, out, _ = run("predict", "m.npz", "new.csv", "--unknown", "ignore")
    assert code == 0
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("none.csv --target x", "none.csv: No such file or directory"),
        ("house.csv", "--target is missing: it names the column to predict, one of 'area', 'city'"),
        ("house.csv --target prise", "no column 'prise' (did you mean 'price'?), which --target"),
        ("house.csv --target PRICE", "no column 'PRICE' (did you mean 'price'?), which --target"),
        ("house.csv --target price --ignore x", "no column 'x', which --ignore names"),
        ("house.csv --target price --ignore price", "--target price is also in --ignore"),
        (
            "house.csv --target price --categorical price",
            "--categorical price: that is the target; --task classification says that it holds",
        ),
        (
            "house.csv --target price --ignore area --categorical area",
            "'area' is in --ignore and in --categorical: name it in one of them",
        ),
        ("house.csv --target price --ignore x,z", "no columns 'x' and 'z', which --ignore names"),
        ("--ignore area", "no column 'area', which --ignore names"),
        ("house.csv --target city --task regression", "line 2, column 'city'"),
        ("house.csv --target price --task ranking", "argument --task: invalid choice: 'ranking'"),
        ("house.csv --target price --epoch 3", "no option --epoch: did you mean --epochs? (see"),
        ("house.csv --target price --fancy=1", "there is no option --fancy (see fastgd --help"),
        ("house.csv --target price --lr 0.1", "no option --lr: did you mean --learning-rate?"),
        ("comapre", "no command and no file 'comapre': did you mean compare? (see"),
        ("comapre house.csv --target price", "no command 'comapre': did you mean compare? (see"),
        ("comapre none.csv --target price", "no command 'comapre': did you mean compare? (see"),
        ("train house.csv --target price", "no command 'train': leave it out, or give compare or"),
        (
            "house.csv price",
            "and 'price' were given: a column's name goes with --target",
        ),
        ("house.csv --target price --delimiter :", "price,kind': is the --sep right?"),
        ("house.csv new.csv --target price", "one FILE is read, but 'house.csv' and 'new.csv'"),
        ("--epochs 0", "argument --epochs: '0' is not a whole number above 0"),
        (
            "--batch-size 1,-2",
            "--batch-size: '-2' is not a whole number above 0, nor full",
        ),
        ("--hidden 64,,64", "argument --hidden: '' is not a whole number above 0, nor none"),
        ("--learning-rate 0", "argument --learning-rate: '0' is not a number above 0, or several"),
        ("--learning-rate 1,2", "has 2 numbers for 3 batch sizes"),
        ("--validation 1", "argument --validation: '1' is not a number between 0 and 1"),
        (
            "--threads 99999999999999999999",
            "--threads: '99999999999999999999' is not a whole number up",
        ),
        ("--hidden 9999999999999999", "not enough memory: Unable to allocate"),
        (
            "house.csv --target price --save ./house.csv",
            "--save ./house.csv: that is FILE, too; give each a file of its own",
        ),
        ("--html out --save out", "--html out: that is --save, too"),
        ("--goal low", "argument --goal: 'low' is not a number"),
        ("--html nowhere/r.html", "--html nowhere/r.html: there is no folder '"),
        ("--html .", "--html .: this is a folder: give a file's name"),
        ("--seed -1", "argument --seed: '-1' is not a whole number, 0 or above"),
        ("--delimiter ab", "argument --sep/--delimiter: 'ab' is not one character"),
        ("--target price", "--target needs a FILE"),
        ("--save nowhere/m.npz", "--save nowhere/m.npz: there is no folder '"),
        ("--save .", "--save .: this is a folder: give a file's name"),
        ("/dev/zero --target price", "/dev/zero is not text but binary data"),  # and has no end
        ("predict /dev/zero house.csv", "'/dev/zero' is a device or a pipe"),
        ("predict none.npz house.csv", "there is no model 'none.npz'"),
        ("predict . house.csv", "the model '.': this is a folder: give a file's name"),
        ("predict house.csv house.csv", "'house.csv' is not a model: give first the file that"),
        ("predict house.csv", "the following arguments are required: FILE"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, run, words, message):
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("fastgd: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_first_line_that_may_be_no_header_is_doubted(folder, run):
    write_table("bare.csv", houses(20)[1:])
    code, _, err = run("bare.csv", "--target", "price")
    assert code == 2
    assert err.endswith(": is its first line a header?\n")


def test_too_few_rows(folder, run):
    write_table("few.csv", houses(9))
    code, _, err = run("few.csv", "--target", "price")
    assert code == 2
    assert "few.csv: 9 usable rows, but to train and to measure takes at least 10" in err


def test_too_few_rows_without_gaps_name_the_column_that_costs_most(folder, run):
    rows = houses(40)
    for row in rows[1:35]:
        row[0] = ""
    rows[3][1] = ""
    write_table("few.csv", rows)
    code, _, err = run("few.csv", "--target", "price", "--missing", "drop")
    assert code == 2
    assert "Dropped: 34 rows with missing values, area 34, city 1. few.csv: 6 usable rows" in err


@pytest.mark.parametrize("missing", ["error", "drop"])
def test_an_empty_column_is_named(missing, folder, run):
    rows = [[*row, ""] for row in houses(40)]
    rows[0][-1] = "note"
    write_table("empty.csv", rows)
    code, _, err = run("empty.csv", "--target", "price", "--missing", missing)
    assert code == 2
    assert err == ("fastgd: error: empty.csv: column 'note' holds no values: give --ignore note\n")
    assert run("empty.csv", "--target", "price", "--ignore", "note", *FAST)[0] == 0


@pytest.fixture
def model(folder, run):
    """Save a model of house.csv's prices as m.npz."""
    run("house.csv", "--target", "price", "--save", "m.npz", *FAST)
    return folder / "m.npz"


def test_a_network_that_knows_no_columns_is_no_model(folder, run):
    gd.Network([3, 1]).save("net.npz")
    code, _, err = run("predict", "net.npz", "house.csv")
    assert code == 2
    assert "holds a network without the columns it reads" in err


def test_a_damaged_model_is_named(model, run):
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    code, out, err = run("predict", "m.npz", "house.csv")
    assert (code, out) == (2, "")
    assert "'m.npz' is not a model: give first the file that --save has written" in err


def test_a_model_finds_its_columns_or_says_which_are_missing(model, run):
    write_table("new.csv", [["area", "citty"], ["50", "Bern"]])
    code, _, err = run("predict", "m.npz", "new.csv")
    assert code == 2
    assert "no columns 'city' and 'kind' (if 'citty' is 'city', rename it), which the model" in err


def test_a_model_does_not_take_what_it_knows_for_what_is_missing(folder, run):
    """Neither the target nor another of its columns, however alike the names."""
    rows = houses()
    rows[0] = ["area", "kinds", "price", "kind"]
    write_table("house.csv", rows)
    run("house.csv", "--target", "price", "--save", "m.npz", *FAST)
    write_table("new.csv", [["area", "kind", "price"], ["50", "big", "3"]])
    _, _, err = run("predict", "m.npz", "new.csv")
    assert "new.csv has no column 'kinds', which the model was trained on; it has" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--probabilities", "predicts numbers, not classes"),
        ("--output nowhere/out.csv", "--output nowhere/out.csv: there is no folder"),
        ("--output .", "--output .: this is a folder: give a file's name"),
    ],
)
def test_predictions_that_can_not_be_had(model, run, words, message):
    code, out, err = run("predict", "m.npz", "house.csv", *words.split())
    assert (code, out) == (2, "")
    assert message in err


def test_predictions_may_be_written_to_a_device(model, run):
    assert run("predict", "m.npz", "house.csv", "--output", os.devnull)[0] == 0
    assert not os.path.isfile(os.devnull)


def test_a_file_named_predict_is_reached_by_its_path(folder, run):
    os.rename("house.csv", "predict")
    assert run("./predict", "--target", "price", *FAST)[0] == 0


def test_a_batch_size_that_diverges_is_explained(folder, run):
    words = ["--batch-size", "1,32", "--learning-rate", "1e20,0.01", "--save", "m.npz"]
    code, out, err = run("house.csv", "--target", "price", *words, *FAST)
    assert (code, err) == (0, "")
    assert body(out)[0][-1] == "diverged"
    assert "Batch size 1 diverged at learning rate 1e+20: its steps overshoot." in " ".join(
        out.split()
    )
    assert "Saved the model of batch size 32" in out


def test_a_batch_size_above_the_rows_is_one_batch_of_all(folder, run):
    words = ["house.csv", "--target", "price", *FAST]
    sizes = "--batch-size", "8,5000,full", "--learning-rate", "0.01,0.1,0.2"
    code, out, err = run(*words, *sizes)
    assert (code, err) == (0, "")
    assert [row[:2] for row in body(out)] == [["mini-batch", "8"], ["batch", "96"]]
    assert "tried up to 2 learning rates" in " ".join(out.split())


def test_when_every_batch_size_diverges_nothing_is_saved(folder, run):
    words = ["--learning-rate", "1e20", "--save", "n.npz"]
    code, out, err = run("house.csv", "--target", "price", *words, *FAST)
    assert code == 1
    assert "Every run diverged. Lower the learning rate.\n" in out
    assert "scale" not in out  # as the command line has done it
    assert err == "fastgd: every run diverged, so n.npz was not written\n"
    assert not os.path.exists("n.npz")


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["--version"]])
def test_help_and_version(run, capsys, words):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(f"fastgd {gd.__version__}" if words == ["--version"] else "usage: fastgd")


def test_the_learning_rate_grows_in_proportion_and_then_levels_off():
    X = np.random.default_rng(0).standard_normal((2000, 50)).astype(np.float32)
    rule = StepSizeRule(gd.Network([50, 1]), X)
    assert len(rule(1)) == len(rule.MULTIPLES)
    assert rule(2)[0] == pytest.approx(2 * rule(1)[0], rel=0.1)
    assert rule(2000)[0] == pytest.approx(rule(1000)[0], rel=0.1)
    largest = np.linalg.eigvalsh(X.T @ X / 2000)[-1]
    assert rule.together == pytest.approx(max(largest, 1), rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("hidden", [[64], [64, 64]])
def test_the_lowest_rates_fit_wide_layers_on_few_features(hidden, n_features, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, n_features)).astype(np.float32)
    y = np.tanh(X.sum(axis=1)) + 0.1 * rng.standard_normal(200)
    net = gd.Network([n_features, *hidden, 1], rng=seed)
    rates = StepSizeRule(net, X)
    for size in (1, 32, 200):
        run = net.copy()
        history = gd.train(
            run, X, y, batch_size=size, epochs=5, optimizer=gd.SGD(rates(size)[0]), rng=0
        )
        assert history.loss[-1] < 1.1 * history.loss[0]


PLACE = str(Path(gd.__file__).parent.parent)  # of the package that is being tested


def start(*words, **options):
    """Start the command line, in any folder."""
    environment = {**os.environ, "PYTHONPATH": PLACE} | options.pop("env", {})
    options = {"stdout": subprocess.PIPE, "text": True, "env": environment} | options
    return subprocess.Popen([sys.executable, "-m", "fastgd", *words], **options)


def test_a_level_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("FASTGD_ISA", "abacus")
    process = start(stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("fastgd: error: FASTGD_ISA='abacus'")
    assert err.count("\n") == 1


def start_in_shell(words, before=""):
    """Run the command line with a shell's redirections in its words; return the ended process."""
    return subprocess.run(
        f"{before}{shlex.quote(sys.executable)} -m fastgd {words}",
        shell=True, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": PLACE},
    )  # fmt: skip


def test_a_full_disk_behind_standard_output(folder):
    """A limit on the size of files is met as the end of a disk is, on every system."""
    done = start_in_shell("house.csv --target price --epochs 1 >out.txt", before="ulimit -f 0; ")
    assert done.returncode == 2
    assert done.stderr == f"fastgd: error: standard output: {os.strerror(errno.EFBIG)}\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("- --target price <&-", 2, "fastgd: error: standard input is closed: name a file"),
        ("house.csv --target price --epochs 1 >&-", 0, ""),
        ("house.csv --target price --epochs 1 2>&-", 0, ""),
        ("none.csv --target price 2>&-", 2, ""),
    ],
)
def test_closed_streams(folder, words, code, message):
    done = start_in_shell(words)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == bool(message)


def test_a_name_that_standard_output_can_not_write(folder):
    write_table("name.csv", [["größe", "price"], *([[str(i), f"{i}.5"] for i in range(20)])])
    process = start(
        "name.csv", "--target", "price",
        stderr=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith("fastgd: error: standard output is ascii, which cannot write ")


def test_a_folder_that_may_not_be_written_is_said_before_training(folder, monkeypatch, run):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, out, err = run("house.csv", "--target", "price", "--save", "m.npz")
    assert (code, out) == (2, "")
    message = f"--save m.npz: you may not write to the folder '{os.getcwd()}'"
    assert err == f"fastgd: error: {message}\n"


@pytest.mark.parametrize(
    ("column", "text", "meant"),
    [
        (0, "lots", ["--categorical", "area"]),
        (2, "-", ["--task", "classification"]),
        (2, "12,426", ["--task", "classification"]),
        (2, "5%", ["--task", "classification"]),
    ],
)
def test_a_wrong_cell_among_numbers_is_an_error(column, text, meant, folder, run):
    rows = houses()[:60]
    rows[7][column] = text
    write_table("house.csv", rows)
    code, out, err = run("house.csv", "--target", "price", *FAST)
    name = rows[0][column]
    assert (code, out) == (2, "")
    assert f"house.csv, line 8, column {name!r}: {text!r} is not a number, but 58 of" in err
    assert f"or give {' '.join(meant)} if categories are meant" in err
    code, out, _ = run("house.csv", "--target", "price", *meant, *FAST)
    assert code == 0
    assert "Note: area" not in out


ESCAPE, SHOWN = "a\x1b[31m\x07\u202eb", r"a\x1b[31m\x07\u202eb"


@pytest.fixture
def commanding(folder):
    """Write a table whose name, columns and cells hold control characters."""
    names, *rows = houses()
    for row in rows:
        row[1] += ESCAPE
        row[3] += ESCAPE
    return write_table(f"{ESCAPE}.csv", [[name + ESCAPE for name in names], *rows])


def test_control_characters_are_shown_and_not_sent(commanding, run):
    words = [commanding, "--target", f"kind{ESCAPE}", *FAST, "--save", f"{ESCAPE}.npz"]
    code, out, err = run(*words, "--html", f"{ESCAPE}.html")
    page = Path(f"{ESCAPE}.html").read_text(encoding="utf-8")
    assert (code, err) == (0, "")
    assert f"{SHOWN}.csv: 120 rows\nTarget: kind{SHOWN} " in out
    assert f"Wrote the page {SHOWN}.html" in " ".join(out.split())
    for text in (out, page):
        assert SHOWN in text
        assert not set("\x1b\x07\u202e") & set(text)


@pytest.mark.parametrize(
    "words",
    [
        [f"no{ESCAPE}.csv", "--target", "x"],
        [f"{ESCAPE}.csv", "--target", "x"],
        [f"{ESCAPE}.csv", "--target", f"kind{ESCAPE}", "--ignore", ESCAPE],
        ["predict", f"no{ESCAPE}.npz", f"{ESCAPE}.csv"],
        ["house.csv", "--target", "price", "--save", f"{ESCAPE}/m.npz"],
        ["house.csv", "--target", "price", f"--{ESCAPE}"],
    ],
)
def test_errors_show_control_characters(words, commanding, run):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert r"\x1b" in err
    assert not set("\x1b\x07\u202e") & set(err)


def test_predictions_on_a_terminal_show_control_characters_and_a_file_keeps_them(commanding, run):
    run(commanding, "--target", f"kind{ESCAPE}", *FAST, "--save", "m.npz")
    assert ESCAPE in run("predict", "m.npz", commanding)[1]
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "fastgd", "predict", "m.npz", commanding],
            stdout=terminal, env={**os.environ, "PYTHONPATH": PLACE},
        )  # fmt: skip
        seen = read_until(SHOWN, ours)
        while process.poll() is None:
            seen += os.read(ours, 1000).decode() if select.select([ours], [], [], 0.1)[0] else ""
    os.close(ours)
    assert process.returncode == 0
    assert not set("\x1b\x07\u202e") & set(seen)


def test_progress_shows_control_characters():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    Progress(terminal).show(f"Reading {ESCAPE}")
    assert terminal.getvalue() == f"\rReading {SHOWN}"


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(A1)", "\tx"])
def test_formulas_in_predictions_can_be_quoted(text, folder, run):
    rows = [["a", "y"], *([[str(i), text if i < 10 else "-5"] for i in range(20)])]
    write_table("formulas.csv", rows)
    run("formulas.csv", "--target", "y", "--task", "classification", *FAST, "--save", "m.npz")
    words = ["predict", "m.npz", "formulas.csv", "--output", "o.csv"]
    shown = text.strip()  # a cell's blanks are not part of it
    assert run(*words)[0] == 0
    plain = {value for (value,) in read("o.csv")[1:]}
    assert run(*words, "--quote-formulas")[0] == 0
    quoted = {value for (value,) in read("o.csv")[1:]}
    marked = f"'{shown}" if shown[0] in "=+-@" else shown
    assert quoted == {marked if value == shown else value for value in plain}


@pytest.mark.parametrize("program", [["-m", "fastgd"], ["-mfastgd"], ["fastgd"]])
def test_ctrl_c_while_modules_are_imported(program, tmp_path):
    """The interruption comes from what is imported in NumPy's place."""
    (tmp_path / "numpy.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"
    )
    (tmp_path / "fastgd").write_text("from fastgd.commandline._main import main\nmain()\n")
    done = subprocess.run(
        [sys.executable, *program], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), PLACE])},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fastgd: interrupted\n")


def test_ctrl_c_while_a_program_imports_the_package_is_its_own(tmp_path):
    (tmp_path / "numpy.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-c", "import fastgd"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), PLACE])},
    )  # fmt: skip
    assert done.stderr.endswith("KeyboardInterrupt\n")


def test_a_reader_that_has_enough(folder, run):
    rows = [["area", "city", "kind"], *([["50", "Bern", "big"]] * 20_000)]
    write_table("many.csv", rows)
    run("house.csv", "--target", "price", "--save", "m.npz", *FAST)
    process = start("predict", "m.npz", "many.csv", stderr=subprocess.PIPE)
    assert process.stdout.readline() == "prediction\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def read_until(words, terminal):
    """Return what a terminal shows up to these words, or after half a minute without them."""
    seen, end = "", time.monotonic() + 30
    while words not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 1000).decode()
    assert words in seen
    return seen


def test_progress_on_a_terminal_and_ctrl_c():
    ours, theirs = pty.openpty()
    process = start("--epochs", "100000000", "--batch-size", "1", stderr=theirs)
    try:
        seen = read_until(": epoch", ours)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        seen += read_until("interrupted", ours)
    finally:
        process.kill()
        process.communicate()
        os.close(theirs)
        os.close(ours)
    assert "Traceback" not in seen
    assert re.search(r"\[\.{20}\]  0% 0:0\d.*  batch size 1: epoch \d+ of 100000000", seen)


# --- other forms of input and output ------------------------------------------------------------


def test_json_holds_the_table_and_the_advice(folder, run):
    code, out, err = run("house.csv", "--target", "price", *FAST, "--json", "--seeds", "2")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [one["batch_size"] for one in found["runs"]] == [1, 32, 96]
    (best,) = [one for one in found["runs"] if one["recommended"]]
    assert found["advice"][0].startswith(f"Take batch size {best['batch_size']}")
    assert np.mean(best["validation_losses"]) == pytest.approx(best["validation_loss"])
    assert found["next"].startswith("fastgd house.csv --target price")


def test_json_has_no_numbers_that_json_has_not(folder, run):
    words = ["--learning-rate", "1e25", "--json"]
    code, out, _ = run("house.csv", "--target", "price", *FAST, *words)
    assert code == 1
    assert {one["validation_loss"] for one in json.loads(out)["runs"]} == {None}
    assert "NaN" not in out


def test_quiet_leaves_the_table_and_the_advice(folder, run):
    words = ["house.csv", "--target", "price", *FAST]
    loud, quiet = (run(*words, *more)[1] for more in ([], ["--quiet"]))
    assert numbers(loud) == numbers(quiet)
    assert "Take batch size" in quiet
    assert "Inputs:" in loud
    assert "Inputs:" not in quiet


def test_a_config_file_gives_options_and_the_command_line_wins(folder, run):
    Path("run.toml").write_text(
        'target = "price"\nepochs = 3\nbatch-size = [4, "full"]\nhidden = 8\nquiet = true\n'
    )
    words = ["house.csv", "--target", "price", "--batch-size", "4,full", "--hidden", "8"]
    expected = numbers(run(*words, "--epochs", "3", "--quiet")[1])
    assert numbers(run("house.csv", "--config", "run.toml")[1]) == expected
    assert numbers(run("house.csv", "--config=run.toml", "--epochs", "2")[1]) == numbers(
        run(*words, "--epochs", "2")[1]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", "--config run.toml is not TOML"),
        ("speed = 3", "there is no option --speed"),
        ("epochs = {a = 1}", "--config run.toml: epochs must be text, a number, true, false"),
        ("epochs = 0", "argument --epochs: '0' is not a whole number above 0"),
    ],
)
def test_config_files_with_mistakes(text, message, folder, run):
    Path("run.toml").write_text(text)
    code, out, err = run("house.csv", "--target", "price", "--config", "run.toml")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_columns_can_be_kept_beside_predictions(folder, run):
    run("house.csv", "--target", "price", "--save", "m.npz", *FAST)
    _, out, _ = run("predict", "m.npz", "house.csv", "--keep", "city,price")
    head, *rows = csv.reader(io.StringIO(out))
    assert head == ["city", "price", "prediction"]
    assert [row[:2] for row in rows] == [row[1:3] for row in houses()[1:]]
    code, _, err = run("predict", "m.npz", "house.csv", "--keep", "id")
    assert code == 2
    assert "no column 'id' (did you mean 'kind'?), which --keep names" in err


def test_several_targets_are_predicted_side_by_side(folder, run):
    code, out, _ = run("house.csv", "--target", "price,area", "--save", "m.npz", *FAST)
    assert code == 0
    assert "Target: price, area (regression: several targets)" in out
    _, out, _ = run("predict", "m.npz", "house.csv")
    head, *rows = csv.reader(io.StringIO(out))
    assert head == ["prediction of price", "prediction of area"]
    assert len(rows) == 120


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_an_optimizer_can_be_chosen(name, folder, run):
    words = ["house.csv", "--target", "price", "--optimizer", name, "--save", "m.npz", *FAST]
    code, out, _ = run(*words)
    assert code == 0
    assert float(body(out)[0][3]) in {1e-3, 4e-3, 0.016, 0.01, 0.04, 0.16}
    assert f"--optimizer {name}" in run(*words[:-6], *FAST)[1].splitlines()[-1]


def test_missing_values_are_filled_in_and_said(folder, run):
    with_gaps(folder)
    code, out, _ = run("gaps.csv", "--target", "price", "--save", "m.npz", *FAST)
    assert code == 0
    assert "Missing values: area (1), city (1)." in " ".join(out.split())
    _, out, _ = run("predict", "m.npz", "gaps.csv")
    assert all(out.splitlines())


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(width, rich, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert cli.main(["house.csv", "--target", "price", *FAST, "--seeds", "1"]) == 0
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    *lines, last = out.splitlines()
    assert max(map(len, lines)) < width
    assert last.startswith("Next: ")
    assert len(lines) <= 40
    assert rich or any(line.endswith(" *") for line in lines)


@pytest.mark.parametrize(
    ("line", "option"), [("fastgd --max", "--max-categories"), ("fastgd predict --ke", "--keep")]
)
def test_the_shell_completes_options(line, option, tmp_path):
    pytest.importorskip("argcomplete")
    found = tmp_path / "found"
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "PYTHONPATH": PLACE,
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "fastgd"], env={**os.environ, **asked}, check=True)
    assert found.read_text().strip() == option
