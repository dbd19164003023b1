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

LIMIT = 15.0
"""Percent: the change failure rate that production must stay below, or rise above to breach."""


def change_failure_rate(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.ChangeFailureRate:
    """Failed by judged deployments that served; those still pending are in no denominator.

    Without anybody who would tell of incidents there is no rate, for none told is not none; nor
    is there one of an app with incidents that may be production's and may not.
    """
    seen = [one for one in observed if "deployment" in one.kinds]
    watched = [one for one in seen if one.incidents_watched]
    usable = [one for one in watched if not one.unusable_incidents]
    judged = [found for one in usable for found in one.judged]
    counts = Counter(one.state for one in judged)
    failed, total = counts[Judged.FAILED], counts[Judged.FAILED] + counts[Judged.SOUND]
    reason = _reason(seen, watched, usable, total, counts[Judged.PENDING])
    catches = _catches(observed)
    percentage = basic.percent(failed, total) if reason is None else None
    interval = basic.wilson_percent(failed, total) if reason is None else None
    rates = [rate for one in usable if (rate := basic.percent(*_counts(one.judged))) is not None]
    return dora.ChangeFailureRate(
        basis="observed" if reason is None else None,
        reason=reason,
        samples=total,
        ci95=interval,
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(rates, "percent", reason),
        band=bands.failure_band(percentage, policy.benchmark, interval),
        percentage=percentage,
        pre_deployment_catches=catches.value,
        post_deployment_failures=None if catches.value is None else 100 - catches.value,
        catches=catches,
        failed=failed,
        sound=counts[Judged.SOUND],
        pending=counts[Judged.PENDING],
        evidence=dict(
            Counter(one.evidence for one in judged if one.evidence and one.state is Judged.FAILED)
        ),
        unattributed_incidents=sum(one.unattributed_incidents for one in seen),
        forecasts=forecasts(found for one in usable for found in one.forecasts),
        trend_detail=_trend(judged, window, usable),
    )


def _reason(
    seen: Sequence[Observation],
    watched: Sequence[Observation],
    usable: Sequence[Observation],
    total: int,
    pending: int,
) -> str | None:
    if not seen:
        return numbers.NOT_OBSERVED
    if not watched:
        return numbers.INCIDENTS_NOT_OBSERVED
    if not usable:
        return numbers.INCIDENTS_UNUSABLE
    if total:
        return None
    return "pending" if pending else numbers.NO_SAMPLES


def _counts(judged: Iterable[Judgement]) -> tuple[int, int]:
    counts = Counter(one.state for one in judged)
    return counts[Judged.FAILED], counts[Judged.FAILED] + counts[Judged.SOUND]


def _catches(observed: Sequence[Observation]) -> dora.Number:
    """Blocked by blocked and escaped. The unit is a tree: one that was never deployed, or one
    deployment that failed. Of apps whose failures would be known, and whose deployments say what
    was deployed: else what was blocked could have been deployed all the same."""
    if not any("verdict" in one.kinds for one in observed):
        return numbers.absent("percent", "no_verdicts")
    told = [
        one
        for one in observed
        if "deployment" not in one.kinds or (one.incidents_watched and not one.unusable_incidents)
    ]
    joined = [one for one in told if not one.unjoined]
    if not any("deployment" in one.kinds for one in joined):
        if any("deployment" in one.kinds for one in told):
            return numbers.absent("percent", "unjoined_deployments")
        return numbers.absent("percent", numbers.NOT_OBSERVED)
    blocked = sum(one.blocked for one in joined)
    escaped = sum(found.state is Judged.FAILED for one in joined for found in one.judged)
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
    """Whether production itself has proven an app, whatever an evaluation said: from all that is
    known of it, for a breach is not forgotten with the month in which it happened."""
    if "deployment" not in observation.kinds:
        return Axis(reason=numbers.NOT_OBSERVED, needed=_needed(0, 0))
    if not observation.incidents_watched:
        return Axis(reason=numbers.INCIDENTS_NOT_OBSERVED)
    if observation.unusable_incidents:
        return Axis(reason=numbers.INCIDENTS_UNUSABLE)
    failed, total = observation.history_judged
    interval = basic.wilson_percent(failed, total)
    state = Proof.UNPROVEN
    if interval is not None and interval[1] <= LIMIT:
        state = Proof.PROVEN
    elif interval is not None and interval[0] > LIMIT:
        state = Proof.BREACHED
    needed = 0 if state is Proof.PROVEN else _needed(failed, total)
    return Axis(state=state, judged=total, failed=failed, needed=needed)


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
