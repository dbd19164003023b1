"""How long a change takes to production: from the prompt, and from the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from pytest_dora.delivery.entities import AppHistory, Deployment
from pytest_dora.delivery.releases import in_order
from pytest_dora.model.events import BuildBody, GenerationBody

PARTS = ("generation", "build", "deploy", "pipeline")
"""The most specific first: what a pipeline spends on a build is the build's."""


@dataclass(frozen=True)
class PromptLeadTime:
    """From one prompt to the first moment its app served in production. Seconds.

    ``parts`` and ``unattributed`` add up to ``seconds``: each instant is counted once.
    """

    asked: GenerationBody
    """The attempt at whose prompt it began."""
    generation: GenerationBody
    """The attempt that was deployed."""
    deployment: Deployment
    seconds: float
    parts: dict[str, float]
    unattributed: float


@dataclass(frozen=True)
class ChangeLeadTime:
    """From a commit to production. Seconds."""

    commit_sha: str
    deployment: str
    deployed_at: datetime
    seconds: float
    first_deployment: bool
    """Of an app's first deployment nobody knows which commits it brought: they are flagged."""


def prompt_lead_times(history: AppHistory, invalid: Counter[str]) -> list[PromptLeadTime]:
    """One for each generation whose app reached production before the next one was made.

    Each deployment is one generation's: of its tree, where both know it; else, by the time, of the
    last one that was ready before it. What brings back an earlier version is nobody's. Where the
    attempts just before it at the same prompt left nothing, a generation begins with the first.
    """
    made = sorted((one for one in history.generations if one.success is not False), key=_ready)
    served = [one for one in in_order(history.production) if one.served and not one.rollback]
    trees = {one.fingerprint for one in made if one.fingerprint}
    first: dict[int, Deployment] = {}
    for one in served:
        at = _owner(one, made, trees)
        if at is not None:
            first.setdefault(at, one)
    found = []
    for at, deployment in sorted(first.items()):
        generation = made[at]
        if generation.human or deployment.finished_at is None:
            continue
        asked = _first_asked(generation, history.generations)
        span = (asked.prompt_at, deployment.finished_at)
        if span[1] < span[0]:
            invalid["negative_lead_time"] += 1
            continue
        parts = _parts(history, generation, deployment, span)
        seconds = _seconds(*span)
        rest = max(0.0, seconds - sum(parts.values()))
        found.append(PromptLeadTime(asked, generation, deployment, seconds, parts, rest))
    return found


def _ready(generation: GenerationBody) -> datetime:
    return generation.completed_at or generation.prompt_at


def _owner(
    one: Deployment,
    made: Sequence[GenerationBody],
    trees: Collection[str],
) -> int | None:
    """The index of the generation that a deployment is of."""
    began = one.began_at or one.finished_at
    if one.fingerprint is not None and one.fingerprint in trees:
        same = [at for at, it in enumerate(made) if it.fingerprint == one.fingerprint]
        early = [at for at in same if one.finished_at and made[at].prompt_at <= one.finished_at]
        return (early or same)[-1]
    ready = [
        at for at, it in enumerate(made)
        if began is not None and _ready(it) <= began and not (it.fingerprint and one.fingerprint)
    ]  # fmt: skip
    return ready[-1] if ready else None


def _first_asked(generation: GenerationBody, every: Sequence[GenerationBody]) -> GenerationBody:
    asked = generation
    for one in sorted(every, key=lambda it: it.prompt_at, reverse=True):
        if one.prompt_at >= asked.prompt_at:
            continue
        if one.success is not False or one.prompt_id is None or one.prompt_id != asked.prompt_id:
            break
        asked = one
    return asked


def builds_of(history: AppHistory, deployment: Deployment) -> list[BuildBody]:
    """Builds that are known to have made what was deployed, and had ended by then."""
    shas = {deployment.commit_sha, *deployment.commit_shas} - {None}
    return [
        build
        for build in history.builds
        if build.finished_at is not None
        and (deployment.finished_at is None or build.finished_at <= deployment.finished_at)
        and (
            (build.run_id is not None and build.run_id == deployment.run_id)
            or (build.fingerprint is not None and build.fingerprint == deployment.fingerprint)
            or (build.commit_sha is not None and build.commit_sha in shas)
        )
    ]


def _parts(
    history: AppHistory,
    generation: GenerationBody,
    deployment: Deployment,
    span: tuple[datetime, datetime],
) -> dict[str, float]:
    """Each instant of the span goes to the most specific thing that went on in it."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {part: [] for part in PARTS}
    if generation.completed_at is not None:
        spans["generation"].append((span[0], generation.completed_at))
    if deployment.began_at is not None and deployment.finished_at is not None:
        spans["deploy"].append((deployment.began_at, deployment.finished_at))
    shas = {deployment.commit_sha, *deployment.commit_shas} - {None}
    for build in builds_of(history, deployment):
        if build.finished_at is not None:
            spans["build"].append((build.started_at, build.finished_at))
    for run in history.pipeline_runs:
        if run.commit_sha is not None and run.commit_sha in shas:
            spans["pipeline"].append((run.queued_at or run.started_at, run.finished_at))
    return _partition(spans, span)


def _partition(
    spans: dict[str, list[tuple[datetime, datetime]]], whole: tuple[datetime, datetime]
) -> dict[str, float]:
    edges = {whole[0], whole[1]}
    for found in spans.values():
        edges.update(edge for one in found for edge in one if whole[0] < edge < whole[1])
    cuts = sorted(edges)
    parts = dict.fromkeys(PARTS, 0.0)
    for start, end in pairwise(cuts):
        for part in PARTS:
            if any(begin <= start and end <= stop for begin, stop in spans[part]):
                parts[part] += _seconds(start, end)
                break
    return parts


def change_lead_times(history: AppHistory, invalid: Counter[str]) -> list[ChangeLeadTime]:
    """One for each commit, at the first deployment that served it. Merges are no changes.

    What deployments that failed were to bring, the next one that serves has brought.
    """
    found: list[ChangeLeadTime] = []
    seen: set[str] = set()
    waiting: dict[str, None] = {}
    first = True
    for one in in_order(history.production):
        waiting.update(dict.fromkeys(_brought(one, history)))
        if not one.served or one.finished_at is None:
            continue
        for sha in waiting:
            change = history.changes.get(sha)
            if change is None or change.is_merge or sha in seen:
                continue
            seen.add(sha)
            moment = change.committed_at or change.authored_at
            if moment is None:
                invalid["commit_without_time"] += 1
            elif moment > one.finished_at:
                invalid["negative_lead_time"] += 1
            else:
                seconds = _seconds(moment, one.finished_at)
                found.append(ChangeLeadTime(sha, one.key, one.finished_at, seconds, first))
        waiting.clear()
        first = False
    return found


def _brought(one: Deployment, history: AppHistory) -> Iterable[str]:
    yield from one.commit_shas
    # a commit that nobody described as a change of this deployment is its head, and no more
    if one.commit_sha is not None and (not one.commit_shas or one.commit_sha in history.changes):
        yield one.commit_sha


@dataclass(frozen=True)
class PullRequestTimes:
    """The parts of one pull request's way. Seconds; None where a moment is unknown or the parts
    are not in order (deployed before it was merged)."""

    pull_request: str
    deployment: str | None
    coding: float | None
    review: float | None
    deploy: float | None


def pull_request_times(history: AppHistory) -> list[PullRequestTimes]:
    """For each merged pull request: first commit to opened, opened to merged, merged to served."""
    by_request: dict[str, list[str]] = {}
    for sha, change in history.changes.items():
        if change.pull_request is not None and change.merged_at is not None:
            by_request.setdefault(change.pull_request, []).append(sha)
    first: dict[str, tuple[int, Deployment]] = {}
    for at, one in enumerate(one for one in in_order(history.production) if one.served):
        for sha in _brought(one, history):
            first.setdefault(sha, (at, one))
    return [_times(name, shas, history, first) for name, shas in sorted(by_request.items())]


def _times(
    name: str, shas: Sequence[str], history: AppHistory, first: Mapping[str, tuple[int, Deployment]]
) -> PullRequestTimes:
    changes = [history.changes[sha] for sha in shas]
    merged = changes[0].merged_at
    opened = next((one.opened_at for one in changes if one.opened_at), None)
    authored = min((one.authored_at for one in changes if one.authored_at), default=None)
    wanted = {*shas, *(one.merge_sha for one in changes if one.merge_sha)}
    found = [first[sha] for sha in wanted if sha in first]
    deployment = min(found, key=lambda one: one[0])[1] if found else None
    return PullRequestTimes(
        pull_request=name,
        deployment=deployment.key if deployment else None,
        coding=_between(authored, opened),
        review=_between(opened, merged),
        deploy=_between(merged, deployment.finished_at if deployment else None),
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or end < start:
        return None
    return _seconds(start, end)


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
