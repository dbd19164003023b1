from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.plugin.history import expected_seconds, read_history, write_history


def result(app: str, check: str, seconds: float, outcome: Outcome = Outcome.PASSED) -> CheckResult:
    return CheckResult(app_id=app, check_id=check, outcome=outcome, seconds=seconds)


def test_what_was_measured_is_added_to_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    write_history(path, [result("a", "build", 2), result("b", "build", 3)])
    write_history(path, [result("a", "build", 5), result("a", "tests", 1, Outcome.FAILED)])
    assert read_history(path) == {"a": {"build": 5.0, "tests": 1.0}, "b": {"build": 3.0}}


def test_what_was_no_run_of_the_check_tells_no_duration(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    write_history(path, [result("a", "build", 9, outcome) for outcome in Outcome
                         if outcome not in (Outcome.PASSED, Outcome.FAILED)])  # fmt: skip
    assert read_history(path) == {}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"seconds": 3}', '{"seconds": {"a": {"b": []}}}']
)
def test_a_broken_history_is_no_history(tmp_path: Path, content: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(content)
    assert read_history(path) == {}
    assert read_history(tmp_path / "none.json") == {}


def test_an_app_is_expected_to_take_what_its_checks_took() -> None:
    history = {"a": {"build": 2.0, "tests": 3.0}}
    assert expected_seconds(history, "a", ["build", "tests", "new"]) == 5.0
    assert expected_seconds(history, "a", ["new"]) is None
    assert expected_seconds(history, "b", ["build"]) is None
