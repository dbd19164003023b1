"""Deployments of repositories that deploy by pipeline and keep no record of deployments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pytest_dora.delivery.environments import EnvironmentTier, tier_of
from pytest_dora.model.events import RunOutcome

_ORDER = (EnvironmentTier.PRODUCTION, EnvironmentTier.STAGING, EnvironmentTier.TESTING)


@dataclass(frozen=True)
class Job:
    """A part of a pipeline. ``deploys`` says whether it is known to be a deployment."""

    name: str
    deploys: bool = False
    outcome: RunOutcome | None = None
    """None while it has not ended."""
    environment: str | None = None


@dataclass(frozen=True)
class Pipeline:
    """One run of a pipeline with its jobs."""

    key: str
    deploys: bool = False
    outcome: RunOutcome | None = None
    environment: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: float | None = None
    """Seconds."""
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True)
class PipelineDeployment:
    """The deployment that a pipeline was. Its outcome is that of the whole pipeline."""

    pipeline: str
    outcome: RunOutcome | None
    environment: str | None
    started_at: datetime | None
    finished_at: datetime | None


def deployment_of(pipeline: Pipeline) -> PipelineDeployment | None:
    """The deployment that a pipeline was; None when it was none.

    It was one when it, or a job of it that was not skipped, is named as a deployment. A skipped
    pipeline deployed nothing; a failed one is a failed deployment. The environment is the
    pipeline's own, else the most important of its deploying jobs: production before staging
    before testing. A start that is not known is the finish less the duration. These are the rules
    by which Apache DevLake makes deployments of pipelines.
    """
    jobs = [job for job in pipeline.jobs if job.deploys and job.outcome is not RunOutcome.SKIPPED]
    if pipeline.outcome is RunOutcome.SKIPPED or not (pipeline.deploys or jobs):
        return None
    return PipelineDeployment(
        pipeline=pipeline.key,
        outcome=pipeline.outcome,
        environment=pipeline.environment or _most_important(jobs),
        started_at=pipeline.started_at or _derived_start(pipeline),
        finished_at=pipeline.finished_at,
    )


def _most_important(jobs: list[Job]) -> str | None:
    named = [job.environment for job in jobs if job.environment]
    for tier in _ORDER:
        found = next((name for name in named if tier_of(name) is tier), None)
        if found is not None:
            return found
    return named[0] if named else None


def _derived_start(pipeline: Pipeline) -> datetime | None:
    if pipeline.finished_at is None or pipeline.duration is None:
        return None
    return pipeline.finished_at - timedelta(seconds=pipeline.duration)
