"""Events of delivery: what happened to an app between its prompt and production.

An event is a fact that never changes. Its ``key`` is its identity, made of what the source itself
uses as one (reference: docs/reference/events.md), so that the same fact read twice is one event.
Times are UTC; one without a zone is refused, never guessed. Durations are seconds, money is US
dollars.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pytest_dora.model.base import Model


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: write it in UTC, as 2026-01-31T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside of the years 1 to 9999") from error


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
Utc = Annotated[datetime, AfterValidator(_utc)]
Key = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, Field(max_length=2000)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class EnvironmentTier(StrEnum):
    """What an environment is for, whatever its source calls it."""

    PRODUCTION = "production"
    STAGING = "staging"
    TESTING = "testing"
    DEVELOPMENT = "development"
    UNKNOWN = "unknown"


TIERS = tuple(tier.value for tier in EnvironmentTier if tier is not EnvironmentTier.UNKNOWN)
"""The tiers that an evaluator may give to a name."""


class Method(StrEnum):
    """Who started a deployment: a person, a pipeline that a person's push started, or nobody."""

    MANUAL = "manual"
    CI = "ci"
    AUTOMATED = "automated"


class DeploymentState(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    """Replaced by a later one; says nothing about whether it had succeeded before."""


class RunOutcome(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class IncidentKind(StrEnum):
    OUTAGE = "outage"
    FAILED_CHANGE = "failed_change"
    USER_REPORTED = "user_reported"
    SILENT_FAILURE = "silent_failure"
    DEGRADATION = "degradation"


class GenerationBody(Model):
    """One attempt of a model to make an app (or of a person, when ``human``)."""

    kind: Literal["generation"] = "generation"
    prompt_at: Utc
    completed_at: Utc | None = None
    success: bool | None = None
    human: bool = False
    model: str | None = None
    prompt_id: str | None = None
    attempt: int | None = Field(None, ge=1)
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: Money | None = None
    fingerprint: str | None = None


class BuildBody(Model):
    """An installation and build of a tree, by an evaluation or a pipeline."""

    kind: Literal["build"] = "build"
    started_at: Utc
    finished_at: Utc | None = None
    success: bool
    run_id: str | None = None
    fingerprint: str | None = None
    commit_sha: str | None = None
    cost_usd: Money | None = None


class PipelineRunBody(Model):
    """One attempt of one run of a pipeline, when it has ended."""

    kind: Literal["pipeline_run"] = "pipeline_run"
    run: Key
    """The run without its attempt."""
    attempt: int = Field(1, ge=1)
    name: Text | None = None
    queued_at: Utc | None = None
    started_at: Utc
    finished_at: Utc
    outcome: RunOutcome
    commit_sha: str | None = None
    branch: str | None = None
    url: str | None = None


class DeploymentBody(Model):
    """A deployment began. Whether it succeeded is told by its statuses."""

    kind: Literal["deployment"] = "deployment"
    deployment: Key
    created_at: Utc | None = None
    started_at: Utc | None = None
    version: str | None = None
    commit_sha: str | None = None
    artifact: str | None = None
    """A package URL or an image reference."""
    repository: str | None = None
    method: Method | None = None
    fingerprint: str | None = None
    """Hash of the tree that was evaluated: joins the deployment to its verdict."""
    run_id: str | None = None
    """The evaluation that let it through."""
    previous_version: str | None = None
    rollback: bool | None = None
    """True when it brings back an earlier version; null when the source does not say."""
    rollback_to: str | None = None
    rework: bool | None = None
    """True when it was unplanned and followed from an incident; null when nobody says."""
    cost_usd: Money | None = None
    url: str | None = None


class DeploymentStatusBody(Model):
    """A deployment changed its state. ``success`` is the moment it served in production."""

    kind: Literal["deployment_status"] = "deployment_status"
    deployment: Key
    state: DeploymentState
    estimated: bool = False
    """The source has no such time; this one was inferred from another."""


class DeploymentChangesBody(Model):
    """The commits that a deployment brought in addition to the one before it."""

    kind: Literal["deployment_changes"] = "deployment_changes"
    deployment: Key
    commit_shas: tuple[str, ...] = Field(max_length=10_000)
    truncated: bool = False


class ChangeBody(Model):
    """A commit, with the pull request that brought it."""

    kind: Literal["change"] = "change"
    commit_sha: str
    authored_at: Utc | None = None
    committed_at: Utc | None = None
    merged_at: Utc | None = None
    opened_at: Utc | None = None
    """When its pull request was opened."""
    pull_request: str | None = None
    merge_sha: str | None = None
    """The commit that the pull request became on its target branch."""
    is_merge: bool = False
    reverts: tuple[str, ...] = ()
    """Commits that this one takes back."""
    hotfix: bool | None = None


class Cause(Model):
    """The deployment that caused an incident, by one of its names."""

    deployment: str | None = None
    version: str | None = None
    commit_sha: str | None = None


class IncidentBody(Model):
    """What is known of an incident at a moment. Later events add to it and correct it."""

    kind: Literal["incident"] = "incident"
    incident: Key
    incident_kind: IncidentKind | None = None
    title: Text | None = None
    severity: str | None = None
    started_at: Utc | None = None
    detected_at: Utc | None = None
    diagnosed_at: Utc | None = None
    fix_deployed_at: Utc | None = None
    resolved_at: Utc | None = None
    caused_by: Cause | None = None
    external_cause: bool | None = None
    """True when no change of the app caused it (a provider's outage)."""
    duplicate_of: str | None = None
    url: str | None = None


class HealthBody(Model):
    """What monitoring saw of an app over a span of time, as far as it measured it."""

    kind: Literal["health"] = "health"
    start: Utc
    end: Utc
    uptime: float | None = Field(None, ge=0, le=1)
    requests: float | None = Field(None, ge=0, allow_inf_nan=False)
    errors: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Answers of 500 and above, or what the evaluator's expression counts."""
    p50_ms: Seconds | None = None
    p99_ms: Seconds | None = None


class QueryFailuresBody(Model):
    """Queries to a data service over a span of time, and how many of them failed."""

    kind: Literal["query_failures"] = "query_failures"
    start: Utc
    end: Utc
    queries: float | None = Field(None, ge=0, allow_inf_nan=False)
    failures: float = Field(ge=0, allow_inf_nan=False)


class CostBody(Model):
    """Money that was spent on an app."""

    kind: Literal["cost"] = "cost"
    category: Literal["generation", "build", "deployment", "evaluation", "other"]
    usd: Money
    reference: str | None = None
    """What it paid for: a deployment, a run, an invoice."""


class VerdictBody(Model):
    """What an evaluation said of one tree of an app."""

    kind: Literal["verdict"] = "verdict"
    run_id: str
    fingerprint: str | None = None
    level: str | None = None
    deployable: bool | None = None
    predicted_failure: bool | None = None
    """Whether a blocking check failed; null when one of them could not be judged."""
    outcomes: dict[str, str] = Field(default_factory=dict)
    """Outcome by check."""


class DrillBody(Model):
    """A recovery that was rehearsed in an evaluation, never in production."""

    kind: Literal["drill"] = "drill"
    run_id: str
    drill: Literal["rollback", "incident"]
    passed: bool
    recovery_seconds: Seconds | None = None


Body = Annotated[
    GenerationBody
    | BuildBody
    | PipelineRunBody
    | DeploymentBody
    | DeploymentStatusBody
    | DeploymentChangesBody
    | ChangeBody
    | IncidentBody
    | HealthBody
    | QueryFailuresBody
    | CostBody
    | VerdictBody
    | DrillBody,
    Field(discriminator="kind"),
]


class Event(Model):
    """One fact. ``app_id`` may be unknown to a collector: then ``service`` says whose it is, and
    the fleet file which app that is."""

    key: Key
    source: Key
    """Who told it: ``github``, ``fly``, ``record``, ``cdevents``, …"""
    app_id: str | None = Field(None, min_length=1, max_length=500)
    service: str | None = Field(None, min_length=1, max_length=500)
    """``kind:name`` as a service knows the app: ``github:owner/repo``, ``fly:shop``."""
    environment: str | None = Field(None, max_length=200)
    """As the source names it; ``delivery.environments`` knows its tier."""
    occurred_at: Utc
    observed_at: Utc
    """When it was recorded or collected; no part of its identity."""
    body: Body

    def said(self) -> str:
        """What it says, as JSON of one spelling; when it was observed is no part of that."""
        fields = self.model_dump(mode="json", exclude={"observed_at"}, exclude_none=True)
        return _canonical(fields)

    def digest(self) -> str:
        """Hash of what it says. Two events with one key and two digests contradict each other."""
        return digest_of(self.said())


def digest_of(said: str) -> str:
    """The digest of an event that says this."""
    return hashlib.sha256(said.encode()).hexdigest()[:32]
