"""When alerts fired, from the samples that Prometheus wrote while they did.

Prometheus writes one sample of ``ALERTS`` at every evaluation that finds an alert firing, and a
mark of staleness at the first one that does not. The mark itself cannot be read, but its effect
can: from that moment on a query shows no such series. Where the samples stop and no mark stands,
nothing was evaluated (the server was down, or late), and nothing is known of an end.

Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_dora.model.base import Model

LOOKBACK = 300_000
"""How long Prometheus shows a series that was not marked: its default."""


class Run(Model):
    """An alert that fired from ``first`` on and was last seen firing at ``last``."""

    labels: dict[str, str]
    first: int
    last: int
    active: int | None = None
    """Since when its condition held (seconds since 1970), which identifies an occurrence too."""
    interval: int | None = None
    """The shortest time between two of its samples."""


@dataclass(frozen=True)
class Ended:
    """A run that is over; ``resolved`` is None when nobody saw its end."""

    run: Run
    resolved: int | None


@dataclass(frozen=True)
class Followed:
    """What a span of samples says of one alert: runs that began, that ended, that is still open."""

    began: tuple[Run, ...]
    ended: tuple[Ended, ...]
    open: Run | None


Marked = Callable[[Run, int], bool]
"""Whether the server had marked a run as ended by a moment."""


def follow(
    run: Run | None,
    labels: dict[str, str],
    samples: Iterable[tuple[int, int | None]],
    *,
    until: int,
    interval: int,
    marked: Marked,
) -> Followed:
    """Split the samples of one alert into what fired once.

    ``run`` is what still fired before them; each sample is its time and since when the condition
    held (seconds), if that is known. ``until`` is how far the samples are known, ``interval`` how
    often the alert is evaluated where its own samples do not tell.
    """
    began: list[Run] = []
    ended: list[Ended] = []
    for at, active in samples:
        if run is not None and at <= run.last:
            continue
        if run is not None and _continues(run, at, active, interval, marked):
            run = _longer(run, at, active)
            continue
        if run is not None:
            ended.append(_ended(run, at, interval, marked))
        run = Run(labels=labels, first=at, last=at, active=active)
        began.append(run)
    if run is not None:
        due = run.last + _patience(run, interval)
        if until > due and marked(run, due):
            ended.append(Ended(run, run.last + (run.interval or interval)))
            run = None
    return Followed(tuple(began), tuple(ended), run)


def _longer(run: Run, at: int, active: int | None) -> Run:
    between = at - run.last
    return Run(
        labels=run.labels,
        first=run.first,
        last=at,
        active=run.active if active is None else active,
        interval=min(between, run.interval or between),
    )


def _continues(run: Run, at: int, active: int | None, interval: int, marked: Marked) -> bool:
    known = run.active is not None and active is not None
    if known and run.active == active:
        return True
    if not known and at - run.last <= _patience(run, interval):
        return True
    return at - run.last <= LOOKBACK and not marked(run, _probe(run, at, interval))


def _ended(run: Run, following: int, interval: int, marked: Marked) -> Ended:
    if not marked(run, _probe(run, following, interval)):
        return Ended(run, None)
    return Ended(run, min(run.last + (run.interval or interval), following))


def _probe(run: Run, following: int, interval: int) -> int:
    """A moment at which the next evaluation has been, and the run after it has not begun."""
    return min(run.last + _patience(run, interval), following - 1)


def _patience(run: Run, interval: int) -> int:
    """One and a half evaluations: the next one has surely been, or is missing."""
    return (run.interval or interval) * 3 // 2
