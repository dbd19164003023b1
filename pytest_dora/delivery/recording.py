"""What people and pipelines record by hand: a few facts in, events out.

A record with an ``id`` has the same keys whoever repeats it; without one it is new every time. All
that is recorded later of the same id adds to it: facts that are left out say nothing.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pytest_dora.delivery.exchange.edge import key_part, reason_of
from pytest_dora.model import events as facts
from pytest_dora.model.events import (
    Cause,
    DeploymentState,
    Event,
    IncidentKind,
    Method,
)
from pytest_dora.model.report import Report

SOURCE = "record"
_SHOWN = 5
_BEGUN = (DeploymentState.PENDING, DeploymentState.IN_PROGRESS)
NO_ZONE = "a time needs a zone: write 2026-01-31T12:00:00Z, an offset such as +02:00, or `now`"


class RecordError(ValueError):
    """Something cannot be recorded as it was said; the message names the way out."""


@dataclass(frozen=True)
class Subject:
    """Whose record it is. ``at`` is the moment of the recording (UTC)."""

    app_id: str
    at: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    environment: str | None = None

    def entity(self, kind: str) -> str:
        """The key of what is recorded. An id has no slash in it, so that an app may."""
        own = key_part(self.id).replace("/", "%2F")
        return f"{SOURCE}/{key_part(self.app_id)}/{kind}/{own}"


@dataclass(frozen=True)
class DeploymentRecord:
    """A deployment in one of its states; ``facts`` are fields of ``DeploymentBody``."""

    state: DeploymentState = DeploymentState.SUCCESS
    started_at: datetime | None = None
    finished_at: datetime | None = None
    """Of a state that ends a deployment; the moment of the recording when it is left out."""
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
    url: str | None = None
    changes: tuple[str, ...] = ()
    """Commits that it brought."""


@dataclass(frozen=True)
class IncidentRecord:
    """What is known of an incident now: it opens, corrects or closes it."""

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
    """Id of the incident, recorded for the same app, that this one repeats."""
    url: str | None = None


@dataclass(frozen=True)
class GenerationRecord:
    prompt_at: datetime
    completed_at: datetime | None = None
    success: bool | None = None
    human: bool = False
    model: str | None = None
    prompt_id: str | None = None
    attempt: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class BuildRecord:
    started_at: datetime
    success: bool
    finished_at: datetime | None = None
    run_id: str | None = None
    fingerprint: str | None = None
    commit_sha: str | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class CostRecord:
    category: Literal["generation", "build", "deployment", "evaluation", "other"]
    usd: float
    reference: str | None = None
    spent_at: datetime | None = None


@dataclass(frozen=True)
class ChangeRecord:
    commit_sha: str
    authored_at: datetime | None = None
    committed_at: datetime | None = None
    opened_at: datetime | None = None
    merged_at: datetime | None = None
    pull_request: str | None = None
    merge_sha: str | None = None
    is_merge: bool = False
    reverts: tuple[str, ...] = ()
    hotfix: bool | None = None


@dataclass(frozen=True)
class HealthRecord:
    """What was measured of an app from ``start`` to ``end``; latencies in milliseconds."""

    start: datetime
    end: datetime
    uptime: float | None = None
    requests: float | None = None
    errors: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


Record = (
    DeploymentRecord
    | IncidentRecord
    | GenerationRecord
    | BuildRecord
    | CostRecord
    | ChangeRecord
    | HealthRecord
)


def recorded(subject: Subject, record: Record) -> tuple[Event, ...]:
    """The events of a record. Raises RecordError for facts that contradict one another."""
    try:
        match record:
            case DeploymentRecord():
                return _deployment(subject, record)
            case IncidentRecord():
                return _incident(subject, record)
            case GenerationRecord():
                _in_order("prompt", record.prompt_at, "completion", record.completed_at)
                body = facts.GenerationBody(**_said(record))
                moment = record.completed_at or record.prompt_at
                return (_event(subject, subject.entity("generation"), moment, body),)
            case BuildRecord():
                _in_order("start", record.started_at, "finish", record.finished_at)
                built = facts.BuildBody(**_said(record))
                moment = record.finished_at or record.started_at
                return (_event(subject, subject.entity("build"), moment, built),)
            case CostRecord():
                said = _said(record)
                moment = said.pop("spent_at", None) or subject.at
                cost = facts.CostBody(**said)
                return (_event(subject, subject.entity("cost"), moment, cost),)
            case ChangeRecord():
                return (_change(subject, record),)
            case HealthRecord():
                _in_order("start", record.start, "end", record.end)
                health = facts.HealthBody(**_said(record))
                return (_event(subject, subject.entity("health"), record.end, health),)
    except ValidationError as error:
        raise RecordError(reason_of(error)) from error


def moment(text: str, now: datetime) -> datetime:
    """A time as it is typed: ``now``, or ISO 8601 with a zone. Raises RecordError."""
    if text.strip().lower() == "now":
        return now
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise RecordError(f"{text!r} is no time: write 2026-01-31T12:00:00Z or `now`") from error
    if read.tzinfo is None:
        raise RecordError(f"{text!r}: {NO_ZONE}")
    try:
        return read.astimezone(UTC)
    except OverflowError as error:
        raise RecordError(f"{text!r} is outside of the years 1 to 9999") from error


@dataclass(frozen=True)
class Evaluated:
    """What a report says of one app: it joins a deployment to its verdict."""

    app_id: str
    run_id: str
    fingerprint: str | None


def evaluated(path: Path, app_id: str | None) -> Evaluated:
    """An app of a report; the only one when none is named. Raises RecordError or OSError."""
    try:
        report = Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RecordError(
            f"{path}: is no report of this version of pytest-dora ({reason_of(error)})"
        ) from error
    known = {app.app_id: app for app in report.apps}
    if app_id is None and len(known) == 1:
        app_id = next(iter(known))
    if app_id not in known:
        shown = ", ".join(sorted(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
        asked = "name one with --app" if app_id is None else f"no app {app_id!r}"
        raise RecordError(f"{path}: {asked}; it has {shown or 'none'}")
    return Evaluated(app_id, report.run.id, known[app_id].fingerprint)


def _deployment(subject: Subject, record: DeploymentRecord) -> tuple[Event, ...]:
    state = record.state
    if state in _BEGUN and record.finished_at is not None:
        raise RecordError(f"a deployment that is {state.value} has no finish: leave it out")
    _in_order("start", record.started_at, "finish", record.finished_at)
    entity = subject.entity("deployment")
    began = record.started_at or (subject.at if state is DeploymentState.IN_PROGRESS else None)
    reached = (began or subject.at) if state in _BEGUN else (record.finished_at or subject.at)
    _in_order("start", began, "finish", reached)
    left_out = {"state", "started_at", "finished_at", "changes"}
    said = {name: value for name, value in _said(record).items() if name not in left_out}
    body = facts.DeploymentBody(deployment=entity, started_at=began, **said)
    status = facts.DeploymentStatusBody(deployment=entity, state=state)
    events = [
        # facts may come with every state, and each of them adds to the ones before
        _event(subject, f"{entity}/facts/{state.value}", began or reached, body),
        _event(subject, f"{entity}/status/{state.value}", reached, status),
    ]
    if record.changes:
        shas = tuple(dict.fromkeys(record.changes))
        changes = facts.DeploymentChangesBody(deployment=entity, commit_shas=shas)
        events.append(_event(subject, f"{entity}/changes/{_hash(shas)}", reached, changes))
    return tuple(events)


def _incident(subject: Subject, record: IncidentRecord) -> tuple[Event, ...]:
    began = record.started_at or record.detected_at
    _in_order("begin", began, "resolution", record.resolved_at)
    entity = subject.entity("incident")
    said = _said(record)
    said["incident_kind"] = said.pop("kind", None)
    if record.duplicate_of is not None:
        other = Subject(subject.app_id, subject.at, record.duplicate_of)
        said["duplicate_of"] = other.entity("incident")
    body = facts.IncidentBody(incident=entity, **said)
    # what is said later corrects what was said before, whatever times it tells of
    stamp = subject.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    key = f"{entity}/{stamp}/{_hash(body.model_dump(mode='json'))}"
    return (_event(subject, key, subject.at, body),)


def _change(subject: Subject, record: ChangeRecord) -> Event:
    said = _said(record)
    if not record.is_merge:
        del said["is_merge"]  # unsaid, so that it takes nothing back
    body = facts.ChangeBody(**said)
    known = [
        one
        for one in (record.authored_at, record.committed_at, record.merged_at)
        if one is not None
    ]
    digest = _hash(body.model_dump(mode="json"))
    key = f"{subject.entity('change')}/{key_part(record.commit_sha)}/{digest}"
    return _event(subject, key, max(known, default=subject.at), body)


def _event(subject: Subject, key: str, occurred_at: datetime, body: Any) -> Event:
    return Event(
        key=key,
        source=SOURCE,
        app_id=subject.app_id,
        environment=subject.environment,
        occurred_at=occurred_at,
        observed_at=subject.at,
        body=body,
    )


def _said(record: Record) -> dict[str, Any]:
    """The fields that were given a value."""
    return {
        name: value for name, value in vars(record).items() if value is not None and value != ()
    }


def _in_order(first: str, begin: datetime | None, second: str, end: datetime | None) -> None:
    if begin is None or end is None:
        return
    if begin.tzinfo is None or end.tzinfo is None:
        raise RecordError(NO_ZONE)
    if end < begin:
        raise RecordError(f"the {second} ({end}) is before the {first} ({begin})")


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
