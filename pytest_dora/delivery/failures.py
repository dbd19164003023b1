"""Which deployments failed in production, by what evidence, and what restored the service.

Evidence in the order in which it is believed (reference: docs/explanation/delivery.md):

1. *explicit*: an incident names the deployment, or its source called it failed after it served;
2. *rollback*: a later deployment brings back an earlier version; what failed is the first
   deployment after the one that came back (Datadog's rule);
3. *revert* or *hotfix*: a later deployment takes back a commit of it, or is said to be rework;
4. *incident*: one that names nobody began within the attribution window after it, and no other
   deployment came between.

A deployment without evidence is *sound* once it has been observed long enough, else *pending*.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pytest_dora.delivery.entities import AppHistory, Deployment, Incident
from pytest_dora.delivery.environments import EnvironmentTier
from pytest_dora.delivery.policy import Policy
from pytest_dora.delivery.releases import in_order, last_before
from pytest_dora.model.events import ChangeBody


class Judged(StrEnum):
    FAILED = "failed"
    SOUND = "sound"
    PENDING = "pending"


@dataclass(frozen=True)
class Judgement:
    """What became of one deployment that served."""

    deployment: Deployment
    state: Judged
    evidence: str | None = None
    incidents: tuple[Incident, ...] = ()
    remedy: Deployment | None = None
    """The deployment that restored the service."""
    restored_at: datetime | None = None
    """When it was restored: at the end of its incidents, without one when the remedy served."""


@dataclass(frozen=True)
class Judgements:
    """Every production deployment that served, in order; incidents that are nobody's."""

    judged: tuple[Judgement, ...] = ()
    unattributed: tuple[Incident, ...] = ()


def judge(history: AppHistory, policy: Policy, now: datetime) -> Judgements:
    """Judge all of an app's production deployments, from its whole history, not from a window."""
    served = [one for one in in_order(history.production) if one.served]
    incidents = [one for one in history.incidents if one.tier is EnvironmentTier.PRODUCTION]
    found = _Evidence(served)
    nobodys = [one for one in incidents if not _explicit(found, one, served)]
    _said_by_source(found, served)
    _rollbacks(found, served)
    _reverts(found, served, history.changes)
    unattributed = [one for one in nobodys if not _attribute(found, one, served, policy)]
    judged = (found.judgement(at, policy, now) for at in range(len(served)))
    return Judgements(tuple(judged), tuple(unattributed))


class _Evidence:
    """What speaks against each of the deployments that served, by its index."""

    def __init__(self, served: Sequence[Deployment]) -> None:
        self._served = served
        self._places: dict[str, list[int]] = {}
        for at, one in enumerate(served):
            for name in one.identities:
                self._places.setdefault(name, []).append(at)
        self._index = {key: at for at, one in enumerate(served) for key in (one.key, *one.also)}
        self._why: dict[int, str] = {}
        self._incidents: dict[int, list[Incident]] = {}
        self._remedies: dict[int, Deployment] = {}

    def at(self, key: str | None) -> int | None:
        return None if key is None else self._index.get(key)

    def add(
        self, at: int, why: str, incident: Incident | None = None, remedy: Deployment | None = None
    ) -> None:
        self._why.setdefault(at, why)
        if incident is not None:
            self._incidents.setdefault(at, []).append(incident)
        if remedy is not None:
            self._remedies.setdefault(at, remedy)

    def brought_back(self, at: int) -> int | None:
        """The index of the earlier deployment that this one is again, if something lies between."""
        one = self._served[at]
        if one.rollback is False or at == 0:
            return None
        names = one.identities if one.rollback_to is None else frozenset({one.rollback_to})
        if one.rollback_to is None and names & self._served[at - 1].identities:
            return None  # the same again
        earlier = [
            places[found - 1]
            for name in names
            if (places := self._places.get(name)) and (found := bisect_left(places, at - 1))
        ]
        return max(earlier, default=None)

    def judgement(self, at: int, policy: Policy, now: datetime) -> Judgement:
        one = self._served[at]
        assert one.finished_at is not None
        why, incidents = self._why.get(at), tuple(self._incidents.get(at, ()))
        if why is None:
            young = now - one.finished_at < policy.observation
            return Judgement(one, Judged.PENDING if young else Judged.SOUND)
        remedy = self._remedies.get(at) or self._following(at, incidents)
        return Judgement(one, Judged.FAILED, why, incidents, remedy, _restored(incidents, remedy))

    def _following(self, at: int, incidents: Sequence[Incident]) -> Deployment | None:
        """The next deployment, where it served while the trouble lasted."""
        if at + 1 >= len(self._served):
            return None
        one = self._served[at + 1]
        ends = [incident.resolved_at for incident in incidents]
        began = min((it.began_at for it in incidents if it.began_at), default=None)
        assert one.finished_at is not None
        if began is not None and one.finished_at < began:
            return None
        known = [end for end in ends if end is not None]
        if known and len(known) == len(ends) and one.finished_at > max(known):
            return None  # it was over before
        return one


def _restored(incidents: Sequence[Incident], remedy: Deployment | None) -> datetime | None:
    if incidents:  # whoever had the trouble says when it was over
        ends = [one.resolved_at for one in incidents]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None
    return None if remedy is None else remedy.finished_at


def _explicit(found: _Evidence, incident: Incident, served: Sequence[Deployment]) -> bool:
    """Whether an incident says whose it is; one that names what we never saw stays nobody's."""
    cause = incident.caused_by
    if cause is None:
        return False
    at = found.at(cause.deployment)
    if at is None:
        names = {name for name in (cause.version, cause.commit_sha) if name}
        began = incident.began_at
        for place, one in enumerate(served):
            shas = {one.commit_sha, *one.commit_shas}
            early = began is None or one.finished_at is None or one.finished_at <= began
            if early and (names & one.identities or names & shas):
                at = place  # the last one before the incident
    if at is None:
        return False
    found.add(at, "explicit", incident)
    return True


def _said_by_source(found: _Evidence, served: Sequence[Deployment]) -> None:
    for at, one in enumerate(served):
        if one.failed_after is not None:
            found.add(at, "explicit")


def _rollbacks(found: _Evidence, served: Sequence[Deployment]) -> None:
    for at, one in enumerate(served):
        target = found.brought_back(at)
        if target is not None:
            found.add(target + 1, "rollback", remedy=one)
        elif one.rollback and at > 0:
            found.add(at - 1, "rollback", remedy=one)  # to a version before our time


def _reverts(
    found: _Evidence, served: Sequence[Deployment], changes: Mapping[str, ChangeBody]
) -> None:
    brought: dict[str, int] = {}
    for at, one in enumerate(served):
        for sha in dict.fromkeys((*one.commit_shas, one.commit_sha)):
            change = changes.get(sha) if sha else None
            if sha is None or change is None:
                continue
            for taken_back in change.reverts:
                place = brought.get(taken_back)
                if place is not None and place < at:
                    found.add(place, "revert", remedy=one)
            if change.hotfix:
                _hotfix(found, served, at)
        for sha in (*one.commit_shas, one.commit_sha):
            if sha:
                brought.setdefault(sha, at)
        if one.rework and not one.rollback and found.brought_back(at) is None:
            _hotfix(found, served, at)


def _hotfix(found: _Evidence, served: Sequence[Deployment], at: int) -> None:
    """What a hotfix mends is the last deployment before it that mended nothing itself."""
    for place in range(at - 1, -1, -1):
        one = served[place]
        if not one.rollback and not one.rework and found.brought_back(place) is None:
            found.add(place, "hotfix", remedy=served[at])
            return


def _attribute(
    found: _Evidence, incident: Incident, served: Sequence[Deployment], policy: Policy
) -> bool:
    if incident.external_cause or incident.caused_by is not None or incident.began_at is None:
        return False
    one = last_before(served, incident.began_at, policy.attribution)
    at = found.at(one.key) if one is not None else None
    if at is None:
        return False
    found.add(at, "incident", incident)
    return True
