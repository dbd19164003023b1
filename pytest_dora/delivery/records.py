"""One app's observation as the three records of deployment, lead time and reliability."""

from __future__ import annotations

from datetime import datetime

from pytest_dora.delivery.entities import AppHistory
from pytest_dora.delivery.failures import Judged
from pytest_dora.delivery.lead_times import PromptLeadTime, builds_of
from pytest_dora.delivery.metrics.reliability import reliability
from pytest_dora.delivery.observe import Observation
from pytest_dora.delivery.releases import in_order, previous_successful
from pytest_dora.model.dora import DeploymentMetrics, LeadTimeMetrics, ReliabilityMetrics
from pytest_dora.model.events import Method
from pytest_dora.stats import basic

_METHODS = {Method.MANUAL: "manual", Method.CI: "CI/CD", Method.AUTOMATED: "automated"}


def last_deployment(history: AppHistory) -> DeploymentMetrics:
    """The latest deployment to production that served; all null without one."""
    served = [one for one in in_order(history.production) if one.served]
    if not served:
        return DeploymentMetrics()
    last = served[-1]
    before = previous_successful(history.production).get(last.key)
    return DeploymentMetrics(
        deployment_timestamp=_text(last.finished_at),
        deployment_environment=last.environment,
        deployment_method=None if last.method is None else _METHODS[last.method],
        deployment_duration_sec=_seconds(last.began_at, last.finished_at),
        previous_version=last.previous_version or (before.version if before else None),
        rollback_available=before is not None,
    )


def lead_time(found: tuple[PromptLeadTime, ...], history: AppHistory) -> LeadTimeMetrics:
    """The way of the last prompt that reached production; all null without one."""
    if not found:
        return LeadTimeMetrics()
    last = max(found, key=lambda one: one.deployment.finished_at or one.generation.prompt_at)
    builds = builds_of(history, last.deployment)
    build = builds[-1] if builds else None
    return LeadTimeMetrics(
        prompt_timestamp=_text(last.asked.prompt_at),
        generation_complete_timestamp=_text(last.generation.completed_at),
        generation_duration_sec=_seconds(last.generation.prompt_at, last.generation.completed_at),
        build_start_timestamp=_text(build.started_at) if build else None,
        build_complete_timestamp=_text(build.finished_at) if build else None,
        build_duration_sec=_seconds(build.started_at, build.finished_at) if build else None,
        deployment_start_timestamp=_text(last.deployment.began_at),
        deployment_complete_timestamp=_text(last.deployment.finished_at),
        deployment_duration_sec=_seconds(last.deployment.began_at, last.deployment.finished_at),
        total_lead_time_sec=last.seconds,
    )


def reliability_30d(observed: Observation) -> ReliabilityMetrics:
    """``observed`` is an observation of the last 30 days."""
    seen = reliability([observed])
    deployed, watched = "deployment" in observed.kinds, observed.incidents_watched
    failed = sum(one.state is Judged.FAILED for one in observed.judged)
    judged = sum(one.state is not Judged.PENDING for one in observed.judged)
    # a mean of those that ended would look best where most go on
    going_on = any(not span.ended for span in observed.repairs)
    ended = [] if going_on else [span.seconds / 60 for span in observed.repairs]
    return ReliabilityMetrics(
        uptime_pct=seen.uptime.value,
        error_rate_pct=seen.error_rate.value,
        p50_response_time_ms=seen.p50_ms.value,
        p99_response_time_ms=seen.p99_ms.value,
        incidents_last_30d=observed.incidents_overlapping if watched else None,
        mttr_minutes=basic.mean(ended) if watched else None,
        deployments_last_30d=len(observed.judged) if deployed else None,
        failed_deployments=failed if deployed and watched else None,
        change_failure_rate=failed / judged if deployed and watched and judged else None,
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()
