"""Payloads of GitHub's webhooks. The keys are those of the GitHub collector, so that a fact that
both tell is one event.

The type of a payload stands in a header of its request, which a file has lost: it is told by the
payload's keys. A release deploys nothing by itself; it is a deployment only where
``github:release`` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from pytest_dora.delivery.exchange.edge import Foreign, Payload, Unusable
from pytest_dora.model.events import (
    ChangeBody,
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
    Utc,
)

if TYPE_CHECKING:
    from pytest_dora.delivery.collectors.github.facts import Origin

_INCIDENT = re.compile(r"(.*[\W_])?incident([\W_].*)?", re.IGNORECASE)


class _Repository(Foreign):
    full_name: str = Field(pattern=r"^[^/\s]+/[^/\s]+$")
    html_url: str


class _Payload(Foreign):
    """What is ours to read; the rest is read by the collector's own models."""

    repository: _Repository

    def origin(self, observed_at: datetime) -> Origin:
        from pytest_dora.delivery.collectors.github.facts import Origin

        host = urlsplit(self.repository.html_url).hostname or "github.com"
        return Origin(host, self.repository.full_name, None, observed_at)


class _DeploymentPayload(_Payload):
    deployment: dict[str, Any]
    deployment_status: dict[str, Any] | None = None


class _RunPayload(_Payload):
    workflow_run: dict[str, Any]


class _PullRequestPayload(_Payload):
    pull_request: dict[str, Any]


class _Commit(Foreign):
    id: str
    message: str = ""
    timestamp: Utc


class _PushPayload(_Payload):
    ref: str
    commits: tuple[_Commit, ...]


class _Release(Foreign):
    id: int
    tag_name: str
    draft: bool = False
    published_at: Utc | None = None
    html_url: str | None = None


class _ReleasePayload(_Payload):
    action: str
    release: _Release


class _Label(Foreign):
    name: str


class _Issue(Foreign):
    number: int
    title: str
    state: str
    html_url: str
    created_at: Utc
    closed_at: Utc | None = None
    labels: tuple[_Label, ...] = ()


class _IssuePayload(_Payload):
    action: str
    issue: _Issue


def recognises(payload: Payload) -> bool:
    repository = payload.get("repository")
    return isinstance(repository, dict) and "full_name" in repository


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    """The events of a payload, whose type its keys tell."""
    kind = _kind(payload)
    if kind == "release":
        raise Unusable(
            "a release is no deployment; where publishing one deploys it, import it with "
            "--format github:release --environment production"
        )
    return _READ[kind](payload, observed_at)


def reading(event_type: str) -> Callable[[Payload, datetime], tuple[Event, ...]]:
    """The reader of payloads of one type (one of ``TYPES``)."""
    return _READ[event_type]


def _kind(payload: Payload) -> str:
    # a deployment carries the run that made it: the order says what a payload is about
    for key in ("deployment_status", "deployment", "pull_request", "release", "issue"):
        if isinstance(payload.get(key), dict):
            return "issues" if key == "issue" else key
    if isinstance(payload.get("workflow_run"), dict):
        return "workflow_run"
    if "commits" in payload and "ref" in payload:
        return "push"
    raise Unusable(f"is no webhook of GitHub that is read here ({', '.join(TYPES)})")


def _deployment(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    from pytest_dora.delivery.collectors.github import facts, payloads

    read = _DeploymentPayload.model_validate(payload)
    made = payloads.DeploymentPayload.model_validate(read.deployment)
    statuses = []
    if read.deployment_status is not None:
        statuses.append(payloads.StatusPayload.model_validate(read.deployment_status))
    unknown = [status.state for status in statuses if status.state not in facts.STATES]
    if unknown:
        raise Unusable(f"deployment {made.id} is {unknown[0]!r}, a state that is not known here")
    return tuple(facts.deployment_events(read.origin(observed_at), made, statuses))


def _run(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    """The end is the run's ``updated_at``, which is that as long as a run has just completed."""
    from pytest_dora.delivery.collectors.github import facts, payloads

    read = _RunPayload.model_validate(payload)
    run = payloads.RunPayload.model_validate(read.workflow_run)
    if not run.ended:
        raise Unusable(f"run {run.id} has not ended; only its completion is an event")
    outcome, finished_at = facts.run_outcome(run), facts.run_finish(run, ())
    if outcome is None:
        raise Unusable(f"run {run.id} ended {run.conclusion!r}, which is not known here")
    if finished_at is None:
        raise Unusable(f"run {run.id} ended before it began: its times contradict each other")
    return (facts.run_event(read.origin(observed_at), run, finished_at, outcome),)


def _pull_request(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    """What the merge says of the commit that it made; a collector tells of the others."""
    from pytest_dora.delivery.collectors.github import facts, payloads

    read = _PullRequestPayload.model_validate(payload)
    pull = payloads.PullPayload.model_validate(read.pull_request)
    if pull.merged_at is None or pull.merge_commit_sha is None:
        raise Unusable(f"pull request {pull.number} is not merged; only its merge is an event")
    origin = read.origin(observed_at)
    commit = payloads.CommitPayload(sha=pull.merge_commit_sha, commit=payloads.CommitDetails())
    told = facts.change_event(origin, commit, [pull])
    return _under(origin.key("pull", pull.number, "merged"), told)


def _push(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    from pytest_dora.delivery.collectors.github import facts, payloads

    read = _PushPayload.model_validate(payload)
    if not read.commits:
        raise Unusable(f"the push to {read.ref} brings no commit")
    origin = read.origin(observed_at)
    events: list[Event] = []
    for commit in read.commits:
        committer = payloads.Signature(date=commit.timestamp)
        details = payloads.CommitDetails(message=commit.message, committer=committer)
        told = facts.change_event(origin, payloads.CommitPayload(sha=commit.id, commit=details), ())
        events += _under(origin.key("commit", commit.id, "pushed"), told)
    return tuple(events)


def _under(key: str, told: Event | None) -> tuple[Event, ...]:
    """A change under a key of its own, for it adds to what the collector says of the commit.

    The payload does not know the commit's parents, so whether it is a merge stays unsaid.
    """
    if told is None or not isinstance(told.body, ChangeBody):
        return ()
    said = told.body.model_dump(exclude_unset=True, exclude_none=True, exclude={"is_merge"})
    body = ChangeBody.model_validate(said)
    return (told.model_copy(update={"key": key, "body": body}),)


def _release(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    read = _ReleasePayload.model_validate(payload)
    release, origin = read.release, read.origin(observed_at)
    if read.action not in ("published", "released") or release.published_at is None:
        raise Unusable(f"the release was {read.action}; only one that is published is an event")
    key, moment = origin.key("release", release.id), release.published_at
    body = DeploymentBody(
        deployment=key,
        created_at=moment,
        version=release.tag_name,
        repository=f"https://{origin.host}/{origin.repository}",
        url=release.html_url,
    )
    # nobody says when it served: publishing it is the nearest known moment
    served = DeploymentStatusBody(deployment=key, state=DeploymentState.SUCCESS, estimated=True)
    return origin.event(key, body, moment), origin.event(f"{key}/success", served, moment)


def _issue(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    read = _IssuePayload.model_validate(payload)
    issue, origin = read.issue, read.origin(observed_at)
    if not any(_INCIDENT.fullmatch(label.name) for label in issue.labels):
        raise Unusable("the issue has no label with the word `incident`")
    if read.action == "reopened":
        raise Unusable("a reopened incident has no end that could be taken back; its next closing "
                       "corrects the end")  # fmt: skip
    resolved_at = issue.closed_at if issue.state == "closed" else None
    if issue.state == "closed" and resolved_at is None:
        raise Unusable("the issue is closed and has no closed_at: nothing says when it ended")
    key = origin.key("issue", issue.number)
    body = IncidentBody(
        incident=key,
        title=issue.title,
        detected_at=issue.created_at,
        resolved_at=resolved_at,
        url=issue.html_url,
    )
    moment = resolved_at or issue.created_at
    stamp = moment.isoformat().replace("+00:00", "Z")
    state = "opened" if resolved_at is None else "closed"
    return (origin.event(f"{key}/{state}/{stamp}", body, moment),)


_READ: dict[str, Callable[[Payload, datetime], tuple[Event, ...]]] = {
    "deployment": _deployment,
    "deployment_status": _deployment,
    "workflow_run": _run,
    "pull_request": _pull_request,
    "push": _push,
    "release": _release,
    "issues": _issue,
}
TYPES = tuple(_READ)
