"""How a suite's end is judged: passed needs exit 0, a report, a test that ran and none failed."""

from __future__ import annotations

import pytest

from pytest_dora.checks.runners.base import Counts, Failure, Instrumented
from pytest_dora.checks.suites import Verdict, judge
from pytest_dora.model.result import Outcome
from pytest_dora.runtime.sandbox.spec import Completed


def ended(exit_code: int | None = 0, output: str = "", **more: object) -> Completed:
    return Completed(("run",), ".", exit_code, None, 1.0, 1.0, output=output, **more)  # type: ignore[arg-type]


def verdict(done: Completed, counts: Counts | None, *, machine_readable: bool = True) -> Verdict:
    return judge(
        done, counts, Instrumented(("run",), lambda _: None, machine_readable=machine_readable)
    )


def test_exit_0_with_a_passed_test_passes() -> None:
    assert verdict(ended(), Counts(passed=1, skipped=3)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("done", "counts", "reason"),
    [
        (ended(), Counts(passed=5, failed=1), "tests_failed"),
        (ended(1), Counts(passed=5, failed=1), "tests_failed"),
        (ended(1), Counts(passed=5, broken=1), "collection_error"),
        (ended(), Counts(passed=5, broken=1), "collection_error"),
        (ended(1), Counts(passed=5), "command_failed"),
        (ended(), Counts(skipped=2), "all_skipped"),
        (ended(), Counts(), "no_tests"),
        (ended(1, "No test files found, exiting with code 1"), Counts(), "no_tests"),
        (ended(1, "SyntaxError: no"), Counts(), "collection_error"),
        (ended(), None, "report_missing"),
        (ended(5), None, "no_tests"),
        (ended(1, "No tests found!"), None, "no_tests"),
        (ended(1, "boom"), None, "command_failed"),
        (ended(127, "sh: 1: vitest: not found"), None, "tool_not_installed"),
        (ended(1, "/usr/bin/python: No module named pytest"), None, "tool_not_installed"),
        (ended(None, timed_out=True), Counts(passed=1), "timeout"),
        (ended(None, killed_for="memory"), Counts(passed=1), "killed_memory"),
    ],
)  # fmt: skip
def test_everything_else_fails_with_its_reason(
    done: Completed, counts: Counts | None, reason: str
) -> None:
    answer = verdict(done, counts)
    assert answer.outcome is Outcome.FAILED
    assert answer.reason == reason


def test_an_unknown_number_of_tests_is_no_pass_and_no_failure() -> None:
    answer = verdict(ended(), None, machine_readable=False)
    assert (answer.outcome, answer.reason) == (Outcome.INCONCLUSIVE, "count_unknown")
    assert verdict(ended(1), None, machine_readable=False).outcome is Outcome.FAILED


def test_a_lost_sandbox_is_not_the_apps_failure() -> None:
    assert verdict(ended(None, killed_for="sandbox"), None).outcome is Outcome.INCONCLUSIVE


def test_the_message_is_the_first_failing_test_and_its_first_line() -> None:
    counts = Counts(failed=2, failures=(Failure("cart > adds", "1 == 2"), Failure("other", "x")))
    assert verdict(ended(1), counts).message == "cart > adds: 1 == 2"


def test_a_failure_without_words_is_told_by_the_output() -> None:
    counts = Counts(failed=1, failures=(Failure("cart > adds", ""),))
    assert (
        verdict(ended(1, "error: expected 3"), counts).message == "cart > adds: error: expected 3"
    )
