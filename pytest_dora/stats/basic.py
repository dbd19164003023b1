"""Small statistics that say how little is known: intervals, quantiles, robust outliers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
OUTLIER = 3.5
"""Modified z-scores beyond this are outliers (Iglewicz and Hoaglin)."""
FEWEST_FOR_OUTLIERS = 5


@dataclass(frozen=True)
class Odd:
    """A value far from the others: its index, and its modified z-score if there is one."""

    index: int
    score: float | None


def require_finite(values: Sequence[float]) -> None:
    """Raises ValueError where a value is no finite number: it would spoil the others silently."""
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"not a finite number: {value}")


def wilson(successes: int, total: int) -> tuple[float, float] | None:
    """The 95 % Wilson interval of a share, between 0 and 1; None without samples."""
    if total <= 0:
        return None
    share, square = successes / total, Z95 * Z95
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = (Z95 / (1 + square / total)) * math.sqrt(
        share * (1 - share) / total + square / (4 * total * total)
    )
    low = 0.0 if successes == 0 else max(0.0, middle - reach)
    high = 1.0 if successes == total else min(1.0, middle + reach)
    return low, high


def percent(successes: int, total: int) -> float | None:
    """A share in percent; None without samples."""
    return 100 * successes / total if total else None


def wilson_percent(successes: int, total: int) -> tuple[float, float] | None:
    """``wilson`` in percent."""
    interval = wilson(successes, total)
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def quantile(values: Sequence[float], share: float) -> float | None:
    """The quantile by linear interpolation (Hyndman and Fan's type 7); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float | None:
    """The middle value, or the mean of the two middle ones; None without values."""
    return float(statistics.median(values)) if values else None


def median_ci95(values: Sequence[float]) -> tuple[float, float] | None:
    """A 95 % interval of the median from order statistics; None below six values."""
    ordered, n = sorted(values), len(values)
    best = 0
    # of the 2**n ways to lie below or above the median, those with fewer than ``rank`` below
    ways, tail, allowed = 1, 0, 2**n // 40
    for rank in range(1, n // 2 + 1):
        tail += ways
        if tail > allowed:
            break
        best = rank
        ways = ways * (n - rank + 1) // rank
    return (float(ordered[best - 1]), float(ordered[n - best])) if best else None


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def std_dev(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample (n - 1); None below two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Standard deviation by mean; None where the mean is not positive."""
    middle, deviation = mean(values), std_dev(values)
    if middle is None or deviation is None or middle <= 0:
        return None
    return deviation / middle


def mad(values: Sequence[float]) -> float | None:
    """The median absolute deviation, unscaled; None without values."""
    middle = median(values)
    return None if middle is None else median([abs(value - middle) for value in values])


def outliers(values: Sequence[float]) -> tuple[Odd, ...]:
    """Values with a modified z-score beyond 3.5.

    Where more than half of the values are equal the score is undefined: then those beyond 1.5
    interquartile ranges count. Fewer than five values have no outliers.
    """
    middle, deviation = median(values), mad(values)
    if len(values) < FEWEST_FOR_OUTLIERS or middle is None or deviation is None:
        return ()
    if deviation > 0:
        scores = [0.6745 * (value - middle) / deviation for value in values]
        return tuple(Odd(at, score) for at, score in enumerate(scores) if abs(score) > OUTLIER)
    low, high = quantile(values, 0.25) or 0.0, quantile(values, 0.75) or 0.0
    reach = 1.5 * (high - low)
    return tuple(
        Odd(at, None)
        for at, value in enumerate(values)
        if value < low - reach or value > high + reach
    )
