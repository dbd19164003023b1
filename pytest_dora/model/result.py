"""What a check answers: an outcome, why, and the evidence."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from pytest_dora.model.base import Model


class Outcome(StrEnum):
    """The answer of a check. Only ``PASSED`` and ``NOT_APPLICABLE`` satisfy a gate."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    NOT_APPLICABLE = "not_applicable"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    CRASHED = "crashed"
    NOT_RUN = "not_run"


class FindingOutcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"
    UNAVAILABLE = "unavailable"
    ERROR = "error"


class Remediation(Model):
    """What to do about a failing finding."""

    effort: Literal["low", "medium", "high"]
    text: str


class Finding(Model):
    """The answer to one probe inside a check.

    ``probe`` is ``<check>.<name>``; ``message`` is one line for a person;
    ``evidence`` is any small JSON (commands, exit codes, first errors).
    """

    probe: str
    outcome: FindingOutcome
    tier: Literal["static", "dynamic"]
    message: str
    locations: tuple[str, ...] = ()
    evidence: dict[str, JsonValue] = {}
    remediation: Remediation | None = None


def seen(
    probe: str,
    outcome: FindingOutcome,
    message: str,
    *,
    remediation: Remediation | None = None,
    **evidence: object,
) -> Finding:
    """A dynamic finding; ``message`` is cut at 500 characters, ``evidence`` is validated."""
    return Finding.model_validate(
        {
            "probe": probe,
            "outcome": outcome,
            "tier": "dynamic",
            "message": message[:500],
            "remediation": remediation,
            "evidence": evidence,
        }
    )


class Timing(Model):
    """One measured span. ``contended`` is true when other work shared the cores."""

    name: str
    started_at: datetime
    seconds: float = Field(ge=0)
    cpu_seconds: float | None = Field(None, ge=0)
    contended: bool = False


class CheckResult(Model):
    """What one check says of one app; the unit that crosses process borders as plain JSON."""

    app_id: str
    check_id: str
    outcome: Outcome
    reason: str | None = None
    """A stable word (docs/reference/reasons.md): ``no_tests``, ``timeout``, ``tool_missing``, …"""
    message: str = ""
    """One line for a person: the tool's first error, or what was seen."""
    score: int | None = Field(None, ge=0, le=5)
    verified_score: int | None = Field(None, ge=0, le=5)
    findings: tuple[Finding, ...] = ()
    timings: tuple[Timing, ...] = ()
    measurements: dict[str, JsonValue] = {}
    attempts: int = Field(1, ge=0)
    blocked_by: str | None = None
    """The id of the check that owns the failed stage, for ``BLOCKED``."""
    log: str | None = None
    """The full log, relative to the run's folder."""
    started_at: datetime | None = None
    seconds: float = Field(0.0, ge=0)
    cache_key: str | None = None

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that speak against the app."""
        return tuple(f for f in self.findings if f.outcome is FindingOutcome.FAIL)
