"""How long things last when some of them have not ended yet (Kaplan and Meier, 1958).

Leaving open incidents out makes recovery look faster than it is: only the short ones have ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from pytest_dora.stats.basic import Z95, require_finite

FEWEST_FOR_INTERVAL = 6
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Step:
    """The share that lasts longer than ``time``, and what happened at that time."""

    time: float
    survival: float
    at_risk: int
    """How many had lasted until just before ``time``."""
    ended: int
    censored: int
    ci95: tuple[float, float] | None = None
    """Of ``survival``: Greenwood's variance on the log-log scale; None where it is 0 or 1."""


@dataclass(frozen=True)
class Survival:
    """A curve with a step at 0 and at each distinct duration; times have the durations' unit."""

    ended: int
    censored: int
    median: float | None
    """The first time at which at most half are left; None where more than half always are."""
    median_ci95: tuple[float, float | None] | None
    """Brookmeyer and Crowley's. Its upper end is None where the data leave it open; all of it is
    None below six ends, where it would promise too much, and where the curve never says."""
    curve: tuple[Step, ...]

    @property
    def total(self) -> int:
        return self.ended + self.censored

    def at(self, time: float) -> float | None:
        """The share that lasts longer than ``time``; None beyond the last duration and before 0."""
        if not self.curve or not 0 <= time <= self.curve[-1].time:
            return None
        return next(step.survival for step in reversed(self.curve) if step.time <= time)


def kaplan_meier(durations: Sequence[float], observed: Sequence[bool]) -> Survival:
    """The survival of durations of which some are censored, that is still going on.

    ``observed`` says for each duration whether its end was seen. What is censored at the very time
    at which another ends counts as at risk then. Raises ValueError for lists of unequal length and
    for durations that are negative or no finite number.
    """
    require_finite(durations)
    if any(duration < 0 for duration in durations):
        raise ValueError(f"a duration is negative: {min(durations)}")
    samples = sorted(zip(durations, observed, strict=True), key=itemgetter(0))
    at_risk, survival, variance = len(samples), 1.0, 0.0
    curve = [Step(0.0, 1.0, at_risk, 0, 0)] if samples and samples[0][0] > 0 else []
    for time, together in groupby(samples, key=itemgetter(0)):
        flags = [seen for _, seen in together]
        ended = sum(map(bool, flags))
        left = at_risk - ended
        survival *= left / at_risk
        variance += ended / (at_risk * left) if left else math.inf
        interval = _interval(survival, variance)
        curve.append(Step(float(time), survival, at_risk, ended, len(flags) - ended, interval))
        at_risk -= len(flags)
    ended = sum(step.ended for step in curve)
    middle = _first_half([(step.time, step.survival) for step in curve])
    reach = _median_interval(curve) if ended >= FEWEST_FOR_INTERVAL else None
    return Survival(ended, len(samples) - ended, middle, reach, tuple(curve))


def _interval(survival: float, variance: float) -> tuple[float, float] | None:
    if not 0 < survival < 1:
        return None
    spread = math.exp(Z95 * math.sqrt(variance) / -math.log(survival))
    return survival**spread, survival ** (1 / spread)


def _median_interval(curve: Sequence[Step]) -> tuple[float, float | None] | None:
    bounds = [(step.time, step.ci95) for step in curve if step.ci95 is not None]
    low = _first_half([(time, interval[0]) for time, interval in bounds])
    high = _first_half([(time, interval[1]) for time, interval in bounds])
    return None if low is None else (low, high)


def _first_half(shares: Sequence[tuple[float, float]]) -> float | None:
    # products of fractions miss an exact half by some rounding
    half = 0.5 + _ROUNDING
    return next((time for time, share in shares if share <= half), None)
