"""What is posted to the webhooks of Apache DevLake: deployments, and incidents as issues.

Both spellings are read, camelCase and the older snake_case. On purpose other than there: a commit
has the result of its deployment, a resolved incident says when it was resolved, and no creation
time is made up from the start.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, Field
from pydantic.alias_generators import to_camel

from pytest_dora.delivery.exchange.edge import (
    Foreign,
    Payload,
    Unusable,
    key_part,
    service_of_repository,
)
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event, Utc

_RESULTS = {
    "SUCCESS": DeploymentState.SUCCESS,
    "FAILURE": DeploymentState.FAILED,
    "ABORT": DeploymentState.CANCELLED,
}
_Name = Annotated[str, Field(min_length=1)]
_Result = Literal["SUCCESS", "FAILURE", "ABORT"]


def _also(name: str, *others: str) -> AliasChoices:
    """A key as it is spelled now, and as it was."""
    return AliasChoices(to_camel(name), name, *others)


class _Commit(Foreign):
    repo_url: _Name = Field(validation_alias=_also("repo_url"))
    commit_sha: _Name = Field(validation_alias=_also("commit_sha"))
    started_date: Utc = Field(validation_alias=_also("started_date"))
    finished_date: Utc = Field(validation_alias=_also("finished_date"))
    result: _Result | None = None


class _Deployment(Foreign):
    id: _Name = Field(validation_alias=AliasChoices("id", "pipeline_id"))
    created_date: Utc | None = Field(None, validation_alias=_also("created_date", "create_time"))
    started_date: Utc = Field(validation_alias=_also("started_date", "start_time"))
    finished_date: Utc = Field(validation_alias=_also("finished_date", "end_time"))
    environment: Literal["PRODUCTION", "STAGING", "TESTING", "DEVELOPMENT"] = "PRODUCTION"
    result: _Result = "SUCCESS"
    deployment_commits: tuple[_Commit, ...] = Field(
        min_length=1, validation_alias=_also("deployment_commits")
    )
    url: str | None = None


class _Issue(Foreign):
    issue_key: _Name = Field(validation_alias=_also("issue_key"))
    title: str
    type: str | None = None
    status: Literal["TODO", "DONE", "IN_PROGRESS"] | None = None
    original_status: str = Field(validation_alias=_also("original_status"))
    created_date: Utc = Field(validation_alias=_also("created_date"))
    resolution_date: Utc | None = Field(None, validation_alias=_also("resolution_date"))
    severity: str | None = None
    priority: str | None = None
    url: str | None = None


def recognises(payload: Payload) -> bool:
    deployment = {"deploymentCommits", "deployment_commits", "pipeline_id"} & payload.keys()
    dated = {"startedDate", "started_date"} & payload.keys()
    return bool(deployment or dated or {"issueKey", "issue_key"} & payload.keys())


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    if {"issueKey", "issue_key"} & payload.keys():
        return _issue(_Issue.model_validate(payload), observed_at)
    return _deployment(_Deployment.model_validate(_with_commits(payload)), observed_at)


def _with_commits(payload: Payload) -> Payload:
    """The oldest form has one commit, beside the deployment's own keys."""
    if "pipeline_id" not in payload or {"deploymentCommits", "deployment_commits"} & payload.keys():
        return payload
    commit = {
        "repo_url": payload.get("repo_url"),
        "commit_sha": payload.get("commit_sha"),
        "started_date": payload.get("start_time"),
        "finished_date": payload.get("end_time"),
    }
    return {**payload, "deployment_commits": [commit]}


def _deployment(read: _Deployment, observed_at: datetime) -> tuple[Event, ...]:
    for commit in read.deployment_commits:
        if commit.result is not None and commit.result != read.result:
            raise Unusable(f"commit {commit.commit_sha} is {commit.result} and its deployment "
                           f"{read.result}: give the deployment the result that counts")  # fmt: skip
    entity = f"devlake/deployment/{key_part(read.id)}"
    first = read.deployment_commits[0]
    shas = tuple(dict.fromkeys(commit.commit_sha for commit in read.deployment_commits))
    began = facts.DeploymentBody(
        deployment=entity,
        created_at=read.created_date,
        started_at=read.started_date,
        commit_sha=first.commit_sha,
        repository=first.repo_url,
        url=read.url,
    )
    ended = facts.DeploymentStatusBody(deployment=entity, state=_RESULTS[read.result])
    told: list[tuple[str, datetime, facts.Body]] = [
        ("", read.started_date, began),
        (f" {read.result}", read.finished_date, ended),
    ]
    if len(shas) > 1:
        changes = facts.DeploymentChangesBody(deployment=entity, commit_shas=shas)
        told.append((" commits", read.started_date, changes))
    service = service_of_repository(first.repo_url)
    return tuple(
        Event(
            key=entity + part,
            source="devlake",
            service=service,
            environment=read.environment,
            occurred_at=moment,
            observed_at=observed_at,
            body=body,
        )
        for part, moment, body in told
    )


def _issue(read: _Issue, observed_at: datetime) -> tuple[Event, ...]:
    if read.type != "INCIDENT":
        raise Unusable(f"the issue's type is {read.type}; only an INCIDENT is an event")
    if read.status == "DONE" and read.resolution_date is None:
        raise Unusable("the incident is DONE and has no resolutionDate: say when it was resolved")
    entity = f"devlake/issue/{key_part(read.issue_key)}"
    moment = read.resolution_date or read.created_date
    body = facts.IncidentBody(
        incident=entity,
        title=read.title,
        severity=read.severity or read.priority,
        detected_at=read.created_date,
        resolved_at=read.resolution_date,
        url=read.url,
    )
    which = read.status or read.original_status
    return (
        Event(
            key=f"{entity} {key_part(which)} {moment.isoformat()}",
            source="devlake",
            occurred_at=moment,
            observed_at=observed_at,
            body=body,
        ),
    )
