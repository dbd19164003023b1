"""Events to entities: a pure fold over the events of one app, in the order of their time.

Any order of arrival, any repetition and any late event give the same entities, for the events are
sorted by ``(occurred_at, key)`` first and equal keys are one event. Two different events with one
key contradict each other: the earlier one counts, and the contradiction is counted too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
    if state.elsewhere:
        uncounted["measured_outside_production"] = state.elsewhere
    lists: dict[str, Any] = {name: tuple(found) for name, found in state.lists.items()}
    return AppHistory(
        app_id=app_id,
        deployments=merge_releases(deployments),
        incidents=incidents,
        changes=state.changes,
        generation_names=tuple(state.names["generation"]),
        build_names=tuple(state.names["build"]),
        first_seen=ordered[0].occurred_at if ordered else None,
        sources=frozenset(event.source for event in ordered),
        kinds=frozenset(event.body.kind for event in ordered),
        uncounted=dict(uncounted),
        **lists,
    )


def _in_order(events: Iterable[Event], uncounted: Counter[str]) -> list[Event]:
    known: dict[str, Event] = {}
    disputed: dict[str, set[str]] = {}
    for event in events:
        other = known.setdefault(event.key, event)
        if other is not event and other.digest() != event.digest():
            disputed.setdefault(event.key, set()).update((event.digest(), other.digest()))
            known[event.key] = min(event, other, key=lambda one: (one.occurred_at, one.digest()))
    if disputed:
        uncounted["conflicting_duplicate"] = sum(len(said) - 1 for said in disputed.values())
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
        self.names: dict[str, list[frozenset[str]]] = {"generation": [], "build": []}
        self.elsewhere = 0
        """Measurements of other environments than production."""
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
                told = self._incidents.setdefault(body.incident, {"told_at": event.occurred_at})
                _fill(told, body, event.environment)
            case facts.HealthBody() | facts.QueryFailuresBody() as body:
                if event.environment is None or self._tier(event) is EnvironmentTier.PRODUCTION:
                    self.lists[_LISTED[body.kind]].append(body)
                else:
                    self.elsewhere += 1
            case facts.GenerationBody() | facts.BuildBody() as body:
                self.lists[_LISTED[body.kind]].append(body)
                self.names[body.kind].append(_names(event, body))
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

    def _tier(self, event: Event) -> EnvironmentTier:
        return tier_of(event.environment, self._environments)

    def incidents(self, uncounted: Counter[str]) -> tuple[Incident, ...]:
        found = []
        for key, values in _without_duplicates(self._incidents, uncounted).items():
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
                key=key, app_id=self._app_id, tier=tier, environment=environment,
                kind=values.pop("incident_kind", None), **values,
            )  # fmt: skip
            if _began_again(incident):
                incident = replace(incident, resolved_at=None)
            found.append(incident)
        return tuple(sorted(found, key=lambda one: (one.began_at, one.key)))


def _began_again(incident: Incident) -> bool:
    """What started after it was over goes on."""
    start, end = incident.started_at, incident.resolved_at
    return start is not None and end is not None and end < start


def _without_duplicates(
    incidents: Mapping[str, dict[str, Any]], uncounted: Counter[str]
) -> dict[str, dict[str, Any]]:
    """One of each group of duplicates, knowing what all of them know; of a circle the first."""
    kept: dict[str, dict[str, Any]] = {}
    for key in sorted(incidents):
        root, seen = key, [key]
        while (more := str(incidents[root].get("duplicate_of"))) in incidents:
            if more in seen:
                root = min(seen[seen.index(more) :])
                break
            root = more
            seen.append(root)
        if root != key:
            uncounted["duplicate_incident"] += 1
        group = kept.setdefault(root, dict(incidents[root]))
        for name, value in incidents[key].items():
            group.setdefault(name, value)
        group["told_at"] = min(group["told_at"], incidents[key]["told_at"])
    return kept


def _names(event: Event, body: facts.GenerationBody | facts.BuildBody) -> frozenset[str]:
    """By what a cost may refer to it: its key, what a record was called, the run that built."""
    names = {event.key}
    if event.source == "record":
        names.add(event.key.rpartition("/")[2])
    if isinstance(body, facts.BuildBody) and body.run_id:
        names.add(body.run_id)
    return frozenset(names)


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
