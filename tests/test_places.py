"""The command line never overwrites a file that it reads, and never writes a file twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastgd as gd
from fastgd.commandline import _main as cli
from fastgd.commandline._options import predict_parser, train_parser
from fastgd.commandline._places import READ, WRITTEN

TRAIN = "compare house.csv --target price --epochs 1 --batch-size full --hidden none"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a table and a model once."""
    folder = tmp_path_factory.mktemp("made")
    rows = [f"{size},{3 * size + 0.5}" for size in range(20)]
    (folder / "house.csv").write_text("\n".join(["area,price", *rows]))
    words = TRAIN.replace("house.csv", str(folder / "house.csv")).split()
    assert cli.main([*words, "--save", str(folder / "m.npz")]) == 0
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """Enter a folder with the table, the model, and links to both."""
    monkeypatch.chdir(tmp_path)
    for name, content in made.items():
        Path(name).write_bytes(content)
        Path(f"soft-{name}").symlink_to(name)
        os.link(name, f"hard-{name}")
    Path("sub").mkdir()
    Path("way").symlink_to("sub/..")
    return tmp_path


def names(name, folder):
    return [name, f"./{name}", f"sub/../{name}", f"way/{name}", f"soft-{name}", f"hard-{name}",
            str(folder / name)]  # fmt: skip


@pytest.mark.parametrize("way", range(7))
@pytest.mark.parametrize(
    ("words", "read", "label"),
    [
        ("predict m.npz house.csv --output", "m.npz", "MODEL.npz"),
        ("predict m.npz house.csv --output", "house.csv", "FILE"),
        ("predict soft-m.npz hard-house.csv --output", "house.csv", "FILE"),
        (f"{TRAIN} --save", "house.csv", "FILE"),
        (f"{TRAIN} --html", "house.csv", "FILE"),
        (f"{TRAIN} --save m.npz --html", "m.npz", "--save"),
    ],
)
def test_input_files_are_never_overwritten(folder, made, capsys, words, read, label, way):
    path = names(read, folder)[way]
    assert cli.main([*words.split(), path]) == 2
    out, err = capsys.readouterr()
    option = words.split()[-1]
    message = f"{option} {path}: that is {label}, too; give each a file of its own"
    assert (out, err) == ("", f"fastgd: error: {message}\n")
    assert {name: (folder / name).read_bytes() for name in made} == made
    assert not any(name.startswith(".") for name in os.listdir())


@pytest.mark.parametrize("second", ["new", "./new", "way/new", "NEW", "sub/../nEw"])
def test_files_that_do_not_exist_yet_are_compared_too(folder, capsys, second):
    """Capitals do not count: many systems would write one file."""
    assert cli.main([*TRAIN.split(), "--save", "new", "--html", second]) == 2
    assert f"--html {second}: that is --save, too" in capsys.readouterr().err


def test_names_in_other_unicode_forms_are_the_same_file(folder, capsys):
    assert cli.main([*TRAIN.split(), "--save", "caf\u00e9", "--html", "cafe\u0301"]) == 2
    assert "that is --save, too" in capsys.readouterr().err


def test_the_packages_data_are_not_overwritten(tmp_path, capsys):
    path = Path(gd.__file__).parent / "data" / "digits.npz"
    (tmp_path / "link").symlink_to(path)
    before = path.stat()
    assert cli.main(["--save", str(tmp_path / "link"), "--epochs", "1"]) == 2
    assert "that is the file of the digits" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predict m.npz - --output house.csv <house.csv", "--output house.csv: that is FILE, too"),
        ("predict m.npz house.csv >>house.csv", "standard output: that is FILE, too"),
        ("predict m.npz house.csv >>soft-m.npz", "standard output: that is MODEL.npz, too"),
        ("predict m.npz - <house.csv >>house.csv", "standard output: that is FILE, too"),
        (f"{TRAIN} >>house.csv", "standard output: that is FILE, too"),
        ("predict m.npz house.csv --output o >o", "standard output: that is --output, too"),
        ("predict m.npz /dev/stdin --output /dev/stdout <house.csv | cat >o", ""),
        ("predict m.npz house.csv --output /dev/null >/dev/null </dev/null", ""),
    ],
)
def test_shell_redirections_count_as_paths(folder, made, words, message):
    done = subprocess.run(
        f"{sys.executable} -m fastgd {words}", shell=True, capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(Path(gd.__file__).parent.parent)},
    )  # fmt: skip
    assert message in done.stderr
    assert done.stderr.count("\n") == bool(message)
    assert {name: (folder / name).read_bytes() for name in made} == made


@pytest.mark.parametrize("option", ["--save", "--html"])
@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: os.symlink(path, path), "this link leads back to itself"),
        (lambda path: path.touch(mode=0o444), "this file is read-only: give another name, or make"),
        (lambda path: os.mkfifo(path), "this is a device or a pipe"),
    ],
)
def test_unwritable_paths_are_reported_before_any_work(folder, capsys, option, prepare, message):
    prepare(folder / "place")
    for words in ([*TRAIN.split(), option], ["predict", "m.npz", "house.csv", "--output"]):
        if "pipe" not in message or words[0] != "predict":
            assert cli.main([*words, "place"]) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert f"{words[-1]} place: {message}" in err


def test_every_option_that_names_a_file_is_tested():
    actions = [
        action for parser in (train_parser(), predict_parser()) for action in parser._actions
    ]
    paths = {
        action.dest
        for action in actions
        if action.metavar and ("." in action.metavar or action.metavar in ("FILE", "FOLDER"))
    }
    assert paths == {*READ, *WRITTEN}
