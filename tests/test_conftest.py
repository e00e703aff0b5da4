"""What tests/conftest.py makes of skips."""

from types import SimpleNamespace

import pytest
from conftest import FORESEEN, nothing_is_missing


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
