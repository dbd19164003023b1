"""Reliability as monitoring saw it, who deployed, and what it cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from pytest_dora.delivery.metrics import numbers
from pytest_dora.delivery.observe import Observation, PeriodSum
from pytest_dora.delivery.policy import Policy
from pytest_dora.model.dora import Number
from pytest_dora.model.events import Method
from pytest_dora.model.production import DeliveryCost, Reliability, Touch


def reliability(observed: Sequence[Observation]) -> Reliability:
    """Shares of all time watched and of all requests counted; an unwatched hour counts nowhere."""
    sampled = [one.sampled for one in observed]
    kinds = frozenset(kind for one in observed for kind in one.kinds)
    none = numbers.NO_SAMPLES if "health" in kinds else numbers.NOT_OBSERVED
    no_queries = numbers.NO_SAMPLES if "query_failures" in kinds else numbers.NOT_OBSERVED
    return Reliability(
        uptime=_ratio([one.uptime for one in sampled], none),
        error_rate=_ratio([one.requests for one in sampled], none),
        p50_ms=_quantile([pair for one in sampled for pair in one.p50_ms], none),
        p99_ms=_quantile([pair for one in sampled for pair in one.p99_ms], none),
        query_failure_rate=_ratio([one.queries for one in sampled], no_queries),
    )


def _ratio(sums: Sequence[PeriodSum], reason: str) -> Number:
    return numbers.ratio_of_sums(
        math.fsum(one.part for one in sums),
        math.fsum(one.whole for one in sums),
        sum(one.periods for one in sums),
        reason=reason,
    )


def _quantile(pairs: Sequence[tuple[float, float]], reason: str) -> Number:
    value = numbers.weighted_median(pairs)
    if value is None:
        return numbers.absent("ms", reason)
    return Number(value=value, unit="ms", samples=len(pairs), basis="observed")


def touch(observed: Sequence[Observation]) -> Touch:
    """The share of deployments that nobody started, where it is known of most who did."""
    counts = Counter(found.deployment.method for one in observed for found in one.judged)
    known = sum(counts[method] for method in Method)
    if known and known >= counts[None]:
        rate = numbers.share(counts[Method.AUTOMATED], known)
    elif counts:
        rate = numbers.absent("percent", "method_unknown")
    else:
        told = any("deployment" in one.kinds for one in observed)
        rate = numbers.absent("percent", numbers.NO_SAMPLES if told else numbers.NOT_OBSERVED)
    return Touch(
        zero_touch_rate=rate,
        automated=counts[Method.AUTOMATED],
        ci=counts[Method.CI],
        manual=counts[Method.MANUAL],
        unknown=counts[None],
    )


def cost(observed: Sequence[Observation], policy: Policy) -> DeliveryCost:
    """All that was spent in the window, failed generations too, by deployments that served.

    Apps of which no cost is known are in neither: their deployments were not free.
    """
    priced = [one for one in observed if one.cost_usd is not None]
    deployments = sum(len(one.judged) for one in priced)
    known = sum(one.cost_known[0] for one in observed)
    every = sum(one.cost_known[1] for one in observed)
    total = numbers.absent("usd", "cost_unknown")
    if priced:
        value = math.fsum(one.cost_usd or 0.0 for one in priced)
        total = Number(value=value, unit="usd", samples=len(priced), basis="observed")
    each = numbers.absent("usd", total.reason or numbers.NO_SAMPLES)
    if total.value is not None and deployments:
        value = total.value / deployments
        each = Number(value=value, unit="usd", samples=deployments, basis="observed")
    human, ratio = _human(priced, total, policy)
    return DeliveryCost(
        total=total,
        per_deployment=each,
        coverage=numbers.share(known, every),
        human_per_app=human,
        ratio_to_human=ratio,
    )


def _human(observed: Sequence[Observation], total: Number, policy: Policy) -> tuple[Number, Number]:
    """Against what the evaluator says that a person would cost, for the apps that were served."""
    if policy.human_hours_per_app is None or policy.human_usd_per_hour is None:
        return numbers.absent("usd", "not_stated"), numbers.absent("", "not_stated")
    each = policy.human_hours_per_app * policy.human_usd_per_hour
    human = Number(value=each, unit="usd", samples=0, basis="estimated")
    apps = sum(bool(one.judged) for one in observed)
    if total.value is None or not apps or each <= 0:
        return human, numbers.absent("", total.reason or numbers.NO_SAMPLES)
    ratio = Number(value=total.value / (each * apps), samples=apps, basis="estimated")
    return human, ratio
