"""Samples of alerts split into what fired once, whatever is missing and wherever they are cut."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.occurrences import LOOKBACK, Run, follow

MINUTE = 60_000
LABELS = {"alertname": "Slow"}


@dataclass(frozen=True)
class History:
    """What a server stored of one alert, and what it shows of that."""

    samples: tuple[tuple[int, int | None], ...]
    marks: tuple[int, ...]

    def marked(self, _: Run, moment: int) -> bool:
        last = max((at for at, _ in self.samples if at <= moment), default=None)
        return (
            last is None
            or moment - last > LOOKBACK
            or any(last < mark <= moment for mark in self.marks)
        )

    def read(self, *cuts: int) -> list[tuple[int, int | None]]:
        """Start and end of every occurrence, read in spans that end at ``cuts``."""
        run: Run | None = None
        began: list[int] = []
        resolved: dict[int, int | None] = {}
        for start, until in pairwise((0, *cuts)):
            span = [one for one in self.samples if start <= one[0] < until]
            found = follow(run, LABELS, span, until=until, interval=MINUTE, marked=self.marked)
            began += [one.first for one in found.began]
            resolved |= {one.run.first: one.resolved for one in found.ended}
            run = found.open
            if run is not None:
                assert resolved.get(run.first) is None
                run = Run.model_validate_json(run.model_dump_json())
        assert len(began) == len(set(began))
        return [(first, resolved.get(first)) for first in began]


def history(*spans: tuple[int, int], known: bool = True, lost: tuple[int, ...] = ()) -> History:
    """Of (first, one after last) evaluation of each occurrence; an end of -1 is never marked."""
    samples = tuple(
        (at * MINUTE, first * 60 - 30 if known else None)
        for first, end in spans
        for at in range(first, end)
        if at not in lost
    )
    return History(samples, tuple(end * MINUTE for _, end in spans))


@given(
    parts=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=6),
    cuts=st.sets(st.integers(0, 160 * MINUTE), max_size=12),
    known=st.booleans(),
    data=st.data(),
)
def test_what_fired_is_found_wherever_the_samples_are_cut(
    parts: list[tuple[int, int]], cuts: set[int], known: bool, data: st.DataObject
) -> None:
    spans, at = [], 0
    for quiet, firing in parts:
        spans.append((at + quiet, at + quiet + firing))
        at += quiet + firing
    # an evaluation that was missed in between ends nothing
    inner = [at for first, end in spans if end - first > 4 for at in range(first + 3, end - 1, 2)]
    lost = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    made = history(*spans, known=known, lost=tuple(lost))
    found = made.read(*sorted(cuts), 200 * MINUTE)
    assert found == [(first * MINUTE, end * MINUTE) for first, end in spans]


def test_an_alert_that_still_fires_has_no_end() -> None:
    assert history((3, 9)).read(9 * MINUTE) == [(3 * MINUTE, None)]
    # the next evaluation is due, and may be late
    assert history((3, 9)).read(9 * MINUTE + MINUTE // 3) == [(3 * MINUTE, None)]
    assert history((3, 9)).read(10 * MINUTE) == [(3 * MINUTE, 9 * MINUTE)]


@pytest.mark.parametrize("known", [True, False])
def test_an_end_that_nobody_saw_is_not_known(known: bool) -> None:
    down = History(history((3, 9), known=known).samples, ())
    assert down.read(12 * MINUTE, 500 * MINUTE) == [(3 * MINUTE, None)]
    # what fires much later is another occurrence
    later = history((3, 9), (100, 102), known=known)
    both = History(later.samples, later.marks[1:])
    assert both.read(50 * MINUTE, 200 * MINUTE) == [
        (3 * MINUTE, None), (100 * MINUTE, 102 * MINUTE)
    ]  # fmt: skip


def test_a_restarted_server_goes_on_with_the_alert_it_remembers() -> None:
    whole = history((3, 40), lost=tuple(range(10, 30)))
    assert whole.read(20 * MINUTE, 60 * MINUTE) == [(3 * MINUTE, 40 * MINUTE)]


def test_a_server_that_forgot_since_when_goes_on_too_if_it_was_away_shortly() -> None:
    first, second = history((3, 6)), history((9, 12))
    joined = History((*first.samples, *second.samples), second.marks)
    assert joined.read(8 * MINUTE, 60 * MINUTE) == [(3 * MINUTE, 12 * MINUTE)]


def test_an_alert_evaluated_more_seldom_than_said_is_one() -> None:
    samples = tuple((at * 4 * MINUTE, None) for at in range(1, 6))
    seldom = History(samples, (24 * MINUTE,))
    assert seldom.read(60 * MINUTE) == [(4 * MINUTE, 24 * MINUTE)]


def test_a_sample_at_the_border_of_two_spans_counts_once() -> None:
    run = Run(labels=LABELS, first=0, last=MINUTE)
    found = follow(
        run, LABELS, [(MINUTE, None)], until=MINUTE, interval=MINUTE, marked=lambda *_: False
    )
    assert (found.began, found.ended, found.open) == ((), (), run)
