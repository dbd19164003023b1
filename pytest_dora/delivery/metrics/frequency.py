"""Deployment frequency: deployments to production that served, by time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pytest_dora.delivery.metrics import bands, numbers
from pytest_dora.delivery.metrics.weeks import by_week, complete_weeks, weekly_trend
from pytest_dora.delivery.observe import Observation
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.model import dora
from pytest_dora.stats.extra import StatsUnavailable
from pytest_dora.stats.rates import poisson_per_week


def deployment_frequency(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.DeploymentFrequency:
    """Of one app, or pooled over apps: all their deployments by the sum of the weeks in which
    each existed. Apps of which no deployment was ever told are not observed and count nowhere;
    none in the window is a true zero. The interval is Garwood's exact Poisson interval.
    """
    seen = [one for one in observed if "deployment" in one.kinds]
    count = sum(len(one.judged) for one in seen)
    days = sum(one.window.days for one in seen)
    if not seen or days <= 0:
        return dora.DeploymentFrequency(reason=numbers.NOT_OBSERVED)
    per_week = count / days * 7
    weekly = [len(week) for week in _weekly(seen, window)]
    trend = weekly_trend(weekly, "larger")
    return dora.DeploymentFrequency(
        basis="observed",
        samples=count,
        ci95=_interval(count, days),
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(
            [len(one.judged) / one.window.days * 7 for one in seen if one.window.days > 0],
            "deployments per week",
        ),
        band=bands.band(bands.FREQUENCY, per_week, policy.benchmark),
        deployments_per_week=per_week,
        trend=trend.direction or trend.reason,
        trend_detail=trend,
        deployments=count,
        deployment_days_per_week=_days_per_week(seen, window),
        hours_between=_hours_between(seen),
        deploy_failure_rate=numbers.share(
            sum(one.failed_attempts for one in seen), sum(one.attempts for one in seen)
        ),
    )


def _interval(count: int, days: float) -> tuple[float, float] | None:
    try:
        rate = poisson_per_week(count, days)
    except StatsUnavailable:
        return None
    return rate.ci95 if rate else None


def _weekly(seen: Sequence[Observation], window: Window) -> list[list[object]]:
    moments = [moment for one in seen for moment in one.finished_at]
    begin = min((one.window.start for one in seen), default=window.start)
    weeks = complete_weeks(window.clipped(begin))
    return [list(week) for week in by_week(moments, lambda moment: moment, weeks)]


def _days_per_week(seen: Sequence[Observation], window: Window) -> dora.Number:
    """Median over app-weeks: ten apps that deploy daily do not deploy on seventy days a week."""
    found: list[float] = []
    for one in seen:
        weeks = complete_weeks(window.clipped(one.window.start))
        found += [
            len({moment.date() for moment in week})
            for week in by_week(one.finished_at, lambda moment: moment, weeks)
        ]
    return numbers.middle(found, "days per week", "no_complete_week")


def _hours_between(seen: Sequence[Observation]) -> dora.Number:
    gaps = [
        (later - earlier).total_seconds() / 3600
        for one in seen
        for earlier, later in pairwise(sorted(one.all_finished_at))
        if later in one.window
    ]
    return numbers.middle(gaps, "hours")
