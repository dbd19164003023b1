"""Change failure rate, what evaluations caught before, and what they foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_dora.delivery.failures import Judged, Judgement
from pytest_dora.delivery.metrics import bands, numbers
from pytest_dora.delivery.metrics.weeks import by_week, complete_weeks, weekly_trend
from pytest_dora.delivery.observe import Forecast, Observation
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.model import dora
from pytest_dora.model.production import Axis, Proof
from pytest_dora.stats import basic
from pytest_dora.stats.rates import zero_failures_needed

LIMIT = 15.0
"""Percent: the change failure rate that production must stay below, or rise above to breach."""


def change_failure_rate(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.ChangeFailureRate:
    """Failed by judged deployments that served; those still pending are in no denominator.

    Without anybody who would tell of incidents there is no rate, for none told is not none.
    """
    seen = [one for one in observed if "deployment" in one.kinds]
    watched = [one for one in seen if one.incidents_watched]
    judged = [found for one in watched for found in one.judged]
    counts = Counter(one.state for one in judged)
    failed, total = counts[Judged.FAILED], counts[Judged.FAILED] + counts[Judged.SOUND]
    reason = None
    if not seen:
        reason = numbers.NOT_OBSERVED
    elif not watched:
        reason = numbers.INCIDENTS_NOT_OBSERVED
    elif not total:
        reason = "pending" if counts[Judged.PENDING] else numbers.NO_SAMPLES
    catches = _catches(observed, watched)
    percentage = basic.percent(failed, total) if reason is None else None
    rates = [rate for one in watched if (rate := basic.percent(*_counts(one.judged))) is not None]
    return dora.ChangeFailureRate(
        basis="observed" if reason is None else None,
        reason=reason,
        samples=total,
        ci95=basic.wilson_percent(failed, total) if reason is None else None,
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(rates, "percent"),
        band=bands.failure_band(percentage, policy.benchmark),
        percentage=percentage,
        pre_deployment_catches=catches.value,
        post_deployment_failures=None if catches.value is None else 100 - catches.value,
        catches=catches,
        failed=failed,
        sound=counts[Judged.SOUND],
        pending=counts[Judged.PENDING],
        evidence=dict(Counter(one.evidence for one in judged if one.evidence)),
        unattributed_incidents=sum(one.unattributed_incidents for one in seen),
        forecasts=forecasts(found for one in watched for found in one.forecasts),
        trend_detail=_trend(judged, window, watched),
    )


def _counts(judged: Iterable[Judgement]) -> tuple[int, int]:
    counts = Counter(one.state for one in judged)
    return counts[Judged.FAILED], counts[Judged.FAILED] + counts[Judged.SOUND]


def _catches(observed: Sequence[Observation], watched: Sequence[Observation]) -> dora.Number:
    """Blocked by blocked and escaped. The unit is a tree: one that was never deployed, or one
    deployment that failed."""
    if not any("verdict" in one.kinds for one in observed):
        return numbers.absent("percent", "no_verdicts")
    if not watched:
        return numbers.absent("percent", numbers.NOT_OBSERVED)
    blocked = sum(one.blocked for one in observed)
    escaped = sum(found.state is Judged.FAILED for one in watched for found in one.judged)
    return numbers.share(blocked, blocked + escaped)


def forecasts(found: Iterable[Forecast]) -> dora.Forecasts:
    """Predicted against observed, of the deployments that have both."""
    table = Counter((one.predicted_failure, one.observed_failure) for one in found)
    hit, alarm = table[(True, True)], table[(True, False)]
    missed, sound = table[(False, True)], table[(False, False)]
    total = hit + alarm + missed + sound
    brier = numbers.absent("", numbers.NO_SAMPLES)
    if total:
        brier = dora.Number(value=(alarm + missed) / total, samples=total, basis="observed")
    return dora.Forecasts(
        predicted_and_failed=hit,
        predicted_and_sound=alarm,
        missed=missed,
        sound=sound,
        precision=numbers.share(hit, hit + alarm),
        recall=numbers.share(hit, hit + missed),
        brier=brier,
    )


def _trend(
    judged: Sequence[Judgement], window: Window, watched: Sequence[Observation]
) -> dora.Trend:
    begin = min((one.window.start for one in watched), default=None)
    weeks = by_week(
        judged, lambda one: one.deployment.finished_at, complete_weeks(window.clipped(begin))
    )
    return weekly_trend([basic.percent(*_counts(week)) for week in weeks], "smaller")


def axis(observation: Observation) -> Axis:
    """Whether production itself has proven an app, whatever an evaluation said."""
    if "deployment" not in observation.kinds:
        return Axis(reason=numbers.NOT_OBSERVED, needed=zero_failures_needed(LIMIT / 100))
    if not observation.incidents_watched:
        return Axis(reason=numbers.INCIDENTS_NOT_OBSERVED)
    failed, total = _counts(observation.judged)
    interval = basic.wilson_percent(failed, total)
    if interval is not None and interval[1] <= LIMIT:
        return Axis(state=Proof.PROVEN, judged=total, failed=failed, needed=0)
    if interval is not None and interval[0] > LIMIT:
        return Axis(state=Proof.BREACHED, judged=total, failed=failed)
    return Axis(judged=total, failed=failed, needed=_needed(failed, total))


def _needed(failed: int, total: int) -> int:
    """How many more sound deployments bring the upper bound down to the limit."""
    low, high = 0, 1
    while (found := basic.wilson_percent(failed, total + high)) and found[1] > LIMIT:
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        found = basic.wilson_percent(failed, total + middle)
        low, high = (middle, high) if found is None or found[1] > LIMIT else (low, middle)
    return high
