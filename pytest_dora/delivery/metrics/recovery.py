"""Recovery: how long incidents last, and how long failed deployments take to be mended.

What still goes on is censored, not left out: else only the quick recoveries would count, and an
app that never recovers would look best (Kaplan and Meier, 1958).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pytest_dora.delivery.entities import Incident
from pytest_dora.delivery.metrics import bands, numbers
from pytest_dora.delivery.metrics.weeks import by_week, complete_weeks, weekly_trend
from pytest_dora.delivery.observe import Observation, Span
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.model import dora
from pytest_dora.stats import basic
from pytest_dora.stats.survival import Survival, kaplan_meier

_MINUTE = 60.0


def mttr_minutes(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.MttrMinutes:
    """Incidents that began in the window, from their start (else their detection) to their end."""
    watched = [one for one in observed if one.incidents_watched]
    spans = [span for one in watched for span in one.repairs]
    failed = [span for one in watched for span in one.recoveries]
    incidents = [incident for one in watched for incident in one.incidents]
    lasting = _survival(spans)
    reason = None
    if not watched:
        reason = numbers.NOT_OBSERVED
    elif not spans:
        reason = numbers.NO_SAMPLES
    elif lasting.median is None:
        reason = "more_than_half_open"
    recovery = _recovery(failed, watched=bool(watched))
    return dora.MttrMinutes(
        basis="observed" if spans and reason is None else None,
        reason=reason,
        samples=len(spans),
        ci95=_closed(lasting.median_ci95),
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(
            [it for one in watched if (it := _survival(one.repairs).median) is not None],
            "minutes",
            reason,
        ),
        band=_band(recovery, policy),
        median=lasting.median,
        p90=_quantile(lasting, 0.9),
        mean=basic.mean([span.seconds / _MINUTE for span in spans if span.ended]),
        open=sum(not span.ended for span in spans),
        detect=_part(incidents, lambda one: (one.started_at, one.detected_at), reason),
        diagnose=_part(incidents, lambda one: (one.detected_at, one.diagnosed_at), reason),
        fix=_part(incidents, lambda one: (one.diagnosed_at, one.fix_deployed_at), reason),
        failed_deployment_recovery=recovery,
        failed_deployments_open=sum(not span.ended for span in failed),
        trend_detail=_trend(incidents, window, watched),
    )


def _survival(spans: Sequence[Span]) -> Survival:
    """Where all have ended, the median is the ordinary one, between the two middle values."""
    minutes = [span.seconds / _MINUTE for span in spans]
    lasting = kaplan_meier(minutes, [span.ended for span in spans])
    if spans and all(span.ended for span in spans):
        return replace(
            lasting, median=basic.median(minutes), median_ci95=basic.median_ci95(minutes)
        )
    return lasting


def _closed(interval: tuple[float, float | None] | None) -> tuple[float, float] | None:
    if interval is None or interval[1] is None:
        return None
    return interval[0], interval[1]


def _quantile(lasting: Survival, share: float) -> float | None:
    """The first time at which at most ``1 - share`` are left; None where more always are."""
    left = 1 - share + 1e-12
    return next((step.time for step in lasting.curve if step.survival <= left), None)


def _recovery(spans: Sequence[Span], *, watched: bool) -> dora.Number:
    if not spans:
        return numbers.absent("minutes", numbers.NO_SAMPLES if watched else numbers.NOT_OBSERVED)
    lasting = _survival(spans)
    return dora.Number(
        value=lasting.median,
        unit="minutes",
        samples=len(spans),
        ci95=_closed(lasting.median_ci95),
        basis="observed" if lasting.median is not None else None,
        reason=None if lasting.median is not None else "more_than_half_open",
    )


def _part(
    incidents: Sequence[Incident],
    ends: Callable[[Incident], tuple[datetime | None, datetime | None]],
    reason: str | None,
) -> dora.Number:
    """Of the incidents that tell both moments, in their order."""
    found = []
    for incident in incidents:
        start, end = ends(incident)
        if start is not None and end is not None and end >= start:
            found.append((end - start).total_seconds() / _MINUTE)
    return numbers.middle(found, "minutes", None if incidents else reason)


def _band(recovery: dora.Number, policy: Policy) -> dora.Band:
    """Of the recovery of failed deployments, which is what the benchmark asked about."""
    seconds = None if recovery.value is None else recovery.value * _MINUTE
    interval = recovery.ci95
    if interval is not None:
        interval = (interval[0] * _MINUTE, interval[1] * _MINUTE)
    return bands.band(bands.RECOVERY, seconds, policy.benchmark, interval)


def _trend(
    incidents: Sequence[Incident], window: Window, watched: Sequence[Observation]
) -> dora.Trend:
    begin = min((one.window.start for one in watched), default=None)
    weeks = by_week(incidents, lambda one: one.began_at, complete_weeks(window.clipped(begin)))
    # what still goes on has lasted until the window's end, at the least
    medians = [
        basic.median(
            [
                ((one.resolved_at or window.end) - one.began_at).total_seconds() / _MINUTE
                for one in week
                if one.began_at is not None
            ]
        )
        for week in weeks
    ]
    return weekly_trend(medians, "smaller")
