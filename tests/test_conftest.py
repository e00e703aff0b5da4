"""What tests/conftest.py makes of skips, and which cases it chooses."""

from types import SimpleNamespace

import pytest
from conftest import FORESEEN, cross_section, nothing_is_missing


@pytest.mark.parametrize(
    ("ci", "reason", "outcome"),
    [
        ("true", "there is no chromium on the PATH", "failed"),
        ("", "there is no chromium on the PATH", "skipped"),
        ("true", FORESEEN[0], "skipped"),
    ],
)
def test_in_continuous_integration_only_foreseen_skips_pass(monkeypatch, ci, reason, outcome):
    monkeypatch.setenv("CI", ci)
    place = ("test_page.py", 1, f"Skipped: {reason}")
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr=place)
    assert nothing_is_missing(report).outcome == outcome


def test_an_expected_failure_is_no_skip(monkeypatch):
    monkeypatch.setenv("CI", "true")
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr="", wasxfail="a reason")
    assert nothing_is_missing(report).outcome == "skipped"


def test_a_cross_section_has_cases_of_every_test():
    names = [f"{test}[{case}]" for test in ("a.py::one", "a.py::two") for case in range(9)]
    chosen = cross_section([*names, "b.py::alone"], 3)
    counts = {test: sum(name.startswith(test) for name in chosen) for test in ("a.py::one", "b.py")}
    assert counts == {"a.py::one": 3, "b.py": 1}
    assert len(chosen) == 7
    assert cross_section([*reversed(names), "b.py::alone"], 3) == chosen
