"""CDEvents 0.4 and 0.5 (cdevents.dev), as far as they tell of deployments, runs and incidents.

An event's identity is the pair of its context's source and id. ``service.*`` knows no beginning
and no failure: its time is when the service was deployed. ``pipelinerun.*`` and ``build.*`` know
one time each, so that the beginning and the end of a run must stand in one file. Kept are the facts
of our events; ``chainId``, ``links`` and foreign ``customData`` are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from pytest_dora.delivery.exchange.edge import (
    Payload,
    Refused,
    Unusable,
    key_part,
    service_of_repository,
)
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event, RunOutcome, Utc

OURS, PART_OF = "pytest-dora", "pytest-dora-part-of"
"""Keys of ``customData``: our event itself, and the key of the event that another one carries."""
_TYPE = re.compile(r"dev\.cdevents\.([a-z]+)\.([a-z]+)\.\d+\.\d+\.\d+(?:-draft)?")
_EDITION = re.compile(r"0\.[45](\.\d+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_OUTCOMES = {
    "success": RunOutcome.SUCCESS,
    "failure": RunOutcome.FAILED,
    "error": RunOutcome.FAILED,
    "cancel": RunOutcome.CANCELLED,
}
_UNCOUNTED = {
    "service published": "makes a service known that service.deployed brought",
    "service removed": "takes a service away, which no metric counts",
    "pipelinerun queued": "has not begun; import its start and its end",
    "build queued": "has not begun; import its start and its end",
    "artifact": "tells of an artefact; the service.deployed that names it is the deployment",
}

NonEmpty = Annotated[str, Field(min_length=1)]
UriReference = Annotated[str, Field(min_length=1, pattern=r"^[^\s<>\"{}|\\^`]+$")]


class _Strict(BaseModel):
    """As the schemas of CDEvents have it: other keys are an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class _Context(_Strict):
    specversion: Annotated[NonEmpty, Field(validation_alias=AliasChoices("specversion", "version"))]
    id: NonEmpty
    source: UriReference
    type: str
    timestamp: Utc
    schema_uri: NonEmpty | None = None
    chain_id: NonEmpty | None = None
    links: tuple[dict[str, JsonValue], ...] = ()


class _Subject(_Strict):
    id: NonEmpty
    source: UriReference | None = None
    type: NonEmpty | None = None
    content: dict[str, JsonValue]


class _CdEvent(_Strict):
    context: _Context
    subject: _Subject
    custom_data: dict[str, JsonValue] | str | None = None
    custom_data_content_type: str | None = None


class _Reference(_Strict):
    id: NonEmpty
    source: UriReference | None = None


class _Deployed(_Strict):
    environment: _Reference
    artifact_id: NonEmpty


class _Incident(_Strict):
    environment: _Reference
    description: str | None = None
    service: _Reference | None = None
    artifact_id: NonEmpty | None = None
    ticket_uri: UriReference | None = Field(None, validation_alias="ticketURI")


class _Run(_Strict):
    pipeline_name: str | None = None
    uri: str | None = Field(None, validation_alias=AliasChoices("uri", "url"))
    outcome: str | None = None
    errors: str | None = None


class _Build(_Strict):
    artifact_id: str | None = None


class _Merged(_Strict):
    repository: _Reference | None = None


_Content = TypeVar("_Content", bound=_Strict)


class CdEventsReader:
    """Joins the start of a run with its end, whichever comes first."""

    def __init__(self) -> None:
        self._halves: dict[tuple[str, str], tuple[_CdEvent, str]] = {}
        self._detected: set[str] = set()

    def read(self, payload: Payload, place: str, observed_at: datetime) -> tuple[Event, ...]:
        event = _CdEvent.model_validate(_without_envelope(payload))
        subject, predicate = _kind(event)
        custom = event.custom_data if isinstance(event.custom_data, dict) else {}
        if PART_OF in custom:
            return ()  # the event that carries it says everything
        if OURS in custom:
            return (Event.model_validate(custom[OURS]),)
        match subject, predicate:
            case "service", "deployed" | "upgraded" | "rolledback":
                return _deployment(event, predicate, observed_at)
            case "incident", "detected" | "reported" | "resolved":
                return self._incident(event, predicate, observed_at)
            case "pipelinerun", "started" | "finished":
                return self._joined(event, (subject, predicate), place, _run, observed_at)
            case "build", "started" | "finished":
                return self._joined(event, (subject, predicate), place, _build, observed_at)
            case "change", "merged":
                return _change(event, observed_at)
        known = _UNCOUNTED.get(f"{subject} {predicate}") or _UNCOUNTED.get(subject)
        raise Unusable(f"{subject}.{predicate} {known or 'is no event that is counted here'}")

    def left(self) -> tuple[Refused, ...]:
        return tuple(
            Refused(place, f"{event.context.type} of {event.subject.id!r} stands alone: import "
                           "the start and the end of a run in one file")
            for event, place in self._halves.values()
        )  # fmt: skip

    def _joined(
        self,
        event: _CdEvent,
        kind: tuple[str, str],
        place: str,
        make: Callable[[_CdEvent, _CdEvent, datetime], tuple[Event, ...]],
        observed_at: datetime,
    ) -> tuple[Event, ...]:
        subject, predicate = kind
        run = _entity(event)
        if predicate == "finished":
            _check_end(subject, event)
        other = self._halves.pop((f"{subject} {_OTHER[predicate]}", run), None)
        if other is None:
            replaced = self._halves.get((f"{subject} {predicate}", run))
            if replaced is None:
                self._halves[f"{subject} {predicate}", run] = event, place
                return ()
            raise Unusable(f"{event.subject.id!r} has {predicate} already at {replaced[1]}")
        start, end = (other[0], event) if predicate == "finished" else (event, other[0])
        return make(start, end, observed_at)

    def _incident(
        self, event: _CdEvent, predicate: str, observed_at: datetime
    ) -> tuple[Event, ...]:
        """A ticket tells when an incident was detected only where no monitoring did."""
        content = _content(event, _Incident)
        if predicate == "reported" and content.ticket_uri is None:
            raise Unusable("subject.content.ticketURI: Field required")
        incident, moment = _entity(event), event.context.timestamp
        said: dict[str, Any] = {"url": content.ticket_uri}
        if predicate == "resolved":
            said["resolved_at"] = moment
        else:
            said["title"] = content.description
            if predicate == "detected" or incident not in self._detected:
                said["detected_at"] = moment
        if predicate == "detected":
            self._detected.add(incident)
        body = facts.IncidentBody(incident=incident, **said)
        service = content.service.id if content.service else None
        return (_event(event, body, observed_at, service, content.environment.id),)


_OTHER = {"started": "finished", "finished": "started"}


def recognises(payload: Payload) -> bool:
    context = _without_envelope(payload).get("context")
    return isinstance(context, dict) and str(context.get("type", "")).startswith("dev.cdevents.")


def version_of(artifact: str) -> str | None:
    """The version in a package URL; None for any other name of an artefact."""
    if not artifact.startswith("pkg:") or "@" not in artifact:
        return None
    return unquote(re.split(r"[?#]", artifact)[0].rpartition("@")[2]) or None


def _without_envelope(payload: Payload) -> Payload:
    """The CDEvent inside of a CloudEvent, or the payload itself."""
    data = payload.get("data")
    return data if "context" not in payload and isinstance(data, dict) else payload


def _kind(event: _CdEvent) -> tuple[str, str]:
    edition = event.context.specversion
    if _EDITION.fullmatch(edition) is None:
        raise Unusable(f"is of CDEvents {edition}; 0.4 and 0.5 are read")
    if edition.startswith("0.4") and event.subject.type is None:
        raise Unusable("subject.type: Field required")
    named = _TYPE.fullmatch(event.context.type)
    if named is None:
        raise Unusable(f"context.type: {event.context.type!r} is no type of CDEvents")
    return named[1], named[2]


def _content(event: _CdEvent, model: type[_Content]) -> _Content:
    return model.model_validate(event.subject.content)


def _entity(event: _CdEvent) -> str:
    source = event.subject.source or event.context.source
    return f"cdevents/{key_part(source)} {key_part(event.subject.id)}"


def _event(
    event: _CdEvent,
    body: Any,
    observed_at: datetime,
    service: str | None,
    environment: str | None = None,
    part: str = "",
) -> Event:
    return Event(
        key=_key(event) + part,
        source="cdevents",
        service=None if service is None else f"cdevents:{service}",
        environment=environment,
        occurred_at=event.context.timestamp,
        observed_at=observed_at,
        body=body,
    )


def _key(event: _CdEvent) -> str:
    return f"cdevents/{key_part(event.context.source)} {key_part(event.context.id)}"


def _deployment(event: _CdEvent, predicate: str, observed_at: datetime) -> tuple[Event, ...]:
    content, key = _content(event, _Deployed), _key(event)
    version = version_of(content.artifact_id)
    back = predicate == "rolledback"
    body = facts.DeploymentBody(
        deployment=key,
        version=version,
        artifact=content.artifact_id,
        rollback=True if back else None,
        rollback_to=version if back else None,
    )
    served = facts.DeploymentStatusBody(deployment=key, state=DeploymentState.SUCCESS)
    told = event.subject.id, content.environment.id
    return (
        _event(event, body, observed_at, *told),
        _event(event, served, observed_at, *told, part=" success"),
    )


def _check_end(subject: str, event: _CdEvent) -> None:
    """Refuse an end that does not say how it ended, before it waits for its start."""
    if subject == "build":
        if not _content(event, _Build).artifact_id:
            raise Unusable("does not say that the build succeeded: name its artifactId")
    elif (outcome := _content(event, _Run).outcome) not in _OUTCOMES:
        raise Unusable(f"the run's outcome {outcome!r} is none of {', '.join(_OUTCOMES)}")


def _run(start: _CdEvent, end: _CdEvent, observed_at: datetime) -> tuple[Event, ...]:
    began, ended = _content(start, _Run), _content(end, _Run)
    name = ended.pipeline_name or began.pipeline_name
    body = facts.PipelineRunBody(
        run=_entity(end),
        name=name,
        started_at=start.context.timestamp,
        finished_at=end.context.timestamp,
        outcome=_OUTCOMES[str(ended.outcome)],
        url=ended.uri or began.uri,
    )
    return (_event(end, body, observed_at, name),)


def _build(start: _CdEvent, end: _CdEvent, observed_at: datetime) -> tuple[Event, ...]:
    body = facts.BuildBody(
        started_at=start.context.timestamp, finished_at=end.context.timestamp, success=True
    )
    return (_event(end, body, observed_at, None),)


def _change(event: _CdEvent, observed_at: datetime) -> tuple[Event, ...]:
    if _COMMIT.fullmatch(event.subject.id) is None:
        raise Unusable(
            f"change {event.subject.id!r} names no commit: its id has to be the full sha"
        )
    repository = _content(event, _Merged).repository
    service = None
    if repository is not None:
        service = service_of_repository(f"{repository.source or ''}/{repository.id}")
    body = facts.ChangeBody(commit_sha=event.subject.id, merged_at=event.context.timestamp)
    made = _event(event, body, observed_at, repository.id if repository else None)
    return (made if service is None else made.model_copy(update={"service": service}),)
