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

_WEEK = 7
"""Days: the rate of an app that is younger says nothing about a week."""


def deployment_frequency(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.DeploymentFrequency:
    """Of one app, or pooled over apps: all their deployments by the sum of the weeks in which
    each existed and was looked at; a week at the least, for a rate per week. Apps of which no
    deployment was ever told are not observed and count nowhere; none in the window is a true zero.
    The interval is Garwood's exact one.
    """
    seen = [one for one in observed if "deployment" in one.kinds]
    count = sum(len(one.judged) for one in seen)
    days = sum(one.window.days for one in seen)
    reason = None if seen else numbers.NOT_OBSERVED
    if seen and max(one.window.days for one in seen) < _WEEK:
        reason = "too_young"
    per_week = count / days * 7 if reason is None else None
    interval = _interval(count, days) if reason is None else None
    rates = [len(one.judged) / one.window.days * 7 for one in seen if one.window.days >= _WEEK]
    trend = _trend(seen, window)
    return dora.DeploymentFrequency(
        basis="observed" if reason is None else None,
        reason=reason,
        samples=count,
        ci95=interval,
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(rates, "deployments per week", reason),
        band=bands.band(bands.FREQUENCY, per_week, policy.benchmark, interval),
        deployments_per_week=per_week,
        trend=trend.direction or trend.reason,
        trend_detail=trend,
        deployments=count if seen else None,
        deployment_days_per_week=_days_per_week(
            seen, window, "no_complete_week" if seen else numbers.NOT_OBSERVED
        ),
        hours_between=_hours_between(seen, None if seen else reason),
        deploy_failure_rate=numbers.share(
            sum(one.failed_attempts for one in seen),
            sum(one.attempts for one in seen),
            None if seen else reason,
        ),
    )


def _trend(seen: Sequence[Observation], window: Window) -> dora.Trend:
    """Deployments of a week by the apps that existed all of it: a growing fleet is no trend."""
    begin = min((one.window.start for one in seen), default=window.start)
    weekly: list[float | None] = []
    for week in complete_weeks(window.clipped(begin)):
        there = [
            one for one in seen if one.window.start <= week.start and week.end <= one.window.end
        ]
        deployed = sum(moment in week for one in there for moment in one.finished_at)
        weekly.append(deployed / len(there) if there else None)
    return weekly_trend(weekly, "larger")


def _interval(count: int, days: float) -> tuple[float, float] | None:
    try:
        rate = poisson_per_week(count, days)
    except StatsUnavailable:
        return None
    return rate.ci95 if rate else None


def _days_per_week(seen: Sequence[Observation], window: Window, reason: str) -> dora.Number:
    """Median over app-weeks: ten apps that deploy daily do not deploy on seventy days a week."""
    found: list[float] = []
    for one in seen:
        weeks = complete_weeks(window.clipped(one.window.start))
        found += [
            len({moment.date() for moment in week})
            for week in by_week(one.finished_at, lambda moment: moment, weeks)
        ]
    return numbers.middle(found, "days per week", reason)


def _hours_between(seen: Sequence[Observation], reason: str | None) -> dora.Number:
    gaps = [
        (later - earlier).total_seconds() / 3600
        for one in seen
        for earlier, later in pairwise(sorted(one.all_finished_at))
        if later in one.window
    ]
    return numbers.middle(gaps, "hours", reason)
