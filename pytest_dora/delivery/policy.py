"""Choices that a number depends on, and that are printed beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Window:
    """A span of time, its end not included. Both in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime | None) -> bool:
        return moment is not None and self.start <= moment < self.end

    @property
    def days(self) -> float:
        return max(0.0, (self.end - self.start).total_seconds() / 86400)

    def clipped(self, begin: datetime | None) -> Window:
        """The part of it in which an app existed."""
        return Window(min(max(self.start, begin or self.start), self.end), self.end)


def days_before(now: datetime, days: float) -> Window:
    return Window(now - timedelta(days=days), now)


@dataclass(frozen=True)
class Policy:
    """``attribution``: how long after a deployment an incident may be blamed on it when nobody
    says whose it is. ``observation``: how long a deployment must have served before the absence
    of trouble counts for it."""

    attribution: timedelta | None = timedelta(hours=24)
    observation: timedelta = timedelta(hours=24)
    environments: Mapping[str, str] = field(default_factory=dict)
    incidents_watched: bool = False
    """Whether incidents would be known if there were any: else no failure rate is told."""
    human_hours_per_app: float | None = None
    human_usd_per_hour: float | None = None
    benchmark: str = "2024"

    @property
    def least_observation(self) -> timedelta:
        """Nothing is sound while an incident could still be blamed on it."""
        return max(self.observation, self.attribution or timedelta())
