"""Checks of the pages that do not need the built site (`tools/check.py docs` builds it)."""

import ast
import doctest
import importlib.util
import inspect
import itertools
import re
import tomllib
from pathlib import Path

import pytest
from test_math import BOUNDS

import fastgd as gd
from fastgd import sklearn
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES

DOCS = Path(__file__).parents[1] / "docs"
ENGLISH = sorted(path.name for path in (DOCS / "tutorial" / "en").iterdir())


class WithoutWords(ast.NodeTransformer):
    """Leave out texts, which are in the page's language, but not what is in their braces."""

    def visit_Constant(self, node):
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node):
        values = [value for value in node.values if isinstance(value, ast.FormattedValue)]
        return ast.Tuple(sorted(values, key=ast.dump), ast.Load())  # languages order words


def code(path):
    """Return the examples of a page, each as what is typed and what numbers are printed."""
    examples = doctest.DocTestParser().get_examples(path.read_text(encoding="utf-8"))
    return [
        (
            ast.dump(WithoutWords().visit(ast.parse(example.source))),
            sorted(re.findall(r"\d+(?:[.,]\d+)*", example.want)),
        )
        for example in examples
    ]


def test_the_tutorial_has_the_same_pages_in_both_languages():
    assert sorted(path.name for path in (DOCS / "tutorial" / "ko").iterdir()) == ENGLISH


@pytest.mark.parametrize("name", ENGLISH)
def test_a_page_runs_the_same_code_in_both_languages(name):
    assert code(DOCS / "tutorial" / "ko" / name) == code(DOCS / "tutorial" / "en" / name)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_every_row_of_a_table_has_its_cells(page):
    """A formatter once wrapped rows; their cells then stood in the wrong columns."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        assert {row.count(" | ") for row in rows} == {rows[1].count(" | ")}, rows[0]
        assert all(row.endswith(" |") for row in rows), rows[0]


def extension(name):
    """Return one of the extensions that make the site."""
    pytest.importorskip("sphinx")
    path = DOCS / "_extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed():
    """Return the names that the reference lists, as they are used after `import fastgd`."""
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    names = re.findall(r"^ {3}([\w.]+)$", text, re.MULTILINE)
    return [*names, *itertools.chain(*extension("members").lists().values())]


def test_every_public_name_is_in_the_reference():
    assert set(gd.__all__) - {"__version__"} <= set(listed())


@pytest.mark.parametrize("name", listed())
def test_every_name_in_the_reference_is_public(name):
    module, _, last = f"fastgd.{name}".rpartition(".")
    extras = {"plot", "sklearn"}  # need extras, so they are not in `import *`
    assert last in {*importlib.import_module(module).__all__, *extras}


@pytest.mark.parametrize("names", [LOSSES, ACTIVATIONS], ids=["losses", "activations"])
def test_every_loss_and_activation_has_its_formula(names):
    tables = extension("members")
    make = tables.losses_table if names is LOSSES else tables.activations_table
    head, line, *rows = make()
    assert {row.count("|") for row in (head, line)} == {row.count(" | ") + 2 for row in rows}
    assert [row.split("`")[1] for row in rows] == list(names)
    assert all("$" in row for row in rows)


def test_every_environment_variable_is_in_the_readme():
    root = DOCS.parent
    sources = [
        root / "setup.py",
        *(root / "fastgd").rglob("*.py"),
        *(root / "fastgd").rglob("*.pyx"),
    ]
    read = {
        name
        for path in sources
        for name in re.findall(r'environ[^\n"]*"(\w+)"', path.read_text(encoding="utf-8"))
        if name.startswith("FASTGD_")
    }
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert {"FASTGD_ISA", "FASTGD_THREADS"} <= read
    assert [name for name in sorted(read) if f"| `{name}` |" not in readme] == []


def test_the_badges_say_what_the_package_states():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    python = project["requires-python"].removeprefix(">=")
    needed = [name.partition(">=")[0] for name in project["dependencies"]]
    assert re.findall(r"^\[!\[(.+?)\]", readme, re.MULTILINE) == [
        f"Python {python} or newer",
        f"needs {'NumPy' if needed == ['numpy'] else needed} only",
        f"licence: {project['license'].replace('-', ' ', 1)}",
    ]


def test_the_promised_error_bounds_are_those_that_are_tested():
    text = (DOCS / "numerics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`.*\| ([\d.]+)", text, re.MULTILINE)
    assert {name: float(bound) for name, bound in rows} == BOUNDS


def table_rows(path):
    """Return the rows of a page's tables, each with the number of its table's columns."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    tables = re.findall(r"^\|.*?(?=\n\n|\Z)", text, re.DOTALL | re.M)
    lines = [table.splitlines() for table in tables]
    return [(row, len(table[1].split("|")) - 2) for table in lines for row in table]


PAGES = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_row_of_a_table_is_one_line(path):
    for row, columns in table_rows(path):
        cells = re.sub(r"\\\||`[^`]*`", "", row).split("|")
        assert len(cells) - 2 == columns, row


def descriptions(kind):
    """Return what a class's docstring says of each parameter and attribute, without its type."""
    sections = inspect.getdoc(kind).partition("Parameters\n---")[2].partition("Examples\n---")[0]
    return {
        name: text
        for names, text in re.findall(r"^(\w.*?) : .*\n((?: {4}.*\n)+)", sections, re.MULTILINE)
        for name in names.split(", ")
    }


@pytest.mark.parametrize(
    ("classifier", "regressor", "different"),
    [
        (sklearn.MLPClassifier, sklearn.MLPRegressor, {"validation_scores_"}),
        (
            sklearn.SGDClassifier,
            sklearn.SGDRegressor,
            {"loss", "random_state", "learning_rate", "n_threads", "n_iter_", "validation_scores_"},
        ),
    ],
)
def test_a_classifier_and_a_regressor_describe_shared_names_alike(classifier, regressor, different):
    first, second = descriptions(classifier), descriptions(regressor)
    assert set(classifier().get_params()) <= set(first)
    assert set(regressor().get_params()) <= set(second)
    assert {name for name in set(first) & set(second) if first[name] != second[name]} == different
