from __future__ import annotations

import pytest

from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Settings
from pytest_dora.plugin.verdict import Verdict, headline, verdict

PLAIN, GATED, STRICT = Settings(), Settings(fail_under=50), Settings(fail_under=50, strict=True)


def result(outcome: Outcome, **more: object) -> CheckResult:
    return CheckResult.model_validate(
        {"app_id": "app", "check_id": "check", "outcome": outcome, **more}
    )


@pytest.mark.parametrize(
    ("outcome", "plain", "gated", "strict"),
    [
        (Outcome.PASSED, Verdict.PASS, Verdict.PASS, Verdict.PASS),
        (Outcome.FAILED, Verdict.FAIL, Verdict.COUNTED, Verdict.COUNTED),
        (Outcome.NOT_APPLICABLE, Verdict.SKIP, Verdict.SKIP, Verdict.SKIP),
        (Outcome.INCONCLUSIVE, Verdict.SKIP, Verdict.SKIP, Verdict.FAIL),
        (Outcome.BLOCKED, Verdict.FAIL, Verdict.COUNTED, Verdict.COUNTED),
        (Outcome.ERROR, Verdict.FAIL, Verdict.FAIL, Verdict.FAIL),
        (Outcome.CRASHED, Verdict.FAIL, Verdict.FAIL, Verdict.FAIL),
        (Outcome.NOT_RUN, Verdict.FAIL, Verdict.FAIL, Verdict.FAIL),
    ],
)
def test_each_outcome_has_its_verdict(
    outcome: Outcome, plain: Verdict, gated: Verdict, strict: Verdict
) -> None:
    for settings, expected in ((PLAIN, plain), (GATED, gated), (STRICT, strict)):
        assert verdict(result(outcome), settings, owner_failed=False) is expected


def test_blocked_is_a_skip_only_beside_the_failure_that_caused_it() -> None:
    blocked = result(Outcome.BLOCKED, blocked_by="build")
    assert verdict(blocked, PLAIN, owner_failed=True) is Verdict.SKIP
    assert verdict(blocked, GATED, owner_failed=True) is Verdict.SKIP


def test_a_headline_is_one_line_with_outcome_reason_and_message() -> None:
    told = result(Outcome.NOT_APPLICABLE, reason="no_types", message="no\n\x1b[1mtypes")
    assert headline(told) == "not applicable (no_types): no types"
    assert headline(result(Outcome.PASSED)) == "passed"
