"""What events add up to: the things that metrics count. Made by ``fold``, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pytest_dora.delivery.environments import EnvironmentTier
from pytest_dora.model.events import (
    BuildBody,
    Cause,
    ChangeBody,
    CostBody,
    DeploymentState,
    DrillBody,
    GenerationBody,
    HealthBody,
    IncidentKind,
    Method,
    PipelineRunBody,
    QueryFailuresBody,
    VerdictBody,
)

NAMES = ("version", "commit_sha", "artifact")


@dataclass(frozen=True)
class Deployment:
    """One release of an app to one environment, by whichever sources told of it."""

    key: str
    app_id: str
    tier: EnvironmentTier
    environment: str | None = None
    state: DeploymentState = DeploymentState.PENDING
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    """When it first served; for one that never did, when it ended."""
    finish_estimated: bool = False
    failed_after: datetime | None = None
    """When its source called it failed although it had served."""
    version: str | None = None
    commit_sha: str | None = None
    artifact: str | None = None
    repository: str | None = None
    method: Method | None = None
    fingerprint: str | None = None
    run_id: str | None = None
    previous_version: str | None = None
    rollback: bool | None = None
    rollback_to: str | None = None
    rework: bool | None = None
    cost_usd: float | None = None
    commit_shas: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Keys of the same release as other sources tell it."""
    other_names: frozenset[tuple[str, str]] = frozenset()
    """Its names there."""

    @property
    def served(self) -> bool:
        return self.state is DeploymentState.SUCCESS and self.finished_at is not None

    @property
    def began_at(self) -> datetime | None:
        return self.started_at or self.created_at

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        """Kind and value of each name by which others may mean it, the strongest kind first in
        ``NAMES``."""
        own = ((kind, getattr(self, kind)) for kind in NAMES)
        return self.other_names | {(kind, value) for kind, value in own if value}

    def is_again(self, other: Deployment) -> bool:
        """Whether both released the same: by the strongest kind of name that both have.

        An image that is always called ``latest`` says nothing where the versions differ.
        """
        mine, theirs = self.names, other.names
        for kind in NAMES:
            here = {name for name in mine if name[0] == kind}
            there = {name for name in theirs if name[0] == kind}
            if here and there:
                return bool(here & there)
        return False


@dataclass(frozen=True)
class Incident:
    """A time of trouble. Open while ``resolved_at`` is None."""

    key: str
    app_id: str
    tier: EnvironmentTier
    environment: str | None = None
    told_at: datetime | None = None
    """When it was first told of: all that is known of its beginning where nobody says more."""
    kind: IncidentKind | None = None
    title: str | None = None
    severity: str | None = None
    started_at: datetime | None = None
    detected_at: datetime | None = None
    diagnosed_at: datetime | None = None
    fix_deployed_at: datetime | None = None
    resolved_at: datetime | None = None
    caused_by: Cause | None = None
    external_cause: bool | None = None
    duplicate_of: str | None = None

    @property
    def began_at(self) -> datetime | None:
        """When it began, else when it was noticed, else when it was first told of."""
        known = [moment for moment in (self.started_at, self.detected_at) if moment is not None]
        return min(known, default=self.told_at)


@dataclass(frozen=True)
class AppHistory:
    """Everything known of one app, each in the order of time."""

    app_id: str
    deployments: tuple[Deployment, ...] = ()
    incidents: tuple[Incident, ...] = ()
    changes: Mapping[str, ChangeBody] = field(default_factory=dict)
    generations: tuple[GenerationBody, ...] = ()
    builds: tuple[BuildBody, ...] = ()
    pipeline_runs: tuple[PipelineRunBody, ...] = ()
    health: tuple[HealthBody, ...] = ()
    query_failures: tuple[QueryFailuresBody, ...] = ()
    costs: tuple[tuple[datetime, CostBody], ...] = ()
    """With the moment at which the money was spent."""
    generation_names: tuple[frozenset[str], ...] = ()
    """By what a cost may refer to each generation, …"""
    build_names: tuple[frozenset[str], ...] = ()
    """… and to each build."""
    verdicts: tuple[tuple[datetime, VerdictBody], ...] = ()
    drills: tuple[tuple[datetime, DrillBody], ...] = ()
    first_seen: datetime | None = None
    """The earliest event: before it nothing of the app could have been counted."""
    sources: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    uncounted: Mapping[str, int] = field(default_factory=dict)
    """Facts that no metric can use, by the reason why."""

    @property
    def production(self) -> tuple[Deployment, ...]:
        """Deployments to production, in the order in which they finished or began."""
        return tuple(one for one in self.deployments if one.tier is EnvironmentTier.PRODUCTION)
