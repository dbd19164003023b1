"""Do enough apps reach the level that was asked for? A pure question to judged apps."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_dora.model.report import AppReport, Gate, GateStatus
from pytest_dora.model.result import Outcome
from pytest_dora.model.settings import Level, Settings
from pytest_dora.report import levels
from pytest_dora.report.text import counted
from pytest_dora.stats import basic as stats

_BROKEN = (Outcome.CRASHED, Outcome.ERROR, Outcome.NOT_RUN)
"""Outcomes that are no judgement; they fail a gate whatever the share."""
_SHOWN = 5


def evaluate_gate(
    apps: Sequence[AppReport],
    settings: Settings,
    known: Collection[str],
    *,
    shard: tuple[int, int] | None = None,
) -> Gate:
    """The gate over all apps of the fleet, those without a folder included.

    It is evaluated only when every app was asked every check of the level. ``met`` is None when
    no share was required.
    """
    if settings.gate is None and settings.fail_under is None:
        return Gate(status=GateStatus.NOT_REQUESTED, apps_total=len(apps))
    level = settings.gate or Level.RESEARCH
    reasons = _incomplete(apps, level, known, shard)
    if reasons:
        return Gate(
            status=GateStatus.NOT_EVALUATED,
            level=level,
            fail_under=settings.fail_under,
            apps_total=len(apps),
            met=False if settings.fail_under is not None else None,
            reasons=reasons,
        )
    return _evaluated(apps, level, settings.fail_under)


def _evaluated(apps: Sequence[AppReport], level: Level, fail_under: float | None) -> Gate:
    statuses = [app.levels[level] for app in apps]
    reaching = sum(status.reached is True for status in statuses)
    enough = fail_under is None or 100 * reaching >= fail_under * len(apps)
    broken = _broken(apps)
    reasons = []
    if not enough:
        reasons.append(
            f"{reaching} of {len(apps)} apps reach {level.value}: "
            f"{100 * reaching / len(apps):.1f} %, {fail_under:g} % required"
        )
    reasons += broken
    waived = sum(status.by_waiver for status in statuses)
    if waived:
        reasons.append(f"{waived} of the {reaching} reach it through waivers")
    if fail_under is None:
        reasons.append("no share was required (--dora-fail-under)")
    return Gate(
        status=GateStatus.EVALUATED,
        level=level,
        fail_under=fail_under,
        apps_total=len(apps),
        apps_reaching=reaching,
        apps_reaching_by_waiver=waived,
        percent=stats.percent(reaching, len(apps)),
        ci95=stats.wilson_percent(reaching, len(apps)),
        met=None if fail_under is None else enough and not broken,
        reasons=tuple(reasons),
    )


def _incomplete(
    apps: Sequence[AppReport],
    level: Level,
    known: Collection[str],
    shard: tuple[int, int] | None,
) -> tuple[str, ...]:
    """Why the selection does not cover the level for every app; empty when it does."""
    if not apps:
        return ("there are no apps",)
    if shard is not None:
        return (
            f"this is shard {shard[0]} of {shard[1]}: merge the shards with `pytest-dora merge`",
        )
    asked = [app for app in apps if app.checks]
    unasked = [app for app in apps if not app.checks and app.folder]
    if not asked and not unasked:
        return ()
    selected = {check for app in asked for check in app.checks}
    reason = levels.unavailable(level, known, selected)
    if reason is not None:
        return (f"{level.value} {reason}",)
    partial = [app for app in asked if app.folder and levels.unavailable(level, known, app.checks)]
    missing = sorted(app.app_id for app in (*unasked, *partial))
    if missing:
        return (f"not every check of {level.value} was selected for {_some(missing)}",)
    return ()


def _broken(apps: Sequence[AppReport]) -> list[str]:
    reasons = []
    for outcome in _BROKEN:
        found = [
            f"{app.app_id}::{check}"
            for app in apps
            for check, summary in app.checks.items()
            if summary.outcome is outcome
        ]
        if found:
            word = {Outcome.NOT_RUN: "without a result", Outcome.CRASHED: "crashed"}.get(
                outcome, "ended in an error of ours"
            )
            reasons.append(f"{counted(len(found), 'check')} {word}: {_some(found)}")
    return reasons


def _some(names: Sequence[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
