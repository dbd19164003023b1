"""Our events as CDEvents, for tools that read those. What CDEvents has no word for is refused.

A deployment is a pipeline run that ends with ``service.deployed`` (or ``upgraded``,
``rolledback``) where it served, and with ``pipelinerun.finished`` where it did not. ``customData``
carries our event, so that nothing is lost on the way back; the evaluation that let a deployment
through is its ``chainId``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pytest_dora.delivery.exchange.cdevents import OURS, PART_OF
from pytest_dora.delivery.exchange.edge import Unusable
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event, RunOutcome

_STATES = {DeploymentState.FAILED: "failure", DeploymentState.CANCELLED: "cancel"}
_OUTCOMES = {
    RunOutcome.SUCCESS: "success",
    RunOutcome.FAILED: "failure",
    RunOutcome.CANCELLED: "cancel",
}
_SUBJECTS = {"pipelinerun": "pipelineRun"}
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_IN_URIS = "%/:?#[]@!$&'()*+,;="


@dataclass(frozen=True)
class Edition:
    """What differs between the editions of CDEvents that we write."""

    number: str
    types: str
    """Version of every type of event that we write."""
    number_key: str
    link_key: str
    typed_subject: bool


EDITIONS = {
    "0.4": Edition("0.4.1", "0.2.0", "version", "url", typed_subject=True),
    "0.5": Edition("0.5.1", "0.3.0", "specversion", "uri", typed_subject=False),
}


@dataclass(frozen=True)
class _Said:
    """One CDEvent before its edition is known; ``link`` becomes ``uri`` or ``url``."""

    kind: str
    subject: str
    content: Mapping[str, Any]
    moment: datetime
    link: str | None = None


@dataclass
class CdEventsWriter:
    """Turns events into CDEvents, in their order: a status needs the deployment before it."""

    edition: Edition = EDITIONS["0.5"]
    _deployments: dict[str, facts.DeploymentBody] = field(default_factory=dict)

    def write(self, event: Event) -> tuple[dict[str, Any], ...]:
        """The CDEvents that tell an event. Raises Unusable where there are none."""
        said = self._said(event)
        return tuple(self._document(event, number, one) for number, one in enumerate(said))

    def _said(self, event: Event) -> tuple[_Said, ...]:
        match event.body:
            case facts.DeploymentBody() as body:
                known = self._deployments.get(body.deployment)
                self._deployments[body.deployment] = body if known is None else _filled(known, body)
                content = {"pipelineName": f"deployment of {_subject(event)}"}
                link = _uri(body.url) or f"urn:pytest-dora:{quote(body.deployment, safe='')}"
                return (
                    _Said("pipelinerun.started", body.deployment, content, event.occurred_at, link),
                )
            case facts.DeploymentStatusBody() as body:
                return (self._status(event, body),)
            case facts.PipelineRunBody() as body:
                return (_run(body),)
            case facts.IncidentBody() as body:
                return _incident(event, body)
            case facts.BuildBody() as body if body.success:
                return (_Said("build.finished", event.key, {}, event.occurred_at),)
            case facts.BuildBody():
                raise Unusable("CDEvents cannot say that a build failed")
            case facts.ChangeBody() as body if body.merged_at is not None:
                content = _repository(event)
                return (_Said("change.merged", body.commit_sha, content, body.merged_at),)
            case facts.ChangeBody():
                raise Unusable("CDEvents knows changes that were merged only")
            case body:
                raise Unusable(f"CDEvents has no event for {body.kind}")

    def _status(self, event: Event, body: facts.DeploymentStatusBody) -> _Said:
        moment = event.occurred_at
        match body.state:
            case DeploymentState.SUCCESS:
                return self._served(event, body)
            case DeploymentState.FAILED | DeploymentState.CANCELLED as state:
                content = {"outcome": _STATES[state]}
                return _Said("pipelinerun.finished", body.deployment, content, moment)
            case DeploymentState.PENDING:
                return _Said("pipelinerun.queued", body.deployment, {}, moment)
            case state:
                raise Unusable(f"CDEvents has no event for a deployment that is {state.value}")

    def _served(self, event: Event, body: facts.DeploymentStatusBody) -> _Said:
        if event.environment is None:
            raise Unusable("CDEvents wants an environment, and this deployment names none")
        known = self._deployments.get(body.deployment)
        if known is None:
            raise Unusable("CDEvents wants an artefact: export the deployment before its status")
        predicate = "deployed"
        if known.rollback:
            predicate = "rolledback"
        elif known.previous_version is not None:
            predicate = "upgraded"
        content = {
            "environment": {"id": event.environment},
            "artifactId": _artifact(event, known),
        }
        return _Said(f"service.{predicate}", _subject(event), content, event.occurred_at)

    def _document(self, event: Event, number: int, said: _Said) -> dict[str, Any]:
        subject, _, predicate = said.kind.partition(".")
        content = dict(said.content)
        if said.link is not None:
            content[self.edition.link_key] = said.link
        context = {
            self.edition.number_key: self.edition.number,
            "id": event.key if number == 0 else f"{event.key} {predicate}",
            "source": f"/pytest-dora/{quote(event.source, safe='')}",
            "type": f"dev.cdevents.{said.kind}.{self.edition.types}",
            "timestamp": said.moment.isoformat().replace("+00:00", "Z"),
        }
        chain = self._chain(event)
        if chain:
            context["chainId"] = chain
        about: dict[str, Any] = {"id": said.subject, "content": content}
        if self.edition.typed_subject:
            about["type"] = _SUBJECTS.get(subject, subject)
        custom = (
            {OURS: event.model_dump(mode="json", exclude_none=True)}
            if number == 0
            else {PART_OF: event.key}
        )
        return {
            "context": context,
            "subject": about,
            "customData": custom,
            "customDataContentType": "application/json",
        }

    def _chain(self, event: Event) -> str | None:
        deployment = getattr(event.body, "deployment", None)
        known = self._deployments.get(deployment) if deployment else event.body
        return getattr(known, "run_id", None)


def _filled(known: facts.DeploymentBody, later: facts.DeploymentBody) -> facts.DeploymentBody:
    said = later.model_dump(exclude_none=True)
    return facts.DeploymentBody.model_validate({**known.model_dump(), **said})


def _subject(event: Event) -> str:
    name = event.app_id or event.service
    if name is None:
        raise Unusable("CDEvents wants a service, and this event names no app and no service")
    return name


def _artifact(event: Event, known: facts.DeploymentBody) -> str:
    version = known.version or known.commit_sha
    if known.artifact is None and version is None:
        raise Unusable(
            "CDEvents wants an artefact: the deployment has no artifact, no version and no commit"
        )
    name = quote(_subject(event), safe="")
    return known.artifact or f"pkg:generic/{name}@{quote(str(version), safe='')}"


def _run(body: facts.PipelineRunBody) -> _Said:
    if body.outcome not in _OUTCOMES:
        raise Unusable(f"CDEvents has no word for a run that was {body.outcome.value}")
    content = {"outcome": _OUTCOMES[body.outcome]}
    if body.name is not None:
        content["pipelineName"] = body.name
    subject = body.run if body.attempt == 1 else f"{body.run}/attempt/{body.attempt}"
    return _Said("pipelinerun.finished", subject, content, body.finished_at, _uri(body.url))


def _incident(event: Event, body: facts.IncidentBody) -> tuple[_Said, ...]:
    # an incident without an environment is of production, as everywhere in this project
    content: dict[str, Any] = {"environment": {"id": event.environment or "production"}}
    service = event.app_id or event.service
    if service is not None:
        content["service"] = {"id": service}
    described = content if body.title is None else {**content, "description": body.title}
    began = body.detected_at or body.started_at
    said = []
    if began is not None:
        said.append(_Said("incident.detected", body.incident, described, began))
    if body.resolved_at is not None:
        said.append(_Said("incident.resolved", body.incident, content, body.resolved_at))
    if not said:
        raise Unusable("CDEvents knows incidents that were detected or resolved only")
    return tuple(said)


def _uri(text: str | None) -> str | None:
    """An address as CDEvents wants it: absolute, and of plain characters; None for any other."""
    quoted = quote(text or "", safe=_IN_URIS)
    return quoted if _ABSOLUTE.match(quoted) else None


def _repository(event: Event) -> dict[str, Any]:
    kind, _, name = (event.service or "").partition(":")
    if kind != "github" or not name:
        return {}
    return {"repository": {"id": name, "source": "https://github.com"}}
