"""How far towards production an app may go, and what it lacks for the next step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from pytest_dora.model.app import Waiver
from pytest_dora.model.report import (
    AppliedWaiver,
    AppReport,
    CheckSummary,
    LevelDefinition,
    LevelStatus,
)
from pytest_dora.model.result import Outcome
from pytest_dora.model.settings import Level

LEAD_TIME_LIMIT = 600.0
"""Seconds from the prompt to a healthy start that a production candidate may take."""
SATISFYING = frozenset({Outcome.PASSED, Outcome.NOT_APPLICABLE})
_WAIVABLE = frozenset({Outcome.FAILED, Outcome.BLOCKED})


@dataclass(frozen=True)
class Requirement:
    """One condition: a check that passes, or one that reaches a verified score."""

    check: str
    score: int | None = None

    def __str__(self) -> str:
        return self.check if self.score is None else f"{self.check} >= {self.score} of 5"


_FIRST = (Requirement("build"), Requirement("runtime"))
_SECOND = tuple(Requirement(check) for check in (
    "typecheck", "tests", "connectivity", "data", "browser",
))  # fmt: skip
_THIRD = (Requirement("security"), Requirement("rollback"))
REQUIREMENTS: Mapping[Level, tuple[Requirement, ...]] = {
    Level.RESEARCH: (*_FIRST, Requirement("runability", 2)),
    Level.PREVIEW: (
        *_FIRST,
        *_SECOND,
        Requirement("runability", 3),
        Requirement("deployability", 3),
    ),
    Level.PRODUCTION_CANDIDATE: (
        *_FIRST,
        *_SECOND,
        *_THIRD,
        Requirement("runability", 4),
        Requirement("deployability", 4),
        Requirement("observability", 4),
    ),
}
"""Each level includes the ones before it; the last also asks for a lead time within its limit."""


def requirements(level: Level, known: Collection[str]) -> tuple[Requirement, ...]:
    """What a level asks for where only the ``known`` checks exist.

    ``research`` does without runability until there is such a check; no other level is eased.
    """
    return tuple(
        requirement
        for requirement in REQUIREMENTS[level]
        if level is not Level.RESEARCH or requirement.check != "runability" or "runability" in known
    )


def define(known: Collection[str], selected: Collection[str]) -> tuple[LevelDefinition, ...]:
    """The levels as this run can judge them. ``known`` checks exist, ``selected`` were asked."""
    return tuple(
        LevelDefinition(
            level=level,
            requirements=(
                *(str(requirement) for requirement in requirements(level, known)),
                *_lead_time_text(level),
            ),
            available=(reason := unavailable(level, known, selected)) is None,
            reason=reason or _eased(level, known),
        )
        for level in Level
    )


def unavailable(level: Level, known: Collection[str], selected: Collection[str]) -> str | None:
    """Why a level cannot be judged from the selected checks; None when it can."""
    needed = list(dict.fromkeys(one.check for one in requirements(level, known)))
    absent = [check for check in needed if check not in known and check not in selected]
    dropped = [check for check in needed if check in known and check not in selected]
    parts = []
    if absent:
        parts.append(f"needs checks that do not exist here: {', '.join(absent)}")
    if dropped:
        parts.append(f"needs checks that were not selected: {', '.join(dropped)}")
    return "; ".join(parts) or None


def judge(
    level: Level, app: AppReport, known: Collection[str], *, with_waivers: bool = True
) -> LevelStatus:
    """Whether an app reaches a level from its own checks."""
    if not app.folder:
        return LevelStatus(reached=False, reason="the generation left no folder")
    if not app.checks:
        return LevelStatus(reached=None, reason="the app was not selected")
    reason = unavailable(level, known, app.checks)
    if reason is not None:
        return LevelStatus(reached=None, reason=reason)
    lacking = needs(level, app, known, with_waivers=with_waivers)
    if lacking:
        return LevelStatus(reached=False, reason=lacking[0])
    waived = with_waivers and bool(needs(level, app, known, with_waivers=False))
    return LevelStatus(reached=True, by_waiver=waived)


def needs(
    level: Level, app: AppReport, known: Collection[str], *, with_waivers: bool = True
) -> tuple[str, ...]:
    """What an app lacks for a level, one line each."""
    lacking = [
        line
        for requirement in requirements(level, known)
        if (line := _lacks(requirement, app.checks.get(requirement.check), with_waivers))
    ]
    if level is Level.PRODUCTION_CANDIDATE:
        lacking += _lead_time_lacks(app)
    return tuple(lacking)


def _lacks(requirement: Requirement, check: CheckSummary | None, with_waivers: bool) -> str | None:
    if check is None:
        return f"{requirement.check}: not judged in this run"
    if check.outcome is Outcome.NOT_APPLICABLE or (with_waivers and check.waived):
        return None
    if requirement.score is not None and check.outcome in (Outcome.PASSED, Outcome.FAILED):
        verified = check.verified_score
        if verified is not None and verified >= requirement.score:
            return None
        seen = "unknown" if verified is None else str(verified)
        return f"{requirement.check}: {requirement.score} of 5 needed, {seen} verified"
    if check.outcome is Outcome.PASSED:
        return None
    reason = f" ({check.reason})" if check.reason else ""
    return f"{requirement.check}: {check.outcome.value}{reason}"


def _lead_time_lacks(app: AppReport) -> list[str]:
    total = app.lead_time.total_lead_time_sec
    if total is None:
        return [f"lead time: unknown ({', '.join(app.lead_time.missing)} not known)"]
    if total > LEAD_TIME_LIMIT:
        return [f"lead time: {total:.0f} s, at most {LEAD_TIME_LIMIT:.0f} s allowed"]
    return []


def _lead_time_text(level: Level) -> tuple[str, ...]:
    if level is not Level.PRODUCTION_CANDIDATE:
        return ()
    return (f"lead time <= {LEAD_TIME_LIMIT:.0f} s",)


def _eased(level: Level, known: Collection[str]) -> str | None:
    if level is Level.RESEARCH and "runability" not in known:
        return "runability is not asked for: there is no such check here yet"
    return None


def active_waiver(
    waivers: Collection[Waiver], check: str, outcome: Outcome, day: date
) -> Waiver | None:
    """The waiver that accepts this outcome on this day (its last day included).

    Only what the app did wrong can be waived: never a crash, an error or a missing answer.
    """
    if outcome not in _WAIVABLE:
        return None
    return next((one for one in waivers if one.check == check and day <= one.expires), None)


def applied_waivers(
    waivers: Collection[Waiver], outcomes: Mapping[str, Outcome], day: date
) -> tuple[AppliedWaiver, ...]:
    """Every waiver of an app with what became of it."""
    return tuple(
        AppliedWaiver(
            check=one.check,
            reason=one.reason,
            expires=one.expires,
            status="expired"
            if day > one.expires
            else "applied"
            if outcomes.get(one.check) in _WAIVABLE
            else "unused",
        )
        for one in waivers
    )
