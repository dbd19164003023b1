"""The ``dora_metrics`` of a run: nothing is observed yet, so all numbers are estimates.

An estimate never stands under a name that speaks of production, but for the lead time, whose
``basis`` says ``estimated``: the time to a deployable artefact is what an evaluation can see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_dora.model.dora import (
    Breakdown,
    ChangeFailureRate,
    DeploymentFrequency,
    DeploymentReworkRate,
    DoraMetrics,
    EnabledBy,
    FailureEstimate,
    FrequencyEstimate,
    LeadTimeEstimate,
    LeadTimeForChanges,
    MttrMinutes,
    RecoveryEstimate,
    ReworkEstimate,
)
from pytest_dora.model.report import AppReport
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.stats import basic as stats

NOT_OBSERVED = "not_observed"
BLOCKING = (
    "build", "typecheck", "tests", "runtime", "connectivity", "data", "browser", "security",
)  # fmt: skip
"""Checks whose failure predicts a failed deployment, those selected of them."""
_FAILING = frozenset({Outcome.FAILED, Outcome.BLOCKED, Outcome.CRASHED})
_CLEAR = frozenset({Outcome.PASSED, Outcome.NOT_APPLICABLE})


def dora_metrics(apps: Sequence[AppReport], results: Sequence[CheckResult]) -> DoraMetrics:
    """All five metrics, each with a reason where it is null."""
    return DoraMetrics(
        deployment_frequency=DeploymentFrequency(reason=NOT_OBSERVED, estimated=_frequency(apps)),
        lead_time_for_changes=_lead_time(apps),
        mttr_minutes=MttrMinutes(
            reason=NOT_OBSERVED, enabled_by=_enabled_by(apps), estimated=_recovery(results)
        ),
        change_failure_rate=ChangeFailureRate(
            reason=NOT_OBSERVED, estimated=predicted_failures(apps)
        ),
        deployment_rework_rate=DeploymentReworkRate(
            reason=NOT_OBSERVED, estimated=ReworkEstimate(reason="not_estimable")
        ),
    )


def predicted_failures(apps: Sequence[AppReport]) -> FailureEstimate:
    """The share of apps that fail at least one selected blocking check, with its interval.

    A failed generation fails. An app without a failure, but with a blocking check that could
    not be judged, is no sample: it is counted as unjudged. Waivers change nothing here.
    """
    selected = selected_blocking(apps)
    verdicts = Counter(verdict_of(app, selected) for app in apps)
    failing, samples = verdicts["failing"], verdicts["failing"] + verdicts["clear"]
    reason = None
    if not selected:
        reason = "no_blocking_checks"
    elif not samples:
        reason = "no_samples"
    return FailureEstimate(
        percentage=None if reason else stats.percent(failing, samples),
        ci95=None if reason else stats.wilson_percent(failing, samples),
        failing=failing,
        samples=samples,
        unjudged=verdicts["unjudged"],
        checks=selected,
        reason=reason,
    )


def selected_blocking(apps: Sequence[AppReport]) -> tuple[str, ...]:
    """The blocking checks that any app was asked."""
    return tuple(check for check in BLOCKING if any(check in app.checks for app in apps))


def verdict_of(app: AppReport, selected: Sequence[str]) -> str:
    """``failing``, ``clear``, or ``unjudged`` where a blocking check could not be judged."""
    if not app.folder:
        return "failing"
    outcomes = [app.checks[check].outcome for check in selected if check in app.checks]
    if any(outcome in _FAILING for outcome in outcomes):
        return "failing"
    if len(outcomes) == len(selected) and all(outcome in _CLEAR for outcome in outcomes):
        return "clear"
    return "unjudged"


def _frequency(apps: Sequence[AppReport]) -> FrequencyEstimate:
    judged = [app for app in apps if app.deployable is not None]
    if not any(app.folder for app in judged):
        return FrequencyEstimate(reason="level_unavailable" if apps else "no_samples")
    ready = sum(app.deployable is True for app in judged)
    return FrequencyEstimate(
        deployable_apps=ready,
        deployable_percentage=stats.percent(ready, len(judged)),
        samples=len(judged),
        ci95=stats.wilson_percent(ready, len(judged)),
    )


def _lead_time(apps: Sequence[AppReport]) -> LeadTimeForChanges:
    totals = _known(app.lead_time.total_lead_time_sec for app in apps)
    breakdown = Breakdown(
        generation=stats.median(_known(app.lead_time.parts.generation for app in apps)),
        build=stats.median(_known(app.lead_time.build_duration_sec for app in apps)),
        deploy=stats.median(_known(app.lead_time.parts.start for app in apps)),
    )
    reason = None
    if not totals:
        reasons = Counter(app.lead_time.reason for app in apps if app.lead_time.reason)
        reason = reasons.most_common(1)[0][0] if reasons else "no_samples"
    estimate = LeadTimeEstimate(
        median_seconds=stats.median(totals),
        p90_seconds=stats.quantile(totals, 0.9),
        samples=len(totals),
        ci95=stats.median_ci95(totals),
        breakdown=breakdown,
        apps_without=len(apps) - len(totals),
        reason=reason,
    )
    return LeadTimeForChanges(
        basis="estimated" if totals else None,
        reason=reason,
        samples=len(totals),
        ci95=estimate.ci95,
        median_seconds=estimate.median_seconds,
        breakdown=breakdown,
        definition="prompt_to_artefact" if totals else None,
        estimated=estimate,
    )


def _enabled_by(apps: Sequence[AppReport]) -> EnabledBy:
    scores = _known(
        app.checks["observability"].verified_score for app in apps if "observability" in app.checks
    )
    verdicts = [
        app.checks["rollback"].outcome is Outcome.PASSED
        for app in apps
        if "rollback" in app.checks
        and app.checks["rollback"].outcome in (Outcome.PASSED, Outcome.FAILED, Outcome.BLOCKED)
    ]
    return EnabledBy(
        observability_score=stats.median(scores),
        rollback_capability=all(verdicts) if verdicts else None,
        rollback_capable_percentage=stats.percent(sum(verdicts), len(verdicts)),
    )


def _recovery(results: Sequence[CheckResult]) -> RecoveryEstimate:
    seconds = [
        float(value)
        for result in results
        if result.check_id == "incident"
        and isinstance(value := result.measurements.get("recovery_seconds"), int | float)
    ]
    return RecoveryEstimate(
        drill_recovery_seconds=stats.median(seconds),
        samples=len(seconds),
        reason=None if seconds else "no_drill",
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None]
