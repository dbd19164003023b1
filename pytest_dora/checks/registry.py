"""The checks that exist, their order, and the one way to run them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_dora.model.base import utc_now
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Profile
from pytest_dora.runtime.session import AppSession
from pytest_dora.runtime.stage import Stage, StageFailed

_STANDARD = frozenset({Profile.STANDARD, Profile.FULL})
EVERY_PROFILE = frozenset(Profile)


@dataclass(frozen=True)
class CheckSpec:
    """One question about an app. ``id`` must not be part of another check's id (``-k``)."""

    id: str
    run: Callable[[AppSession], CheckResult]
    summary: str
    profiles: frozenset[Profile] = field(default=_STANDARD)
    scored: bool = False
    retry: tuple[Stage, ...] = ()
    """Stages to reach afresh before a failure is tried once more; empty: failures are final."""
    stages: tuple[Stage, ...] = ()
    """Stages that it will surely ask for: they may be prepared while others are reached."""
    version: int = 1
    """Raised when the check's meaning changes; part of every cache key."""


def evaluate(spec: CheckSpec, session: AppSession) -> CheckResult:
    """Run one check. Never raises but for ``BaseException``s such as Ctrl-C.

    A failure of a check with ``retry`` stages is tried once more from fresh stages; a second
    answer that differs makes the result ``failed`` with reason ``flaky``.
    """
    first = _attempt(spec, session)
    if first.outcome is not Outcome.FAILED or not spec.retry or first.reason in _FINAL:
        return first
    session.reset(*spec.retry)
    second = _attempt(spec, session)
    if second.outcome is Outcome.FAILED:
        return second.model_copy(update={"attempts": 2})
    if second.outcome is not Outcome.PASSED:  # it could not be told a second time
        return first.model_copy(update={"attempts": 2})
    return first.model_copy(
        update={
            "attempts": 2,
            "reason": "flaky",
            "message": f"failed once, then passed: {first.message}",
        }
    )


_FINAL = frozenset({"unrecognised", "no_tests", "all_skipped", "no_start", "broken_manifest"})
"""Reasons that running again cannot change."""


def _attempt(spec: CheckSpec, session: AppSession) -> CheckResult:
    started, clock = utc_now(), time.perf_counter()
    try:
        result = spec.run(session)
    except StageFailed as failure:
        result = _unreached(spec, session, failure)
    except Exception as error:  # noqa: BLE001 - the boundary: our fault is recorded, and never the app's
        session.log_exception(spec.id, error)
        result = CheckResult(
            app_id=session.app.app_id,
            check_id=spec.id,
            outcome=Outcome.ERROR,
            reason="internal_error",
            message=f"{type(error).__name__}: {error}",
        )
    return result.model_copy(
        update={
            "started_at": started,
            "seconds": time.perf_counter() - clock,
            "log": result.log or session.log_name(spec.id),
            "cache_key": session.cache_key(spec.id, spec.version),
        }
    )


def _unreached(spec: CheckSpec, session: AppSession, failure: StageFailed) -> CheckResult:
    blocked = failure.outcome is Outcome.FAILED and failure.owner != spec.id
    return CheckResult(
        app_id=session.app.app_id,
        check_id=spec.id,
        outcome=Outcome.BLOCKED if blocked else failure.outcome,
        reason=failure.reason,
        message=f"blocked by {failure.owner}: {failure.message}" if blocked else failure.message,
        findings=() if blocked else failure.findings,
        blocked_by=failure.owner if blocked else None,
    )
