"""Complete ISO weeks of a window, in UTC: the part of a week at its ends counts in no trend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal, TypeVar

from pytest_dora.delivery.policy import Window
from pytest_dora.model.dora import Trend
from pytest_dora.stats.trend import trend

_T = TypeVar("_T")
WEEK = timedelta(days=7)


def complete_weeks(window: Window) -> list[Window]:
    """Weeks from Monday to Monday that lie wholly in the window, oldest first."""
    day = datetime.combine(window.start.astimezone(UTC).date(), time(), UTC)
    start = day - timedelta(days=day.weekday())
    if start < window.start:
        start += WEEK
    found = []
    while start + WEEK <= window.end:
        found.append(Window(start, start + WEEK))
        start += WEEK
    return found


def by_week(
    items: Iterable[_T], at: Callable[[_T], datetime | None], weeks: Sequence[Window]
) -> list[list[_T]]:
    """The items of each week; what lies in none is left out."""
    found: list[list[_T]] = [[] for _ in weeks]
    for item in items:
        moment = at(item)
        if moment is not None and weeks and weeks[0].start <= moment < weeks[-1].end:
            found[(moment - weeks[0].start) // WEEK].append(item)
    return found


def weekly_trend(values: Sequence[float | None], better: Literal["smaller", "larger"]) -> Trend:
    """Where one value per complete week is heading; None is a week without samples."""
    found = trend(values, better=better)
    return Trend(
        direction=None if found.direction is None else found.direction.value,
        weeks=found.buckets,
        slope_per_week=found.slope.per_bucket if found.slope else None,
        slope_ci95=found.slope.ci95 if found.slope else None,
        mann_kendall_p=found.mann_kendall.p if found.mann_kendall else None,
        reason=found.reason,
    )
