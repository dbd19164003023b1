"""The order of an app's releases, and the same release told by several sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import reduce

from pytest_dora.delivery.entities import Deployment
from pytest_dora.model.events import DeploymentState

SAME_RELEASE = timedelta(minutes=15)
"""Two sources tell of one release when their finishes lie no further apart."""
_RANKS: Mapping[str, int] = {"fly": 0, "databricks": 0, "github": 2, "ci": 3}
"""Who is believed first: the platform that served, then what was recorded, then the pipeline."""
_OTHERS = 1
_NEAR = 50
"""So many neighbours in time are looked at: more within a quarter of an hour are no releases."""
_PLATFORMS = frozenset({"fly", "databricks"})
_NEVER = datetime.max.replace(tzinfo=UTC)
_FACTS = frozenset(field.name for field in fields(Deployment)) - {
    "key", "app_id", "tier", "environment", "state", "finished_at", "finish_estimated",
    "failed_after", "commit_shas", "sources", "also", "other_names",
}  # fmt: skip


def in_order(deployments: Iterable[Deployment]) -> list[Deployment]:
    """By the moment each finished, those without one by when they began; keys break ties."""
    return sorted(deployments, key=lambda one: (when(one) or _NEVER, one.key))


def when(deployment: Deployment) -> datetime | None:
    return deployment.finished_at or deployment.began_at


def previous_successful(deployments: Sequence[Deployment]) -> dict[str, Deployment]:
    """By key, the deployment that served before it in the same app and environment.

    Deployments that failed have none and are nobody's (a retry has the one before both).
    """
    last: dict[tuple[str, str | None], Deployment] = {}
    found: dict[str, Deployment] = {}
    for one in in_order(deployments):
        if not one.served:
            continue
        place = (one.app_id, one.environment)
        if place in last:
            found[one.key] = last[place]
        last[place] = one
    return found


def last_before(
    deployments: Iterable[Deployment], moment: datetime, within: timedelta | None = None
) -> Deployment | None:
    """The last deployment that served strictly before a moment, and not longer ago than
    ``within``."""
    found = [
        one
        for one in deployments
        if one.served
        and one.finished_at is not None
        and one.finished_at < moment
        and (within is None or moment - one.finished_at <= within)
    ]
    return in_order(found)[-1] if found else None


def merge_releases(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """One deployment for each release, also where several sources told of it.

    Of one tier, from different sources, with finishes at most ``SAME_RELEASE`` apart, and with a
    name in common; a platform and whoever deployed to it need none, as long as no names of theirs
    contradict each other. The nearest pairs first, each to one of another source. The most trusted
    source decides; the others fill its gaps.
    """
    ordered = in_order(deployments)
    groups = {one.key: [one] for one in ordered}
    for _, one, other in sorted(_pairs(ordered), key=lambda pair: (pair[0], pair[1], pair[2])):
        mine, theirs = groups[one], groups[other]
        told = [{source for each in group for source in each.sources} for group in (mine, theirs)]
        if mine is not theirs and not told[0] & told[1]:
            mine += theirs
            groups.update({each.key: mine for each in theirs})
    distinct = {id(group): group for group in groups.values()}.values()
    return tuple(in_order(reduce(_merge, in_order(group)) for group in distinct))


def _pairs(ordered: Sequence[Deployment]) -> Iterator[tuple[timedelta, str, str]]:
    """How far apart the finishes of two are that may be one release, with their keys."""
    for at, one in enumerate(ordered):
        for other in ordered[at + 1 : at + 1 + _NEAR]:
            earlier, later = when(one), when(other)
            if earlier is None or later is None or later - earlier > SAME_RELEASE:
                break
            if _same(one, other):
                yield later - earlier, one.key, other.key


def _same(one: Deployment, other: Deployment) -> bool:
    if one.tier is not other.tier or set(one.sources) & set(other.sources):
        return False
    if _ended(one) and _ended(other) and one.served is not other.served:
        return False  # an attempt that failed is not the one that served
    if one.names & other.names:
        return True
    platforms = [bool(_PLATFORMS & set(each.sources)) for each in (one, other)]
    return sum(platforms) == 1 and not _contradict(one, other)


def _contradict(one: Deployment, other: Deployment) -> bool:
    """Commits and images are the same everywhere; versions each service counts for itself."""
    for kind in ("commit_sha", "artifact"):
        mine, theirs = getattr(one, kind), getattr(other, kind)
        if mine and theirs and mine != theirs:
            return True
    return False


def _ended(one: Deployment) -> bool:
    return one.state in (DeploymentState.SUCCESS, DeploymentState.FAILED, DeploymentState.CANCELLED)


def _merge(one: Deployment, other: Deployment) -> Deployment:
    first, second = sorted((one, other), key=lambda each: (_rank(each), each.key))
    gaps = {
        name: getattr(second, name)
        for name in _FACTS
        if getattr(first, name) is None and getattr(second, name) is not None
    }
    if _ended(second) and not _ended(first):
        ends = ("state", "finished_at", "finish_estimated")
        gaps.update({name: getattr(second, name) for name in ends})
    failed = [each.failed_after for each in (one, other) if each.failed_after is not None]
    return replace(
        first,
        **gaps,
        failed_after=min(failed, default=None),
        commit_shas=tuple(dict.fromkeys((*first.commit_shas, *second.commit_shas))),
        sources=(*first.sources, *second.sources),
        also=(*first.also, second.key, *second.also),
        other_names=first.names | second.names,
    )


def _rank(deployment: Deployment) -> int:
    return min(_RANKS.get(source, _OTHERS) for source in deployment.sources or ("",))
