"""Which deployments failed in production, by what evidence, and what restored the service.

Evidence in the order in which it is believed (docs/explanation/delivery.md):

1. *explicit*: an incident names the deployment, or its source called it failed after it served;
2. *rollback*: a later deployment brings back an earlier version; what failed is the first
   deployment after the one that came back (Datadog's rule);
3. *revert* or *hotfix*: a later deployment takes back a commit of it, or is said to be rework;
4. *incident*: one that names nobody began within the attribution window after it began to be
   rolled out, and no other deployment had begun in between.

What mends a failure that is known already condemns nothing else, and an incident that goes on
when something is mended is the incident of what was mended: one failure counts once. Deployments
of two environments of production (regions) have nothing to do with one another.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pytest_dora.delivery.entities import AppHistory, Deployment, Incident
from pytest_dora.delivery.environments import EnvironmentTier
from pytest_dora.delivery.policy import Policy
from pytest_dora.delivery.releases import in_order
from pytest_dora.model.events import DeploymentState

_SHORT_SHA = re.compile(r"[0-9a-f]{7,64}")


class Judged(StrEnum):
    FAILED = "failed"
    SOUND = "sound"
    PENDING = "pending"
    """Too young to be judged, whatever is known of it already: else the young ones that failed
    would count, and the young ones that did not would not."""


@dataclass(frozen=True)
class Judgement:
    """What became of one deployment that served."""

    deployment: Deployment
    state: Judged
    evidence: str | None = None
    """What speaks against it, also while it is pending."""
    incidents: tuple[Incident, ...] = ()
    remedy: Deployment | None = None
    """The deployment that restored the service, where that can be told."""
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
    court = _Court(served, history, policy)
    incidents = [one for one in history.incidents if one.tier is EnvironmentTier.PRODUCTION]
    strangers = [one for one in incidents if _names_one(one) and not court.named(one)]
    unnamed = [one for one in incidents if not _names_one(one)]
    court.said_by_source()
    for line in court.lines.values():
        for at in range(len(line.served)):
            unnamed = court.mended(line, at, unnamed)
    unattributed = strangers + [one for one in unnamed if not court.attributed(one)]
    judged = (court.judgement(one, now) for one in served)
    return Judgements(tuple(judged), tuple(unattributed))


@dataclass
class _Case:
    """What speaks against one deployment."""

    why: str
    incidents: list[Incident] = field(default_factory=list)
    remedy: Deployment | None = None


class _Line:
    """Deployments of one environment, in order, and where each name of theirs was released."""

    def __init__(self, served: Sequence[Deployment]) -> None:
        self.served = served
        self.index = {one.key: at for at, one in enumerate(served)}
        self.accused: list[int] = []
        """Indexes of deployments that something speaks against, in order."""
        self._places: dict[tuple[str, str], list[int]] = {}
        for at, one in enumerate(served):
            for name in one.names:
                self._places.setdefault(name, []).append(at)

    def brought_back(self, at: int) -> int | None:
        """The index of the earlier deployment that this one is again, if something lies between."""
        one = self.served[at]
        if one.rollback is False or at == 0:
            return None
        if one.rollback_to is not None:
            return self._last(at, lambda two: one.rollback_to in {name for _, name in two.names})
        if one.is_again(self.served[at - 1]):
            return None
        return self._last(at, one.is_again)

    def _last(self, at: int, meant: Callable[[Deployment], bool]) -> int | None:
        one = self.served[at]
        if one.rollback_to is None:
            places = sorted({at for name in one.names for at in self._places[name]}, reverse=True)
        else:
            places = list(range(at - 2, -1, -1))
        return next((it for it in places if it < at - 1 and meant(self.served[it])), None)

    def mends(self, at: int) -> bool:
        one = self.served[at]
        return bool(one.rollback or one.rework) or self.brought_back(at) is not None


class _Court:
    """Gathers the evidence, strongest first."""

    def __init__(self, served: Sequence[Deployment], history: AppHistory, policy: Policy) -> None:
        self._served, self._policy, self._changes = served, policy, history.changes
        self._by_key = {key: one for one in served for key in _keys(one)}
        self._attempts = [
            one
            for one in in_order(history.production)
            if one.served or one.state is DeploymentState.FAILED
        ]
        self._attempts.sort(key=lambda one: (_begun(one), one.key))
        self._begun = [_begun(one) for one in self._attempts]
        self._cases: dict[str, _Case] = {}
        environments: dict[str | None, list[Deployment]] = {}
        for one in served:
            environments.setdefault(one.environment, []).append(one)
        self.lines = {name: _Line(found) for name, found in environments.items()}
        self._brought = _first_bringers(served)

    def _against(self, one: Deployment, why: str) -> _Case:
        if one.key not in self._cases:
            line = self.lines[one.environment]
            insort(line.accused, line.index[one.key])
            self._cases[one.key] = _Case(why)
        return self._cases[one.key]

    # --- 1: explicit ------------------------------------------------------------------------

    def named(self, incident: Incident) -> bool:
        """Whether an incident says whose it is. What names a deployment that never served is
        nobody's change failure; what names one that we never saw stays to be told."""
        cause = incident.caused_by
        assert cause is not None
        names = {name for name in (cause.version, cause.commit_sha) if name}
        one = self._by_key.get(cause.deployment or "")
        if one is None:
            meant = [it for it in self._served if _is_meant(it, names)]
            began = incident.began_at
            early = [it for it in meant if began is None or _begun(it) <= began]
            one = early[-1] if early else (meant[0] if meant else None)
        if one is not None:
            self._against(one, "explicit").incidents.append(incident)
            return True
        return any(
            (cause.deployment or "") in _keys(it) or _is_meant(it, names)
            for it in self._attempts
            if not it.served
        )

    def said_by_source(self) -> None:
        for one in self._served:
            if one.failed_after is not None:
                self._against(one, "explicit")

    # --- 2 and 3: what was mended -----------------------------------------------------------

    def mended(self, line: _Line, at: int, unnamed: list[Incident]) -> list[Incident]:
        """Judge what a deployment mends; the incidents that are still nobody's."""
        one = line.served[at]
        culprit, why = self._culprit(line, at)
        if culprit is None:
            return unnamed
        known = self._open_case(line, at)
        if known is not None:
            known.remedy = known.remedy or one
            return unnamed
        case = self._against(culprit, why)
        case.remedy = case.remedy or one
        begun, finished = _begun(culprit), one.finished_at
        theirs = [
            it for it in unnamed
            if not it.external_cause and _of(it, one) and _goes_on(it, begun, finished)
        ]  # fmt: skip
        case.incidents += theirs
        return [it for it in unnamed if it not in theirs]

    def _culprit(self, line: _Line, at: int) -> tuple[Deployment | None, str]:
        one, served = line.served[at], line.served
        target = line.brought_back(at)
        if target is not None:
            return served[target + 1], "rollback"
        if one.rollback and at > 0 and not one.is_again(served[at - 1]):
            before = line.brought_back(at - 1)  # what was brought back had to go as well
            return served[at - 1 if before is None else before], "rollback"
        for sha in _shas(one):
            change = self._changes.get(sha)
            for taken_back in change.reverts if change else ():
                bringer = self._brought.get(taken_back)
                if bringer is not None and bringer is not one:
                    return bringer, "revert"
        hotfix = any(self._changes[sha].hotfix for sha in _shas(one) if sha in self._changes)
        if hotfix or (one.rework and not one.rollback):
            sound = (served[it] for it in range(at - 1, -1, -1) if not line.mends(it))
            return next(sound, None), "hotfix"
        return None, ""

    def _open_case(self, line: _Line, at: int) -> _Case | None:
        """The last failure before a deployment whose trouble went on when that served."""
        finished = line.served[at].finished_at
        before = line.accused[: bisect_left(line.accused, at)]
        for one in (line.served[place] for place in reversed(before)):
            case = self._cases[one.key]
            if case.incidents and any(_goes_on(it, _begun(one), finished) for it in case.incidents):
                return case
            failed = one.failed_after
            if not case.incidents and case.remedy is None and failed and finished:
                return case if failed <= finished else None
        return None

    # --- 4: the last one before -------------------------------------------------------------

    def attributed(self, incident: Incident) -> bool:
        began = incident.began_at
        if incident.external_cause or began is None:
            return False
        before = range(bisect_right(self._begun, began) - 1, -1, -1)
        last = next((it for at in before if _of(incident, it := self._attempts[at])), None)
        if last is None or last.finished_at is None:
            return False
        window = self._policy.attribution
        if window is not None and began - last.finished_at > window:
            return False
        if last.served:
            self._against(last, "incident").incidents.append(incident)
        return True  # else it is of an attempt that never served: no failure of one that did

    # --- the sentence -----------------------------------------------------------------------

    def judgement(self, one: Deployment, now: datetime) -> Judgement:
        assert one.finished_at is not None
        case = self._cases.get(one.key)
        young = now - one.finished_at < self._policy.least_observation
        if case is None:
            return Judgement(one, Judged.PENDING if young else Judged.SOUND)
        remedy = case.remedy or self._remedy(one, case)
        return Judgement(
            one,
            Judged.PENDING if young else Judged.FAILED,
            case.why,
            tuple(case.incidents),
            remedy,
            _restored(case.incidents, remedy),
        )

    def _remedy(self, one: Deployment, case: _Case) -> Deployment | None:
        """What restored the service where no deployment says so: the last one that served before
        the trouble was over; without an incident the first after it was called failed."""
        later = [
            it for it in self.lines[one.environment].served
            if it.finished_at and one.finished_at and it.finished_at > one.finished_at
        ]  # fmt: skip
        if not case.incidents:
            failed = one.failed_after
            return next((it for it in later if failed and _finish(it) >= failed), None)
        ends = [it.fix_deployed_at or it.resolved_at for it in case.incidents]
        starts = [it.began_at for it in case.incidents if it.began_at is not None]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends) or not starts:
            return None
        during = [it for it in later if min(starts) <= _finish(it) <= max(known)]
        return during[-1] if during else None


def _names_one(incident: Incident) -> bool:
    cause = incident.caused_by
    return cause is not None and any((cause.deployment, cause.version, cause.commit_sha))


def _finish(one: Deployment) -> datetime:
    assert one.finished_at is not None
    return one.finished_at


def _begun(one: Deployment) -> datetime:
    """From when on it can have done harm: its roll-out counts."""
    moment = one.began_at or one.finished_at
    assert moment is not None
    return moment if one.finished_at is None else min(moment, one.finished_at)


def _shas(one: Deployment) -> list[str]:
    return [sha for sha in dict.fromkeys((*one.commit_shas, one.commit_sha)) if sha]


def _keys(one: Deployment) -> set[str]:
    """Its keys, and what it was called when it was recorded."""
    keys = {one.key, *one.also}
    return keys | {key.rpartition("/")[2] for key in keys if "record" in one.sources}


def _is_meant(one: Deployment, names: set[str]) -> bool:
    """By a version, with or without its ``v``; by a commit, whole or by its first digits."""
    own = {name.removeprefix("v") for _, name in one.names}
    if own & {name.removeprefix("v") for name in names}:
        return True
    short = [name for name in names if _SHORT_SHA.fullmatch(name)]
    return any(sha.startswith(name) for sha in _shas(one) for name in short)


def _of(incident: Incident, one: Deployment) -> bool:
    """Whether both are of one environment; an incident that names none may be of any."""
    return incident.environment is None or incident.environment == one.environment


def _goes_on(incident: Incident, since: datetime, at: datetime | None) -> bool:
    """Whether an incident began after ``since`` and is not over before ``at``."""
    began, end = incident.began_at, incident.resolved_at
    if began is None or at is None:
        return False
    return since <= began <= at and (end is None or end >= at)


def _restored(incidents: Sequence[Incident], remedy: Deployment | None) -> datetime | None:
    if incidents:  # whoever had the trouble says when it was over
        ends = [one.resolved_at for one in incidents]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None
    return None if remedy is None else remedy.finished_at


def _first_bringers(served: Sequence[Deployment]) -> Mapping[str, Deployment]:
    brought: dict[str, Deployment] = {}
    for one in served:
        for sha in _shas(one):
            brought.setdefault(sha, one)
    return brought
