"""The DORA metrics: per app as records, per fleet as the ``dora_metrics`` of a report.

A number is ``observed`` (events of production) or ``estimated`` (this run), never a mixture.
Where nothing was observed the number is null and ``reason`` is a stable word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pytest_dora.model.base import Model


def _utc_text(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: write it in UTC, as 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC).isoformat()


UtcText = Annotated[str, AfterValidator(_utc_text)]
"""An ISO 8601 time with a zone, kept in UTC."""
_Seconds = Annotated[float | None, Field(ge=0)]
_Percent = Annotated[float | None, Field(ge=0, le=100)]
_Count = Annotated[int | None, Field(ge=0)]


class DeploymentMetrics(Model):
    """One deployment of one app."""

    deployment_timestamp: UtcText | None = None
    deployment_environment: str | None = None
    deployment_method: str | None = None
    deployment_duration_sec: _Seconds = None
    previous_version: str | None = None
    rollback_available: bool | None = None


class LeadTimeMetrics(Model):
    """The way of one app from its prompt to production."""

    prompt_timestamp: UtcText | None = None
    generation_complete_timestamp: UtcText | None = None
    generation_duration_sec: _Seconds = None
    build_start_timestamp: UtcText | None = None
    build_complete_timestamp: UtcText | None = None
    build_duration_sec: _Seconds = None
    deployment_start_timestamp: UtcText | None = None
    deployment_complete_timestamp: UtcText | None = None
    deployment_duration_sec: _Seconds = None
    total_lead_time_sec: _Seconds = None


class ReliabilityMetrics(Model):
    """How one app does in production."""

    uptime_pct: _Percent = None
    error_rate_pct: _Percent = None
    p50_response_time_ms: _Seconds = None
    p99_response_time_ms: _Seconds = None
    incidents_last_30d: _Count = None
    mttr_minutes: _Seconds = None
    deployments_last_30d: _Count = None
    failed_deployments: _Count = None
    change_failure_rate: Annotated[float | None, Field(ge=0, le=1)] = None


class Window(Model):
    """The span of time that a number covers."""

    start: datetime
    end: datetime


class Number(Model):
    """One measured number beside a metric's own: null with a reason, never a flattering zero."""

    value: float | None = None
    unit: str = ""
    samples: int = 0
    ci95: tuple[float, float] | None = None
    basis: Literal["observed", "estimated"] | None = None
    reason: str | None = None


class Trend(Model):
    """Where the complete weeks of a window are heading (Theil-Sen slope, Mann-Kendall test)."""

    direction: str | None = None
    """``improving``, ``degrading``, ``stable`` or ``insufficient_data`` (below eight weeks)."""
    weeks: int = 0
    slope_per_week: float | None = None
    slope_ci95: tuple[float, float] | None = None
    mann_kendall_p: float | None = None
    reason: str | None = None


class Band(Model):
    """What a benchmark calls a number. Clusters of a survey are no thresholds: where the edition
    has no name for a number, or two, the band is null."""

    edition: str
    band: Literal["elite", "high", "medium", "low"] | None = None
    reason: str | None = None


class _Metric(Model):
    basis: Literal["observed", "estimated"] | None = None
    reason: str | None = None
    samples: int = 0
    ci95: tuple[float, float] | None = None
    window: Window | None = None
    aggregation: Literal["app", "pooled"] | None = None
    """Whether the number is one app's or pools the samples of all apps."""
    median_of_apps: Number = Number()
    band: Band | None = None


class FrequencyEstimate(Model):
    """How often deploying without a person would be possible: the share of deployable apps."""

    deployable_apps: int | None = None
    deployable_percentage: float | None = None
    samples: int = 0
    ci95: tuple[float, float] | None = None
    reason: str | None = None


class DeploymentFrequency(_Metric):
    deployments_per_week: float | None = None
    trend: str | None = None
    trend_detail: Trend = Trend()
    deployments: int | None = None
    """Deployments to production that served in the window."""
    deployment_days_per_week: Number = Number()
    """Median number of days with a deployment, over the complete weeks."""
    hours_between: Number = Number()
    """Median time between two deployments of one app."""
    deploy_failure_rate: Number = Number()
    """Share of deployments that never served, in percent; no change failures."""
    estimated: FrequencyEstimate = FrequencyEstimate()


class Breakdown(Model):
    """Seconds of each part; ``deploy`` is the start to a healthy answer when estimated.

    Estimated: the median of each. Observed: the mean of each, so that the parts add up to the
    mean of the whole. ``pipeline`` is what a pipeline spent on neither build nor deployment,
    ``unattributed`` what nobody knows of (waiting, mostly).
    """

    generation: float | None = None
    build: float | None = None
    pipeline: float | None = None
    deploy: float | None = None
    unattributed: float | None = None


class LeadTimeEstimate(Model):
    """Time to a deployable artefact: generation, installation, build, start to healthy."""

    median_seconds: float | None = None
    p90_seconds: float | None = None
    samples: int = 0
    ci95: tuple[float, float] | None = None
    breakdown: Breakdown = Breakdown()
    apps_without: int = 0
    """Apps of which a part is unknown, or which never became healthy."""
    reason: str | None = None


class LeadTimeForChanges(_Metric):
    median_seconds: float | None = None
    breakdown: Breakdown = Breakdown()
    definition: str | None = None
    """``prompt_to_production`` when observed, ``prompt_to_artefact`` when estimated."""
    mean_seconds: float | None = None
    p90_seconds: float | None = None
    change_lead_time: Number = Number()
    """Median seconds from a commit to the deployment that first served it."""
    change_lead_time_p90: Number = Number()
    change_lead_time_per_deployment: Number = Number()
    """Median over deployments of the median of each deployment's commits."""
    coding: Number = Number()
    """Median seconds of pull requests from the first commit to opened, …"""
    review: Number = Number()
    """… from opened to merged, …"""
    merge_to_deploy: Number = Number()
    """… and from merged to served."""
    first_deployment_commits: int = 0
    """Of the commits, those of an app's first deployment."""
    trend_detail: Trend = Trend()
    estimated: LeadTimeEstimate = LeadTimeEstimate()


class EnabledBy(Model):
    """What would make recovery fast, as this run saw it."""

    observability_score: float | None = None
    """Median verified score of the apps judged."""
    rollback_capability: bool | None = None
    """Whether every app judged can be rolled back."""
    rollback_capable_percentage: float | None = None


class RecoveryEstimate(Model):
    """Recovery in the drills of this run, never of production."""

    drill_recovery_seconds: float | None = None
    samples: int = 0
    reason: str | None = None


class MttrMinutes(_Metric):
    median: float | None = None
    p90: float | None = None
    mean: float | None = None
    """Of the incidents that ended."""
    open: int = 0
    """Incidents that still go on: censored, not left out."""
    detect: Number = Number()
    """Median minutes from the start of an incident to its detection, …"""
    diagnose: Number = Number()
    """… from there to its diagnosis, …"""
    fix: Number = Number()
    """… and from there to the deployment of its fix."""
    failed_deployment_recovery: Number = Number()
    """Median minutes from a failed deployment to the service restored."""
    failed_deployments_open: int = 0
    trend_detail: Trend = Trend()
    enabled_by: EnabledBy = EnabledBy()
    estimated: RecoveryEstimate = RecoveryEstimate()


class FailureEstimate(Model):
    """The share of apps that fail at least one of the blocking checks of this run."""

    percentage: float | None = None
    ci95: tuple[float, float] | None = None
    failing: int = 0
    samples: int = 0
    unjudged: int = 0
    """Apps without a failure of which a blocking check could not be judged; no samples."""
    checks: tuple[str, ...] = ()
    reason: str | None = None


class Forecasts(Model):
    """What evaluations predicted of trees that were deployed, and what production showed."""

    predicted_and_failed: int = 0
    predicted_and_sound: int = 0
    missed: int = 0
    """Predicted to be sound, and failed."""
    sound: int = 0
    precision: Number = Number()
    recall: Number = Number()
    brier: Number = Number()
    """Mean squared error of the prediction (0 or 1): 0 is perfect, 1 always wrong."""


class ChangeFailureRate(_Metric):
    percentage: float | None = None
    pre_deployment_catches: float | None = None
    """Percent of the trees that were bad (blocked, or failed in production) that were blocked."""
    post_deployment_failures: float | None = None
    """The rest of them: what slipped through."""
    catches: Number = Number()
    failed: int = 0
    sound: int = 0
    pending: int = 0
    """Deployments too young to be judged: in no denominator."""
    evidence: dict[str, int] = Field(default_factory=dict)
    """Failed deployments by what spoke against them."""
    unattributed_incidents: int = 0
    forecasts: Forecasts = Forecasts()
    trend_detail: Trend = Trend()
    estimated: FailureEstimate = FailureEstimate()


class ReworkEstimate(Model):
    reason: str | None = None


class DeploymentReworkRate(_Metric):
    percentage: float | None = None
    rework: int = 0
    estimated: ReworkEstimate = ReworkEstimate()


class DoraMetrics(Model):
    """The five metrics of a fleet."""

    deployment_frequency: DeploymentFrequency = DeploymentFrequency()
    lead_time_for_changes: LeadTimeForChanges = LeadTimeForChanges()
    mttr_minutes: MttrMinutes = MttrMinutes()
    change_failure_rate: ChangeFailureRate = ChangeFailureRate()
    deployment_rework_rate: DeploymentReworkRate = DeploymentReworkRate()
