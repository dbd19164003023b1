from __future__ import annotations

from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.plugin.aggregate import Answers

A, B, C = ("app", "a"), ("app", "b"), ("app", "c")


def result(pair: tuple[str, str], outcome: Outcome, attempts: int = 1) -> CheckResult:
    return CheckResult(app_id=pair[0], check_id=pair[1], outcome=outcome, attempts=attempts)


def outcomes(answers: Answers, *spooled: CheckResult, interrupted: bool = False) -> list[str]:
    found = answers.complete([A, B, C], spooled, interrupted=interrupted)
    return [one.outcome.value for one in found]


def test_what_was_reported_counts_before_what_was_written_down() -> None:
    answers = Answers()
    answers.add(result(A, Outcome.PASSED), again=False)
    assert outcomes(answers, result(A, Outcome.FAILED), result(B, Outcome.FAILED)) == [
        "passed", "failed", "not_run",
    ]  # fmt: skip


def test_a_dead_workers_item_is_crashed_unless_its_answer_was_written() -> None:
    answers = Answers()
    answers.add_crash(A, "worker died", again=False)
    answers.add_crash(B, "worker died", again=False)
    found = answers.complete([A, B, C], [result(B, Outcome.PASSED)], interrupted=False)
    assert [one.outcome.value for one in found] == ["crashed", "passed", "not_run"]
    assert found[0].message == "worker died"


def test_begun_and_not_ended_is_a_crash_but_not_after_an_interruption() -> None:
    begun = result(A, Outcome.CRASHED)
    assert outcomes(Answers(), begun)[0] == "crashed"
    assert outcomes(Answers(), begun, interrupted=True)[0] == "not_run"


def test_attempts_add_up_over_reruns_and_crashes() -> None:
    answers = Answers()
    answers.add(result(A, Outcome.FAILED, 2), again=True)
    answers.add_crash(A, "worker died", again=True)
    final = answers.add(result(A, Outcome.PASSED), again=False)
    assert (final.outcome, final.attempts) == (Outcome.PASSED, 4)
    assert outcomes(answers)[0] == "passed"


def test_results_that_nobody_expected_are_kept() -> None:
    answers = Answers()
    answers.add(result(("other", "x"), Outcome.FAILED), again=False)
    found = answers.complete([A], [], interrupted=False)
    assert [(one.app_id, one.outcome.value) for one in found] == [
        ("app", "not_run"), ("other", "failed"),
    ]  # fmt: skip
