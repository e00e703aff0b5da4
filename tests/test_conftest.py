"""How tests/conftest.py handles skips and chooses cases."""

from types import SimpleNamespace

import pytest
from conftest import FORESEEN, cross_section, nothing_is_missing, parameters


@pytest.mark.parametrize(
    ("ci", "reason", "outcome"),
    [
        ("true", "there is no chromium on the PATH", "failed"),
        ("", "there is no chromium on the PATH", "skipped"),
        ("true", FORESEEN[0], "skipped"),
    ],
)
def test_in_continuous_integration_only_listed_skips_pass(monkeypatch, ci, reason, outcome):
    monkeypatch.setenv("CI", ci)
    place = ("test_page.py", 1, f"Skipped: {reason}")
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr=place)
    assert nothing_is_missing(report).outcome == outcome


def test_an_expected_failure_is_not_a_skip(monkeypatch):
    monkeypatch.setenv("CI", "true")
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr="", wasxfail="a reason")
    assert nothing_is_missing(report).outcome == "skipped"


def test_a_cross_section_has_every_value_of_every_parameter():
    cases = {
        f"a.py::{test}[{loss}-{level}]": {"loss": loss, "level": level}
        for test in ("one", "two")
        for loss in range(4)
        for level in range(3)
    } | {"a.py::alone": {}}
    chosen = cross_section(cases)
    assert "a.py::alone" in chosen
    for test in ("one", "two"):
        kept = [cases[name] for name in chosen if f"::{test}[" in name]
        assert {values["loss"] for values in kept} == set(range(4))
        assert {values["level"] for values in kept} == set(range(3))
        assert len(kept) < 12
    assert cross_section(dict(reversed(cases.items()))) == chosen


@pytest.mark.parametrize("second", ["b", "c"])
@pytest.mark.parametrize("first", ["a", "d"])
def test_a_parameter_with_one_value_is_in_every_case(request, first, second):
    items = [
        item for item in request.session.items if item.originalname == request.node.originalname
    ]
    assert len({parameters(item)["first"] for item in items}) <= 2
    assert set(parameters(request.node)) == {"first", "second"}
