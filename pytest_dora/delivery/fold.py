"""Events to entities: a pure fold over the events of one app, in the order of their time.

Any order of arrival, any repetition and any late event give the same entities, for the events are
sorted by ``(occurred_at, key)`` first and equal keys are one event. Two different events with one
key contradict each other: the earlier one counts, and the contradiction is counted too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_dora.delivery.entities import AppHistory, Deployment, Incident
from pytest_dora.delivery.environments import EnvironmentTier, tier_of
from pytest_dora.delivery.releases import merge_releases
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event

_ENDED = (DeploymentState.SUCCESS, DeploymentState.FAILED, DeploymentState.CANCELLED)
_LISTED = {
    "generation": "generations",
    "build": "builds",
    "pipeline_run": "pipeline_runs",
    "health": "health",
    "query_failures": "query_failures",
}
_DATED = {"cost": "costs", "verdict": "verdicts", "drill": "drills"}


def fold(
    app_id: str, events: Iterable[Event], environments: Mapping[str, str] | None = None
) -> AppHistory:
    """The history of one app. ``environments`` maps names to tiers (the evaluator's own list)."""
    uncounted: Counter[str] = Counter()
    ordered = _in_order(events, uncounted)
    state = _Folding(app_id, environments)
    for event in ordered:
        state.add(event)
    deployments, incidents = state.deployments(uncounted), state.incidents(uncounted)
    lists: dict[str, Any] = {name: tuple(found) for name, found in state.lists.items()}
    return AppHistory(
        app_id=app_id,
        deployments=merge_releases(deployments),
        incidents=incidents,
        changes=state.changes,
        first_seen=ordered[0].occurred_at if ordered else None,
        sources=frozenset(event.source for event in ordered),
        kinds=frozenset(event.body.kind for event in ordered),
        uncounted=dict(uncounted),
        **lists,
    )


def _in_order(events: Iterable[Event], uncounted: Counter[str]) -> list[Event]:
    known: dict[str, Event] = {}
    for event in events:
        other = known.setdefault(event.key, event)
        if other is not event and other.digest() != event.digest():
            uncounted["conflicting_duplicate"] += 1
            known[event.key] = min(event, other, key=lambda one: (one.occurred_at, one.digest()))
    return sorted(known.values(), key=lambda event: (event.occurred_at, event.key))


class _Folding:
    """The tables that one pass over ordered events fills."""

    def __init__(self, app_id: str, environments: Mapping[str, str] | None) -> None:
        self._app_id = app_id
        self._environments = environments
        self._deployed: dict[str, dict[str, Any]] = {}
        self._statuses: dict[str, list[tuple[datetime, facts.DeploymentStatusBody]]] = {}
        self._shas: dict[str, dict[str, None]] = {}
        self._incidents: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, facts.ChangeBody] = {}
        self.lists: dict[str, list[Any]] = {
            name: [] for name in (*_LISTED.values(), *_DATED.values())
        }

    def add(self, event: Event) -> None:
        match event.body:
            case facts.DeploymentBody() as body:
                known = self._deployed.setdefault(body.deployment, {"sources": {}})
                known["sources"][event.source] = None
                _fill(known, body, event.environment)
            case facts.DeploymentStatusBody() as body:
                self._statuses.setdefault(body.deployment, []).append((event.occurred_at, body))
            case facts.DeploymentChangesBody() as body:
                shas = self._shas.setdefault(body.deployment, {})
                shas.update(dict.fromkeys(body.commit_shas))
            case facts.ChangeBody() as body:
                earlier = self.changes.get(body.commit_sha)
                self.changes[body.commit_sha] = body if earlier is None else _joined(earlier, body)
            case facts.IncidentBody() as body:
                _fill(self._incidents.setdefault(body.incident, {}), body, event.environment)
            case body if body.kind in _LISTED:
                self.lists[_LISTED[body.kind]].append(body)
            case body:
                self.lists[_DATED[body.kind]].append((event.occurred_at, body))

    def deployments(self, uncounted: Counter[str]) -> list[Deployment]:
        for key in self._statuses.keys() - self._deployed.keys():
            uncounted["status_without_deployment"] += len(self._statuses[key])
        found = []
        for key, values in self._deployed.items():
            sources = tuple(values.pop("sources"))
            environment = values.pop("environment", None)
            tier = tier_of(environment, self._environments)
            if tier is EnvironmentTier.UNKNOWN:
                uncounted["unknown_environment"] += 1
            outcome = _outcome(self._statuses.get(key, []))
            values.pop("url", None)
            found.append(
                Deployment(
                    key=key,
                    app_id=self._app_id,
                    tier=tier,
                    environment=environment,
                    sources=sources,
                    commit_shas=tuple(self._shas.get(key, ())),
                    **values,
                    **outcome,
                )
            )
        return found

    def incidents(self, uncounted: Counter[str]) -> tuple[Incident, ...]:
        found = []
        for key, values in self._incidents.items():
            environment = values.pop("environment", None)
            values.pop("url", None)
            # an incident without an environment is of production: that is what people report
            tier = (
                EnvironmentTier.PRODUCTION
                if environment is None
                else tier_of(environment, self._environments)
            )
            if tier is EnvironmentTier.UNKNOWN:
                uncounted["unknown_environment"] += 1
            incident = Incident(
                key=key, app_id=self._app_id, tier=tier, kind=values.pop("incident_kind", None),
                **values,
            )  # fmt: skip
            if incident.duplicate_of in self._incidents and incident.duplicate_of != key:
                uncounted["duplicate_incident"] += 1
            elif incident.began_at is None:
                uncounted["incident_without_start"] += 1
            else:
                found.append(incident)
        return tuple(sorted(found, key=lambda one: (one.began_at, one.key)))


def _fill(
    values: dict[str, Any], body: facts.DeploymentBody | facts.IncidentBody, environment: str | None
) -> None:
    """Let what a later event knows replace what an earlier one said; silence replaces nothing."""
    for name in type(body).model_fields:
        value = getattr(body, name)
        if value is not None and name not in ("kind", "deployment", "incident"):
            values[name] = value
    if environment is not None:
        values["environment"] = environment


def _joined(earlier: facts.ChangeBody, later: facts.ChangeBody) -> facts.ChangeBody:
    """Silence replaces nothing, and neither does a default: a commit once known as a merge is one."""
    said = {name: getattr(later, name) for name in type(later).model_fields}
    return earlier.model_copy(
        update={name: it for name, it in said.items() if it not in (None, (), False)}
    )


def _outcome(statuses: list[tuple[datetime, facts.DeploymentStatusBody]]) -> dict[str, Any]:
    """State and finish. Having served is never undone; that it failed afterwards is kept beside."""
    served = next(((at, one) for at, one in statuses if one.state is DeploymentState.SUCCESS), None)
    if served is not None:
        at, body = served
        later = [when for when, one in statuses if one.state is DeploymentState.FAILED]
        return {
            "state": DeploymentState.SUCCESS,
            "finished_at": at,
            "finish_estimated": body.estimated,
            "failed_after": next((when for when in later if when >= at), None),
        }
    ended = [(at, one) for at, one in statuses if one.state in _ENDED]
    if ended:
        at, body = ended[-1]
        return {"state": body.state, "finished_at": at, "finish_estimated": body.estimated}
    return {"state": statuses[-1][1].state} if statuses else {}
