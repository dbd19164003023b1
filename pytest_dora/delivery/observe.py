"""One app's history reduced to what a window counts of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pytest_dora.delivery.entities import AppHistory, Incident
from pytest_dora.delivery.environments import EnvironmentTier
from pytest_dora.delivery.failures import Judged, Judgement, judge
from pytest_dora.delivery.lead_times import (
    ChangeLeadTime,
    PromptLeadTime,
    change_lead_times,
    prompt_lead_times,
)
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.delivery.releases import previous_successful, when
from pytest_dora.model.events import CostBody, DeploymentState, VerdictBody

_WATCHING = frozenset({"incident", "health"})
"""Who told of one incident, or measures an app, would tell of others."""


@dataclass(frozen=True)
class Span:
    """Seconds that something took; not ``ended`` when it still goes on (right-censored)."""

    seconds: float
    ended: bool = True


@dataclass(frozen=True)
class Sampled:
    """What monitoring measured: sums over the periods of a window, and quantiles by period."""

    uptime_seconds: float = 0.0
    watched_seconds: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    queries: float = 0.0
    query_failures: float = 0.0
    p50_ms: tuple[tuple[float, float], ...] = ()
    """Value and weight (requests, else seconds) of each period."""
    p99_ms: tuple[tuple[float, float], ...] = ()
    periods: int = 0


@dataclass(frozen=True)
class Forecast:
    """A verdict of an evaluation, and what production said of the same tree later."""

    predicted_failure: bool
    observed_failure: bool


@dataclass(frozen=True)
class Observation:
    """What one app did in a window (clipped to the app's own lifetime)."""

    app_id: str
    window: Window
    kinds: frozenset[str] = frozenset()
    """Kinds of events that exist of the app at all: what was never told is not observed."""
    incidents_watched: bool = False
    judged: tuple[Judgement, ...] = ()
    """Production deployments that served in the window."""
    finished_at: tuple[datetime, ...] = ()
    all_finished_at: tuple[datetime, ...] = ()
    """Those before the window too, for the time between two."""
    attempts: int = 0
    """Production deployments that ended in the window, served or not; not the cancelled ones."""
    failed_attempts: int = 0
    prompt_lead_times: tuple[PromptLeadTime, ...] = ()
    change_lead_times: tuple[ChangeLeadTime, ...] = ()
    recoveries: tuple[Span, ...] = ()
    repairs: tuple[Span, ...] = ()
    incidents: tuple[Incident, ...] = ()
    unattributed_incidents: int = 0
    rework: int = 0
    blocked: int = 0
    """Trees that an evaluation predicted to fail and that never served in production."""
    forecasts: tuple[Forecast, ...] = ()
    sampled: Sampled = Sampled()
    cost_usd: float | None = None
    cost_known: tuple[int, int] = (0, 0)
    """Deployments and generations of the window with a known cost, and all of them."""
    previous_versions: Mapping[str, str] = field(default_factory=dict)
    uncounted: Mapping[str, int] = field(default_factory=dict)


def observe(history: AppHistory, window: Window, now: datetime, policy: Policy) -> Observation:
    """Everything that metrics need of one app. ``now`` decides what is still pending or open."""
    uncounted: Counter[str] = Counter(history.uncounted)
    clipped = window.clipped(history.first_seen)
    judgements = judge(history, policy, now)
    judged = tuple(one for one in judgements.judged if one.deployment.finished_at in clipped)
    production = [one for one in history.production if when(one) in clipped]
    ended = [
        one
        for one in production
        if one.state in (DeploymentState.SUCCESS, DeploymentState.FAILED)
    ]  # fmt: skip
    incidents = tuple(
        one
        for one in history.incidents
        if one.tier is EnvironmentTier.PRODUCTION and one.began_at in clipped
    )
    remedies = {
        one.remedy.key for one in judgements.judged if one.remedy and one.state is Judged.FAILED
    }
    prompts = prompt_lead_times(history, uncounted)
    changes = change_lead_times(history, uncounted)
    cost, cost_known = _cost(history, clipped)
    previous = previous_successful(history.production)
    return Observation(
        app_id=history.app_id,
        window=clipped,
        kinds=history.kinds,
        incidents_watched=policy.incidents_watched or bool(_WATCHING & history.kinds),
        judged=judged,
        finished_at=_moments(judged),
        all_finished_at=_moments(judgements.judged),
        attempts=len(ended),
        failed_attempts=sum(one.state is DeploymentState.FAILED for one in ended),
        prompt_lead_times=tuple(one for one in prompts if one.deployment.finished_at in clipped),
        change_lead_times=tuple(one for one in changes if one.deployed_at in clipped),
        recoveries=tuple(_recoveries(judged, now, uncounted)),
        repairs=tuple(_repairs(incidents, now, uncounted)),
        incidents=incidents,
        unattributed_incidents=sum(one.began_at in clipped for one in judgements.unattributed),
        rework=sum(_is_rework(one, remedies) for one in judged),
        blocked=_blocked(history, clipped),
        forecasts=tuple(_forecasts(history, judged)),
        sampled=_sampled(history, clipped),
        cost_usd=cost,
        cost_known=cost_known,
        previous_versions={
            key: one.version for key, one in previous.items() if one.version is not None
        },
        uncounted=dict(uncounted),
    )


def _moments(judged: Iterable[Judgement]) -> tuple[datetime, ...]:
    return tuple(one.deployment.finished_at for one in judged if one.deployment.finished_at)


def _is_rework(one: Judgement, remedies: set[str]) -> bool:
    """As it is said, else a deployment that mended another one."""
    said = one.deployment.rework
    return one.deployment.key in remedies if said is None else said


def _recoveries(
    judged: Iterable[Judgement], now: datetime, uncounted: Counter[str]
) -> Iterable[Span]:
    for one in judged:
        finished = one.deployment.finished_at
        if one.state is not Judged.FAILED or finished is None:
            continue
        end = one.restored_at
        if end is not None and end < finished:
            uncounted["negative_recovery"] += 1
        else:
            yield Span(((end or now) - finished).total_seconds(), end is not None)


def _repairs(
    incidents: Iterable[Incident], now: datetime, uncounted: Counter[str]
) -> Iterable[Span]:
    for one in incidents:
        if one.began_at is None:
            continue
        end = one.resolved_at
        if end is not None and end < one.began_at:
            uncounted["negative_repair"] += 1
        else:
            yield Span(((end or now) - one.began_at).total_seconds(), end is not None)


# --- verdicts -------------------------------------------------------------------------------


def _forecasts(history: AppHistory, judged: Iterable[Judgement]) -> Iterable[Forecast]:
    """Of each deployment the last verdict on its tree; of its run, where a tree is not known."""
    by_tree: dict[str, bool] = {}
    by_run: dict[str, VerdictBody] = {}
    for _, verdict in history.verdicts:
        if verdict.predicted_failure is not None:
            if verdict.fingerprint is not None:
                by_tree[verdict.fingerprint] = verdict.predicted_failure
            by_run[verdict.run_id] = verdict
    for one in judged:
        tree, run = one.deployment.fingerprint, by_run.get(one.deployment.run_id or "")
        predicted = by_tree.get(tree) if tree is not None else None
        if predicted is None and run is not None and (tree is None or run.fingerprint is None):
            predicted = run.predicted_failure
        if predicted is not None and one.state is not Judged.PENDING:
            yield Forecast(predicted, one.state is Judged.FAILED)


def _blocked(history: AppHistory, window: Window) -> int:
    """Trees, each counted once, whatever the number of its evaluations."""
    served = {one.fingerprint for one in history.production if one.served}
    runs = {one.run_id for one in history.production if one.served}
    return len(
        {
            verdict.fingerprint or verdict.run_id
            for at, verdict in history.verdicts
            if at in window
            and verdict.predicted_failure
            and (verdict.fingerprint is None or verdict.fingerprint not in served)
            and verdict.run_id not in runs
        }
    )


# --- samples and money ----------------------------------------------------------------------


def _sampled(history: AppHistory, window: Window) -> Sampled:
    uptime, watched, requests, errors = 0.0, 0.0, 0.0, 0.0
    p50: list[tuple[float, float]] = []
    p99: list[tuple[float, float]] = []
    periods = 0
    for one in history.health:
        if one.start not in window or one.end > window.end:
            continue
        periods += 1
        seconds = (one.end - one.start).total_seconds()
        if one.uptime is not None:
            uptime += one.uptime * seconds
            watched += seconds
        if one.requests is not None and one.errors is not None:
            requests += one.requests
            errors += min(one.errors, one.requests)
        weight = one.requests if one.requests is not None else seconds
        if one.p50_ms is not None:
            p50.append((one.p50_ms, weight))
        if one.p99_ms is not None:
            p99.append((one.p99_ms, weight))
    asked = [one for one in history.query_failures if one.start in window and one.end <= window.end]
    counted = [one for one in asked if one.queries is not None]
    return Sampled(
        uptime_seconds=uptime,
        watched_seconds=watched,
        requests=requests,
        errors=errors,
        queries=math.fsum(one.queries or 0.0 for one in counted),
        query_failures=math.fsum(one.failures for one in counted),
        p50_ms=tuple(p50),
        p99_ms=tuple(p99),
        periods=periods,
    )


def _cost(history: AppHistory, window: Window) -> tuple[float | None, tuple[int, int]]:
    """What was spent in a window on all attempts, and of how many of them the cost is known.

    A cost event that refers to a deployment replaces what the deployment says of itself.
    """
    spent: list[float] = []
    paid = {body.reference for _, body in history.costs if body.reference}
    known = every = 0
    for generation in history.generations:
        if generation.prompt_at in window:
            every += 1
            known += generation.cost_usd is not None
            spent += [generation.cost_usd] if generation.cost_usd is not None else []
    for build in history.builds:
        if build.started_at in window and build.cost_usd is not None:
            spent.append(build.cost_usd)
    for deployment in history.production:
        if when(deployment) in window:
            every += 1
            said = deployment.cost_usd is not None or deployment.key in paid
            known += said
            if deployment.cost_usd is not None and deployment.key not in paid:
                spent.append(deployment.cost_usd)
    costs: list[CostBody] = [body for at, body in history.costs if at in window]
    spent += [body.usd for body in costs]
    return (math.fsum(spent) if spent else None), (known, every)
