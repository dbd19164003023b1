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


class _Metric(Model):
    basis: Literal["observed", "estimated"] | None = None
    reason: str | None = None
    samples: int = 0
    ci95: tuple[float, float] | None = None
    window: Window | None = None


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
    estimated: FrequencyEstimate = FrequencyEstimate()


class Breakdown(Model):
    """Median seconds of each part; ``deploy`` is the start to a healthy answer when estimated."""

    generation: float | None = None
    build: float | None = None
    deploy: float | None = None


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


class ChangeFailureRate(_Metric):
    percentage: float | None = None
    pre_deployment_catches: float | None = None
    post_deployment_failures: float | None = None
    estimated: FailureEstimate = FailureEstimate()


class ReworkEstimate(Model):
    reason: str | None = None


class DeploymentReworkRate(_Metric):
    percentage: float | None = None
    estimated: ReworkEstimate = ReworkEstimate()


class DoraMetrics(Model):
    """The five metrics of a fleet."""

    deployment_frequency: DeploymentFrequency = DeploymentFrequency()
    lead_time_for_changes: LeadTimeForChanges = LeadTimeForChanges()
    mttr_minutes: MttrMinutes = MttrMinutes()
    change_failure_rate: ChangeFailureRate = ChangeFailureRate()
    deployment_rework_rate: DeploymentReworkRate = DeploymentReworkRate()
