"""The package from a newcomer's view: its names, import cost, and requirements."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_python

import fastgd as gd

HEAVY = (
    "matplotlib", "sklearn", "scipy", "pandas", "polars", "pyarrow", "rich", "tqdm", "torch",
    "onnx", "safetensors", "optuna", "mlflow", "tensorboard", "wandb",
)  # fmt: skip


def test_dir_lists_what_is_public():
    assert dir(gd) == sorted([*gd.__all__, "data", "plot", "sklearn"])
    assert all(getattr(gd, name) is not None for name in dir(gd))


def test_dir_imports_nothing_and_omits_missing_extras():
    found = run_python(
        "import sys, fastgd\n"
        "both = {'plot', 'sklearn'}\n"
        "sys.modules['sklearn'] = None\n"
        "print(both & set(dir(fastgd)), 'matplotlib' in sys.modules)"
    )
    assert found == "{'plot'} False"


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'trian'") as caught:
        gd.trian  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("trian", gd)  # Python suggests from these


def test_importing_it_imports_nothing_else():
    found = run_python(
        f"import sys, fastgd; print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert found == "[]"


def test_importing_it_takes_little_time_compared_with_numpy():
    """Modules are counted, as times are not the same twice."""
    costly = {
        "asyncio", "bz2", "concurrent", "csv", "email", "glob", "json", "logging", "lzma",
        "pathlib", "shutil", "tempfile", "zipfile",
    }  # fmt: skip
    new = run_python(
        "import sys, numpy, numpy.random, numpy.typing; before = set(sys.modules)\n"
        "import fastgd; print(*sorted(set(sys.modules) - before))"
    )
    assert costly.isdisjoint(new.split())


def test_help_shows_signatures():
    text = run_python("import fastgd; help(fastgd)")
    assert "net: 'Network'" in text or "net: Network" in text


@pytest.mark.parametrize(
    ("name", "module", "hint"),
    [
        ("plot", "matplotlib", "fastgd[plot]"),
        ("sklearn", "sklearn", "fastgd[sklearn]"),
    ],
)
def test_without_an_extra_the_error_names_it(name, module, hint):
    found = run_python(
        f"import sys; sys.modules[{module!r}] = None\n"
        "import fastgd\n"
        f"try: fastgd.{name}\n"
        "except ImportError as error: print(error)"
    )
    assert hint in found


@pytest.mark.parametrize("name", ["plot", "sklearn"])
def test_extras_are_attributes(name):
    assert getattr(gd, name).__name__ == f"fastgd.{name}"


@pytest.fixture
def source(tmp_path):
    """Return a folder with the package's Python files, as a fresh clone has them."""
    package = Path(gd.__file__).parent
    shutil.copytree(package, tmp_path / "fastgd", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    return tmp_path


def test_the_installed_package_runs_in_the_source_folder(source):
    environment = {**os.environ, "PYTHONPATH": str(Path(gd.__file__).parent.parent)}
    environment.pop("PYTHONSAFEPATH", None)  # which leaves out the current folder
    done = subprocess.run(
        [sys.executable, "-m", "fastgd", "--epochs", "1"],
        cwd=source, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Handwritten digits" in done.stdout


def test_a_source_folder_that_is_not_installed_says_so(source):
    """Without site-packages, so that no installed copy is found."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", "import fastgd"],
        cwd=source, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: fastgd was found in ")
    assert "Install it (pip install .), or build them in place (pip install -e .)" in message
