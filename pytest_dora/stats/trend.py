"""Whether a series of equal buckets of time gets better, worse, or neither visibly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pytest_dora.stats.basic import require_finite
from pytest_dora.stats.extra import INSUFFICIENT_DATA, NEEDS_SCIPY, StatsUnavailable, scipy_stats

FEWEST_BUCKETS = 8
Buckets = Sequence[float | None]
"""One value per complete bucket, oldest first; None where a bucket has no samples."""


class Direction(StrEnum):
    IMPROVING = "improving"
    DEGRADING = "degrading"
    STABLE = "stable"
    """The slope may be 0: no change, or too much noise to see one."""
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True)
class Slope:
    """The median slope per bucket, and its 95 % interval (Theil 1950, Sen 1968)."""

    per_bucket: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class MannKendall:
    """Kendall's rank correlation with time, -1 to 1, and its two-sided p."""

    tau: float
    p: float


@dataclass(frozen=True)
class Trend:
    """``direction`` is None where it could not be told; ``reason`` then says why."""

    direction: Direction | None
    buckets: int
    """How many buckets have a value."""
    slope: Slope | None = None
    mann_kendall: MannKendall | None = None
    """None also where all values are equal: there is nothing to rank."""
    reason: str | None = None


def trend(values: Buckets, *, better: Literal["smaller", "larger"]) -> Trend:
    """Where a series is heading.

    It improves or degrades only if the interval of its slope excludes 0. Below eight buckets with
    a value the data are insufficient; without scipy the reason is ``needs_scipy``. Raises
    ValueError for values that are no finite numbers.
    """
    known = len(_points(values))
    if known < FEWEST_BUCKETS:
        return Trend(Direction.INSUFFICIENT_DATA, known, reason=INSUFFICIENT_DATA)
    try:
        slope, ranks = theil_sen(values), mann_kendall(values)
    except StatsUnavailable:
        return Trend(None, known, reason=NEEDS_SCIPY)
    assert slope is not None
    return Trend(_direction(slope, better), known, slope, ranks)


def theil_sen(values: Buckets) -> Slope | None:
    """The median of the slopes between any two buckets; None below two values.

    Raises ValueError as ``trend`` does, StatsUnavailable without scipy.
    """
    points = _points(values)
    if len(points) < 2:
        return None
    places, heights = zip(*points, strict=True)
    found = scipy_stats("a trend").theilslopes(heights, places, 0.95)
    return Slope(float(found.slope), (float(found.low_slope), float(found.high_slope)))


def mann_kendall(values: Buckets) -> MannKendall | None:
    """The Mann-Kendall test; exact for few values without ties, else by normal approximation.

    None where all values are equal. Raises as ``theil_sen`` does.
    """
    points = _points(values)
    if len({height for _, height in points}) < 2:
        return None
    places, heights = zip(*points, strict=True)
    found = scipy_stats("a trend").kendalltau(places, heights)
    return MannKendall(float(found.statistic), float(found.pvalue))


def _points(values: Buckets) -> list[tuple[int, float]]:
    # an empty bucket is left out, yet keeps its place: time went on
    points = [(place, value) for place, value in enumerate(values) if value is not None]
    require_finite([value for _, value in points])
    return points


def _direction(slope: Slope, better: Literal["smaller", "larger"]) -> Direction:
    low, high = slope.ci95
    if low <= 0 <= high:
        return Direction.STABLE
    return Direction.IMPROVING if (low > 0) == (better == "larger") else Direction.DEGRADING
