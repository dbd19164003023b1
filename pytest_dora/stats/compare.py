"""Two groups side by side: how large the difference is, and whether it could be chance.

The unit of a comparison is the app: many deployments of one app are no independent samples, so
give one value per app.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dora.stats.basic import median, require_finite, wilson
from pytest_dora.stats.extra import INSUFFICIENT_DATA, NEEDS_SCIPY, StatsUnavailable, scipy_stats

FEWEST_PER_GROUP = 5
Values = Sequence[float]


@dataclass(frozen=True)
class Share:
    """So many of so many. Raises ValueError for numbers that are no share."""

    successes: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.total:
            raise ValueError(f"{self.successes} of {self.total} is no share")


@dataclass(frozen=True)
class MannWhitney:
    """``u`` counts the pairs in which the first group's value is larger; ties count half."""

    u: float
    p: float


@dataclass(frozen=True)
class Fisher:
    """Two-sided; the odds ratio is the sample's, None where a zero leaves it no finite value."""

    odds_ratio: float | None
    p: float


@dataclass(frozen=True)
class ValuesCompared:
    """``shift`` and ``cliffs_delta`` are negative where the first group tends to be smaller.

    What is None is explained by ``reason``: ``insufficient_data`` or ``needs_scipy``.
    """

    samples: tuple[int, int]
    medians: tuple[float | None, float | None]
    shift: float | None = None
    """Hodges and Lehmann's, in the unit of the values."""
    cliffs_delta: float | None = None
    mann_whitney: MannWhitney | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SharesCompared:
    """The first share less the second, with Newcombe's interval, and Fisher's test.

    The two can disagree (3 of 20 and 9 of 20), so both are told. What is None is explained by
    ``reason``: ``insufficient_data`` or ``needs_scipy``.
    """

    shares: tuple[Share, Share]
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    fisher: Fisher | None = None
    reason: str | None = None


def compare_values(first: Values, second: Values) -> ValuesCompared:
    """Two groups of at least five values each. Raises ValueError for values not finite."""
    require_finite(first)
    require_finite(second)
    samples, medians = (len(first), len(second)), (median(first), median(second))
    if min(samples) < FEWEST_PER_GROUP:
        return ValuesCompared(samples, medians, reason=INSUFFICIENT_DATA)
    shift, delta = hodges_lehmann(first, second), cliffs_delta(first, second)
    try:
        test = mann_whitney(first, second)
    except StatsUnavailable:
        return ValuesCompared(samples, medians, shift, delta, reason=NEEDS_SCIPY)
    return ValuesCompared(samples, medians, shift, delta, test)


def compare_shares(first: Share, second: Share) -> SharesCompared:
    """Two shares of at least five samples each."""
    shares = (first, second)
    if min(first.total, second.total) < FEWEST_PER_GROUP:
        return SharesCompared(shares, reason=INSUFFICIENT_DATA)
    difference = first.successes / first.total - second.successes / second.total
    interval = newcombe(first, second)
    try:
        test = fisher_exact(first, second)
    except StatsUnavailable:
        return SharesCompared(shares, difference, interval, reason=NEEDS_SCIPY)
    return SharesCompared(shares, difference, interval, test)


def mann_whitney(first: Values, second: Values) -> MannWhitney | None:
    """The two-sided rank test; None where a group is empty.

    Exact where a group has at most eight values and none are tied, else by normal approximation
    with corrections for ties and continuity. Raises StatsUnavailable without scipy.
    """
    if not first or not second:
        return None
    found = scipy_stats("a rank test").mannwhitneyu(first, second, alternative="two-sided")
    return MannWhitney(float(found.statistic), float(found.pvalue))


def cliffs_delta(first: Values, second: Values) -> float | None:
    """How often the first group's value is larger less how often it is smaller, -1 to 1.

    None where a group is empty.
    """
    if not first or not second:
        return None
    ordered = sorted(second)
    balance = sum(
        bisect_left(ordered, value) - (len(ordered) - bisect_right(ordered, value))
        for value in first
    )
    return balance / (len(first) * len(ordered))


def hodges_lehmann(first: Values, second: Values) -> float | None:
    """The median of all differences of a value of the first group and one of the second.

    None where a group is empty. Takes memory for every pair.
    """
    return median([one - other for one in first for other in second])


def newcombe(first: Share, second: Share) -> tuple[float, float] | None:
    """The 95 % interval of the first share less the second (Newcombe 1998, method 10).

    None where a group is empty.
    """
    one, other = (wilson(share.successes, share.total) for share in (first, second))
    if one is None or other is None:
        return None
    share, rest = first.successes / first.total, second.successes / second.total
    low = share - rest - math.hypot(share - one[0], other[1] - rest)
    high = share - rest + math.hypot(one[1] - share, rest - other[0])
    return low, high


def fisher_exact(first: Share, second: Share) -> Fisher:
    """Fisher's exact test of two shares. Raises StatsUnavailable without scipy."""
    table = [[share.successes, share.total - share.successes] for share in (first, second)]
    found = scipy_stats("an exact test").fisher_exact(table)
    odds = float(found.statistic)
    return Fisher(odds if math.isfinite(odds) else None, float(found.pvalue))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Each p adjusted for there being several, in the given order (Holm 1979).

    Raises ValueError for what is no probability.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"not all of these are probabilities: {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return tuple(adjusted)
