"""The order of an app's releases, and the same release told by several sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from pytest_dora.delivery.entities import Deployment

SAME_RELEASE = timedelta(minutes=15)
"""Two sources tell of one release when their finishes lie no further apart."""
_RANKS: Mapping[str, int] = {"fly": 0, "databricks": 0, "github": 2, "ci": 3}
"""Who is believed first: the platform that served, then what was recorded, then the pipeline."""
_OTHERS = 1
_NEVER = datetime.max.replace(tzinfo=UTC)
_FACTS = frozenset(field.name for field in fields(Deployment)) - {
    "key", "app_id", "tier", "environment", "state", "finished_at", "finish_estimated",
    "failed_after", "commit_shas", "sources", "also",
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

    The same tier, a version, commit or image in common, different sources, and finishes at most
    ``SAME_RELEASE`` apart. The most trusted source decides; the others fill its gaps.
    """
    merged: list[Deployment] = []
    for one in in_order(deployments):
        at = _told_before(merged, one)
        if at is None:
            merged.append(one)
        else:
            merged[at] = _merge(merged[at], one)
    return tuple(in_order(merged))


def _told_before(merged: Sequence[Deployment], one: Deployment) -> int | None:
    """The index of the same release; only the last ones can be near enough."""
    moment = when(one)
    for at in range(len(merged) - 1, -1, -1):
        other = merged[at]
        if _same(other, one):
            return at
        earlier = when(other)
        # a merged one keeps its place, and its finish may be as much later as two can differ
        if moment and earlier and moment - earlier > 2 * SAME_RELEASE:
            return None
    return None


def _same(one: Deployment, other: Deployment) -> bool:
    if one.tier is not other.tier or not one.identities & other.identities:
        return False
    if set(one.sources) & set(other.sources):
        return False
    moments = when(one), when(other)
    return (
        moments[0] is not None
        and moments[1] is not None
        and abs(moments[0] - moments[1]) <= SAME_RELEASE
    )


def _merge(one: Deployment, other: Deployment) -> Deployment:
    first, second = sorted((one, other), key=lambda each: (_rank(each), each.key))
    gaps = {
        name: getattr(second, name)
        for name in _FACTS
        if getattr(first, name) is None and getattr(second, name) is not None
    }
    return replace(
        first,
        **gaps,
        commit_shas=tuple(dict.fromkeys((*first.commit_shas, *second.commit_shas))),
        sources=(*first.sources, *second.sources),
        also=(*first.also, second.key, *second.also),
    )


def _rank(deployment: Deployment) -> int:
    return min(_RANKS.get(source, _OTHERS) for source in deployment.sources or ("",))
