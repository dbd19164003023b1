"""GitHub's payloads as events: pure, and equal payloads give equal events.

Only what never changes becomes part of an event. A deployment's ``updated_at``, a run's
``updated_at`` (GitHub touches old runs again) and names of open pull requests are none of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pytest_dora.delivery.collectors.ci import PipelineDeployment
from pytest_dora.delivery.collectors.github.payloads import (
    CommitPayload,
    DeploymentPayload,
    JobPayload,
    PullPayload,
    RunPayload,
    StatusPayload,
)
from pytest_dora.model.events import (
    Body,
    ChangeBody,
    DeploymentBody,
    DeploymentChangesBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    Method,
    PipelineRunBody,
    RunOutcome,
)

STATES = {
    "queued": DeploymentState.PENDING,
    "pending": DeploymentState.PENDING,
    "in_progress": DeploymentState.IN_PROGRESS,
    "success": DeploymentState.SUCCESS,
    "failure": DeploymentState.FAILED,
    "error": DeploymentState.FAILED,
    "inactive": DeploymentState.SUPERSEDED,
}
ENDED = frozenset({"success", "failure", "error", "inactive"})
OUTCOMES = {
    "success": RunOutcome.SUCCESS,
    "failure": RunOutcome.FAILED,
    "timed_out": RunOutcome.FAILED,
    "startup_failure": RunOutcome.FAILED,
    "cancelled": RunOutcome.CANCELLED,
    "stale": RunOutcome.CANCELLED,
    "skipped": RunOutcome.SKIPPED,
    "neutral": RunOutcome.SKIPPED,
    "action_required": RunOutcome.SKIPPED,
}
"""``neutral`` and ``action_required`` ended without an answer: neither good nor bad."""
_RUN_STATES = {
    RunOutcome.SUCCESS: DeploymentState.SUCCESS,
    RunOutcome.FAILED: DeploymentState.FAILED,
    RunOutcome.CANCELLED: DeploymentState.CANCELLED,
}
_BY_A_PUSH = frozenset(
    {"push", "pull_request", "pull_request_target", "merge_group", "release", "create"}
)
_VERSION = re.compile(r"(refs/tags/)?(v?\d+(\.\d+)+([-+.][0-9A-Za-z.-]+)?)")
_REVERTS = re.compile(r"\bThis reverts commit ([0-9a-f]{7,64})\b")
_HOTFIX = re.compile(r"hot-?fix([/_-].*)?", re.IGNORECASE)
_LONGEST_ENVIRONMENT = 200


@dataclass(frozen=True)
class Origin:
    """Whose facts these are, and when they were read."""

    host: str
    repository: str
    app_id: str | None
    observed_at: datetime

    def key(self, *parts: object) -> str:
        return "/".join((self.host, self.repository, *map(str, parts)))

    def event(
        self, key: str, body: Body, occurred_at: datetime, environment: str | None = None
    ) -> Event:
        return Event(
            key=key,
            source="github",
            app_id=self.app_id,
            service=f"github:{self.repository}",
            environment=environment[:_LONGEST_ENVIRONMENT] if environment else None,
            occurred_at=occurred_at,
            observed_at=self.observed_at,
            body=body,
        )


def deployment_events(
    origin: Origin, deployment: DeploymentPayload, statuses: Sequence[StatusPayload]
) -> list[Event]:
    """The deployment, its statuses, and where a status sent it to another environment.

    ``method`` is CI when a bot or an app made it, for then a pipeline did; whose push started that
    pipeline is not looked up. It stays None for a user: pipelines deploy with users' tokens too.
    A ``ref`` counts as version when it looks like one (``v1.2.0``): branches are none.
    """
    key = origin.key("deployment", deployment.id)
    meant = deployment.original_environment or deployment.environment
    version = _VERSION.fullmatch(deployment.ref)
    bot = deployment.creator is not None and deployment.creator.type == "Bot"
    body = DeploymentBody(
        deployment=key,
        created_at=deployment.created_at,
        version=version[2] if version else None,
        commit_sha=deployment.sha,
        repository=f"https://{origin.host}/{origin.repository}",
        method=Method.CI if bot else None,
    )
    events = [origin.event(key, body, deployment.created_at, meant)]
    now_in = meant
    for status in sorted(statuses, key=lambda one: (one.created_at, one.id)):
        if status.environment and status.environment != now_in:
            now_in = status.environment
            moved = f"{key}/status/{status.id}/environment"
            events.append(origin.event(moved, body, status.created_at, now_in))
        state = STATES.get(status.state)
        if state is not None:
            told = DeploymentStatusBody(deployment=key, state=state)
            status_key = f"{key}/status/{status.id}"
            events.append(origin.event(status_key, told, status.created_at, now_in))
    return events


def success_of(
    deployment: DeploymentPayload, statuses: Sequence[StatusPayload]
) -> tuple[datetime, str] | None:
    """When it first served and where. ``inactive`` and later statuses change nothing of that."""
    place = deployment.original_environment or deployment.environment
    for status in sorted(statuses, key=lambda one: (one.created_at, one.id)):
        place = status.environment or place
        if status.state == "success":
            return status.created_at, place
    return None


def run_outcome(run: RunPayload) -> RunOutcome | None:
    """None for a conclusion that is not known here."""
    return OUTCOMES.get((run.conclusion or "").lower())


def run_finish(run: RunPayload, jobs: Sequence[JobPayload]) -> datetime | None:
    """When the last job of an attempt ended.

    An attempt without jobs (it failed to start, or was cancelled before) has only the run's
    ``updated_at``. None when neither lies after the start.
    """
    start = run.run_started_at or run.created_at
    ends = [job.completed_at for job in jobs if job.completed_at and job.completed_at >= start]
    if ends:
        return max(ends)
    return run.updated_at if run.updated_at >= start else None


def run_event(origin: Origin, run: RunPayload, finished_at: datetime, outcome: RunOutcome) -> Event:
    """One attempt. Its start is ``run_started_at``: ``created_at`` is the first attempt's."""
    key = origin.key("run", run.id, "attempt", run.run_attempt)
    address = f"https://{origin.host}/{origin.repository}/actions/runs/{run.id}"
    body = PipelineRunBody(
        run=origin.key("run", run.id),
        attempt=run.run_attempt,
        name=run.name,
        queued_at=run.created_at if run.run_attempt == 1 else None,
        started_at=run.run_started_at or run.created_at,
        finished_at=finished_at,
        outcome=outcome,
        commit_sha=run.head_sha,
        branch=run.head_branch,
        url=f"{address}/attempts/{run.run_attempt}",
    )
    return origin.event(key, body, finished_at)


def run_method(run: RunPayload) -> Method | None:
    """Who started a run, of what its event and its actors say.

    A schedule or a bot: nobody. ``workflow_dispatch`` by a user: a person who wanted just this.
    Pushes, pull requests and releases: the pipeline of a person's push. Else it is not known.
    """
    actor = run.triggering_actor or run.actor
    if run.event == "schedule" or (actor is not None and actor.type == "Bot"):
        return Method.AUTOMATED
    if run.event == "workflow_dispatch" and actor is not None and actor.type == "User":
        return Method.MANUAL
    return Method.CI if run.event in _BY_A_PUSH else None


def run_deployment_events(
    origin: Origin, run: RunPayload, deployment: PipelineDeployment
) -> list[Event]:
    """The deployment that an attempt of a run was. Its key is that of the attempt."""
    key = deployment.pipeline
    start = deployment.started_at or run.run_started_at or run.created_at
    body = DeploymentBody(
        deployment=key,
        started_at=start,
        commit_sha=run.head_sha,
        repository=f"https://{origin.host}/{origin.repository}",
        method=run_method(run),
        url=f"https://{origin.host}/{origin.repository}/actions/runs/{run.id}",
    )
    events = [origin.event(f"{key}/deployment", body, start, deployment.environment)]
    state = _RUN_STATES.get(deployment.outcome) if deployment.outcome else None
    if state is not None and deployment.finished_at is not None:
        told = DeploymentStatusBody(deployment=key, state=state)
        events.append(
            origin.event(
                f"{key}/deployment/status", told, deployment.finished_at, deployment.environment
            )
        )
    return events


def changes_event(
    origin: Origin,
    deployment: str,
    environment: str | None,
    served_at: datetime,
    shas: Sequence[str],
    *,
    truncated: bool,
) -> Event:
    body = DeploymentChangesBody(
        deployment=deployment, commit_shas=tuple(shas), truncated=truncated
    )
    return origin.event(f"{deployment}/changes", body, served_at, environment)


def change_event(
    origin: Origin, commit: CommitPayload, pulls: Sequence[PullPayload]
) -> Event | None:
    """A commit, with the pull request that first brought it to a branch; None without any time.

    Open pull requests do not count. A commit that is merged later gets another event, with a key
    of its own, that adds the pull request: the fact that it was not merged yet stays true.
    """
    merged = [(pull.merged_at, pull.number, pull) for pull in pulls if pull.merged_at is not None]
    pull = min(merged)[2] if merged else None
    author, committer = commit.commit.author, commit.commit.committer
    authored_at = author.date if author else None
    committed_at = committer.date if committer else None
    moment = (pull.merged_at if pull else None) or committed_at or authored_at
    if moment is None:
        return None
    key = origin.key("commit", commit.sha)
    hotfix = pull is not None and pull.head is not None and _HOTFIX.fullmatch(pull.head.ref)
    body = ChangeBody(
        commit_sha=commit.sha,
        authored_at=authored_at,
        committed_at=committed_at,
        merged_at=pull.merged_at if pull else None,
        opened_at=pull.created_at if pull else None,
        pull_request=origin.key("pull", pull.number) if pull else None,
        merge_sha=pull.merge_commit_sha if pull else None,
        is_merge=len(commit.parents) > 1,
        reverts=tuple(dict.fromkeys(_REVERTS.findall(commit.commit.message))),
        hotfix=True if hotfix else None,
    )
    return origin.event(f"{key}/pull/{pull.number}" if pull else key, body, moment)
