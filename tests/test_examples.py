"""The programs in examples/ run without a warning, with the results that the README states."""

import runpy
import sys
from pathlib import Path

import pytest
from test_graphs import TWO_SAMPLES

from fastgd import plot

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = {
    "batch_gradient": "of the batch's step away from the batch's end.\n",
    "choose_batch_size": "367.9\n",
    "nodes": TWO_SAMPLES,
    "pictures": "paths.gif\n",
    "saddle": "Past the saddle: 200 of 200 with batch size 1, 0 with all terms.\n",
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs an example, and returns what it prints."""

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_is_in_the_readme_and_here():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    assert names == PRINTED.keys()
    assert [name for name in names if f"`examples/{name}.py" not in readme] == []


@pytest.mark.parametrize(
    "name",
    [
        "batch_gradient",
        pytest.param("choose_batch_size", marks=pytest.mark.slow),
        "nodes",
        "saddle",
    ],
)
def test_an_example_prints_what_it_shows(run, name):
    assert PRINTED[name] in run(name)


@pytest.mark.slow
def test_the_pictures_show_every_function_of_plot(run, tmp_path):
    printed = run("pictures", str(tmp_path / "new"))
    drawn = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert printed.endswith(PRINTED["pictures"])
    for name in set(plot.__all__) - {"animate_paths"}:
        assert any(file.startswith(name) and file in printed for file in drawn)
