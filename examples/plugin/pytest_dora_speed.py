"""A check of a third party: the first page is answered within a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Remediation
from pytest_dora.runtime.http import NoAnswer
from pytest_dora.runtime.stage import Stage

if TYPE_CHECKING:
    from pytest_dora.runtime.server import RunningApp
    from pytest_dora.runtime.session import AppSession

LIMIT_SECONDS = 1.0
_FOREVER = 10.0
_TIMES = 5


def check_speed(session: AppSession) -> CheckResult:
    """Ask for the first page a few times; the median must stay below the limit."""
    app = session.server()
    seconds = sorted(_ask(app) for _ in range(_TIMES))
    median = seconds[_TIMES // 2]
    fast = median <= LIMIT_SECONDS
    message = f"GET / takes {median * 1000:.0f} ms" if median < _FOREVER else "no answer to GET /"
    return CheckResult(
        app_id=session.app.app_id,
        check_id="speed",
        outcome=Outcome.PASSED if fast else Outcome.FAILED,
        reason=None if fast else "slow",
        message=message,
        findings=(
            Finding(
                probe="speed.first_page",
                outcome=FindingOutcome.PASS if fast else FindingOutcome.FAIL,
                tier="dynamic",
                message=message,
                evidence={"seconds": [round(one, 4) for one in seconds]},
                remediation=None
                if fast
                else Remediation(effort="medium", text="Do less before the first page is sent."),
            ),
        ),
        measurements={"median_seconds": round(median, 4)},
    )


def _ask(app: RunningApp) -> float:
    started = time.perf_counter()
    try:
        app.request("/", timeout=_FOREVER)
    except NoAnswer:
        return _FOREVER
    return time.perf_counter() - started


def pytest_dora_checks() -> list[CheckSpec]:
    """Add the check to every app's items, after the built-in ones."""
    return [
        CheckSpec(
            "speed", check_speed, "the first page comes within a second", retry=(Stage.SERVER,)
        )
    ]
