"""Exact intervals of rates and shares, and how much data a claim needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_dora.stats.extra import scipy_stats

DAYS_PER_WEEK = 7
_TAIL = 0.025
_ROUNDING = 1e-9


@dataclass(frozen=True)
class WeeklyRate:
    """How often something happens per week of seven days, with its exact 95 % interval."""

    count: int
    days: float
    per_week: float
    ci95: tuple[float, float]


def poisson_per_week(count: int, days: float) -> WeeklyRate | None:
    """The rate of ``count`` events in ``days``; None where the window is empty.

    The interval is Garwood's, from the chi-squared distribution: none in a week still allows 3.7.
    Raises ValueError for a negative count or window, StatsUnavailable without scipy.
    """
    if count < 0 or not 0 <= days < math.inf:
        raise ValueError(f"no rate of {count} events in {days} days")
    if days == 0:
        return None
    chi2 = scipy_stats("the exact interval of a rate").chi2
    weeks = days / DAYS_PER_WEEK
    low = float(chi2.ppf(_TAIL, 2 * count)) / 2 if count else 0.0
    high = float(chi2.ppf(1 - _TAIL, 2 * (count + 1))) / 2
    return WeeklyRate(count, days, count / weeks, (low / weeks, high / weeks))


def clopper_pearson(successes: int, total: int) -> tuple[float, float] | None:
    """The exact 95 % interval of a share, between 0 and 1; None without samples.

    It never covers less than it says, so it is wider than Wilson's. Raises ValueError for numbers
    that are no share, StatsUnavailable without scipy.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is no share")
    if total == 0:
        return None
    beta = scipy_stats("the exact interval of a share").beta
    failures = total - successes
    low = float(beta.ppf(_TAIL, successes, failures + 1)) if successes else 0.0
    high = float(beta.ppf(1 - _TAIL, successes + 1, failures)) if failures else 1.0
    return low, high


def zero_failures_needed(limit: float, confidence: float = 0.95) -> int:
    """How many samples in a row without a failure show a share of failures of at most ``limit``.

    The smallest n with ``(1 - limit) ** n <= 1 - confidence``, one-sided: 59 for 5 %. Raises
    ValueError unless both lie strictly between 0 and 1.
    """
    if not (0 < limit < 1 and 0 < confidence < 1):
        raise ValueError(f"limit {limit} and confidence {confidence} must lie between 0 and 1")
    exact = math.log1p(-confidence) / math.log1p(-limit)
    # 1 - 0.95 is a hair above 0.05: what is an integer but for rounding stays that integer
    return max(1, math.ceil(exact * (1 - _ROUNDING)))
