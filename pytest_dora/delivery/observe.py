"""One app's history reduced to what a window counts of it."""

from __future__ import annotations

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
    PullRequestTimes,
    change_lead_times,
    prompt_lead_times,
    pull_request_times,
)
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.delivery.releases import when
from pytest_dora.delivery.spending import cost_of
from pytest_dora.model.events import DeploymentState, VerdictBody


@dataclass(frozen=True)
class Span:
    """Seconds that something took; not ``ended`` when it still goes on (right-censored)."""

    seconds: float
    ended: bool = True


@dataclass
class PeriodSum:
    """A part of a whole, over a number of periods."""

    part: float = 0.0
    whole: float = 0.0
    periods: int = 0

    def add(self, part: float, whole: float) -> None:
        self.part += part
        self.whole += whole
        self.periods += 1


@dataclass(frozen=True)
class Sampled:
    """What monitoring measured: sums over the periods of a window, and quantiles by period."""

    uptime: PeriodSum
    """Seconds up, of seconds watched."""
    requests: PeriodSum
    """Errors, of requests."""
    queries: PeriodSum
    """Failures, of queries."""
    p50_ms: tuple[tuple[float, float], ...] = ()
    """Value and weight (requests, else seconds) of each period."""
    p99_ms: tuple[tuple[float, float], ...] = ()


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
    unusable_incidents: int = 0
    """Of environments whose tier nobody told: they may be production's."""
    judged: tuple[Judgement, ...] = ()
    """Production deployments that served in the window."""
    history_judged: tuple[int, int] = (0, 0)
    """Failed, and failed or sound, of all times."""
    finished_at: tuple[datetime, ...] = ()
    all_finished_at: tuple[datetime, ...] = ()
    """Those before the window too, for the time between two."""
    attempts: int = 0
    """Production deployments that ended in the window, served or not; not the cancelled ones."""
    failed_attempts: int = 0
    prompt_lead_times: tuple[PromptLeadTime, ...] = ()
    change_lead_times: tuple[ChangeLeadTime, ...] = ()
    pull_requests: tuple[PullRequestTimes, ...] = ()
    recoveries: tuple[Span, ...] = ()
    repairs: tuple[Span, ...] = ()
    incidents: tuple[Incident, ...] = ()
    """Those that began in the window, and earlier ones that go on at its end."""
    incidents_overlapping: int = 0
    unattributed_incidents: int = 0
    rework: int = 0
    blocked: int = 0
    """Trees that an evaluation predicted to fail and that never served in production."""
    unjoined: int = 0
    """Deployments of the window that name neither their tree nor their evaluation."""
    forecasts: tuple[Forecast, ...] = ()
    sampled: Sampled = field(default_factory=lambda: Sampled(PeriodSum(), PeriodSum(), PeriodSum()))
    cost_usd: float | None = None
    cost_known: tuple[int, int] = (0, 0)
    """Deployments and generations of the window with a known cost, and all of them."""
    uncounted: Mapping[str, int] = field(default_factory=dict)


def observe(
    history: AppHistory,
    window: Window,
    now: datetime,
    policy: Policy,
    *,
    known_until: datetime | None = None,
) -> Observation:
    """Everything that metrics need of one app. ``now`` decides what is still pending or open.

    ``known_until`` is up to when its deployments were read, where that is before the window's end:
    what nobody has looked at is not counted as nothing.
    """
    uncounted: Counter[str] = Counter(history.uncounted)
    until = min(window.end, known_until) if known_until is not None else window.end
    exposure = Window(window.start, max(until, window.start)).clipped(history.first_seen)
    judgements = judge(history, policy, min(now, known_until) if known_until else now)
    judged = tuple(one for one in judgements.judged if one.deployment.finished_at in window)
    production = [one for one in history.production if when(one) in window]
    ended = [
        one
        for one in production
        if one.state in (DeploymentState.SUCCESS, DeploymentState.FAILED)
    ]  # fmt: skip
    incidents = tuple(
        one
        for one in history.incidents
        if one.tier is EnvironmentTier.PRODUCTION and _counts(one, window)
    )
    remedies = {one.remedy.key for one in judgements.judged if one.remedy and one.evidence}
    prompts = prompt_lead_times(history, uncounted)
    changes = change_lead_times(history, uncounted)
    cost, cost_known = cost_of(history, window)
    served_in_window = {one.deployment.key for one in judged}
    return Observation(
        app_id=history.app_id,
        window=exposure,
        kinds=_kinds(history),
        incidents_watched=policy.incidents_watched or _tells_of_incidents(history),
        unusable_incidents=sum(
            one.tier is EnvironmentTier.UNKNOWN and _counts(one, window)
            for one in history.incidents
        ),
        judged=judged,
        history_judged=_counted(judgements.judged),
        finished_at=_moments(judged),
        all_finished_at=_moments(judgements.judged),
        attempts=len(ended),
        failed_attempts=sum(one.state is DeploymentState.FAILED for one in ended),
        prompt_lead_times=tuple(one for one in prompts if one.deployment.finished_at in window),
        change_lead_times=tuple(one for one in changes if one.deployed_at in window),
        pull_requests=tuple(
            one for one in pull_request_times(history) if one.deployment in served_in_window
        ),
        recoveries=tuple(_recoveries(_going_on(judgements.judged, window), now, uncounted)),
        repairs=tuple(_repairs(incidents, now, uncounted)),
        incidents=incidents,
        incidents_overlapping=sum(
            one.tier is EnvironmentTier.PRODUCTION and _overlaps(one, window)
            for one in history.incidents
        ),
        unattributed_incidents=sum(_counts(one, window) for one in judgements.unattributed),
        rework=sum(_is_rework(one, remedies) for one in judged),
        blocked=_blocked(history, window),
        unjoined=sum(
            one.deployment.fingerprint is None and one.deployment.run_id is None for one in judged
        ),
        forecasts=tuple(_forecasts(history, judged)),
        sampled=_sampled(history, window, uncounted),
        cost_usd=cost,
        cost_known=cost_known,
        uncounted=dict(uncounted),
    )


def _kinds(history: AppHistory) -> frozenset[str]:
    """Kinds of facts that can be counted: deployments to nowhere that is known are none."""
    unknown = all(one.tier is EnvironmentTier.UNKNOWN for one in history.deployments)
    return history.kinds - {"deployment"} if unknown else history.kinds


def _tells_of_incidents(history: AppHistory) -> bool:
    """Whoever told of one incident in production would tell of others."""
    return any(one.tier is EnvironmentTier.PRODUCTION for one in history.incidents)


def _counts(incident: Incident, window: Window) -> bool:
    """Those that began in a window, and those that began before and go on at its end."""
    began, end = incident.began_at, incident.resolved_at
    if began is None or began >= window.end:
        return False
    return began in window or end is None or end >= window.end


def _overlaps(incident: Incident, window: Window) -> bool:
    began, end = incident.began_at, incident.resolved_at
    return began is not None and began < window.end and (end is None or end >= window.start)


def _going_on(judged: Iterable[Judgement], window: Window) -> Iterable[Judgement]:
    """Failures of a window, and earlier ones that are not restored at its end."""
    for one in judged:
        finished = one.deployment.finished_at
        if finished is None or finished >= window.end:
            continue
        open_still = one.restored_at is None or one.restored_at >= window.end
        if finished in window or (open_still and one.evidence):
            yield one


def _counted(judged: Iterable[Judgement]) -> tuple[int, int]:
    """Failed, and failed or sound."""
    states = Counter(one.state for one in judged)
    return states[Judged.FAILED], states[Judged.FAILED] + states[Judged.SOUND]


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
        if one.evidence is None or finished is None or finished > now:
            continue
        end = one.restored_at
        if end is not None and end < finished:
            uncounted["negative_recovery"] += 1
        else:
            yield _span(finished, end, now)


def _repairs(
    incidents: Iterable[Incident], now: datetime, uncounted: Counter[str]
) -> Iterable[Span]:
    for one in incidents:
        if one.began_at is None or one.began_at > now:
            continue
        end = one.resolved_at
        if end is not None and end < one.began_at:
            uncounted["negative_repair"] += 1
        else:
            yield _span(one.began_at, end, now)


def _span(start: datetime, end: datetime | None, now: datetime) -> Span:
    """What ends after ``now`` still goes on."""
    ended = end is not None and end <= now
    return Span(((end if ended and end else now) - start).total_seconds(), ended)


# --- verdicts -------------------------------------------------------------------------------


def _forecasts(history: AppHistory, judged: Iterable[Judgement]) -> Iterable[Forecast]:
    """Of each deployment the verdict of the evaluation that it names; else the last one on its
    tree before it began. What was said afterwards is no forecast."""
    by_run: dict[tuple[str, str | None], VerdictBody] = {}
    by_tree: dict[str, list[tuple[datetime, VerdictBody]]] = {}
    for at, verdict in history.verdicts:
        if verdict.predicted_failure is not None:
            by_run[verdict.run_id, verdict.fingerprint] = verdict
            if verdict.fingerprint is not None:
                by_tree.setdefault(verdict.fingerprint, []).append((at, verdict))
    for one in judged:
        deployment = one.deployment
        tree, began = deployment.fingerprint, deployment.began_at or deployment.finished_at
        found = by_run.get((deployment.run_id, tree)) if deployment.run_id else None
        if found is None and tree is not None and began is not None:
            early = [verdict for at, verdict in by_tree.get(tree, ()) if at <= began]
            found = early[-1] if early else None
        if found is not None and one.state is not Judged.PENDING:
            yield Forecast(bool(found.predicted_failure), one.state is Judged.FAILED)


def _blocked(history: AppHistory, window: Window) -> int:
    """Trees whose last verdict foretold a failure and that never served; of the window in which
    they were first judged. A verdict that does not know its tree blocks none."""
    served = {one.fingerprint for one in history.production if one.served}
    runs = {one.run_id for one in history.production if one.served}
    first: dict[str, datetime] = {}
    last: dict[str, VerdictBody] = {}
    for at, verdict in history.verdicts:
        if verdict.fingerprint is not None and verdict.run_id not in runs:
            first.setdefault(verdict.fingerprint, at)
            if verdict.predicted_failure is not None:
                last[verdict.fingerprint] = verdict
    return sum(
        bool(verdict.predicted_failure) and tree not in served and first[tree] in window
        for tree, verdict in last.items()
    )


# --- samples and money ----------------------------------------------------------------------


def _sampled(history: AppHistory, window: Window, uncounted: Counter[str]) -> Sampled:
    """Periods that began in the window."""
    p50: list[tuple[float, float]] = []
    p99: list[tuple[float, float]] = []
    uptime, requests, queries = PeriodSum(), PeriodSum(), PeriodSum()
    for one in history.health:
        if one.start not in window:
            continue
        seconds = (one.end - one.start).total_seconds()
        if one.uptime is not None:
            uptime.add(one.uptime * seconds, seconds)
        if one.requests is not None and one.errors is not None:
            requests.add(min(one.errors, one.requests), one.requests)
        weight = one.requests if one.requests is not None else seconds
        if one.p50_ms is not None:
            p50.append((one.p50_ms, weight))
        if one.p99_ms is not None:
            p99.append((one.p99_ms, weight))
    for asked in history.query_failures:
        if asked.start not in window or asked.queries is None:
            continue
        if asked.failures > asked.queries:
            uncounted["more_failures_than_queries"] += 1
        else:
            queries.add(asked.failures, asked.queries)
    return Sampled(uptime, requests, queries, tuple(p50), tuple(p99))
