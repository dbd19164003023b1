"""Recovery with open incidents: small cases by hand, and another implementation for the rest."""

from __future__ import annotations

import math
import statistics
from contextlib import nullcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pytest_dora.stats.survival import Step, kaplan_meier

samples = st.lists(st.tuples(st.integers(1, 30).map(float), st.booleans()), min_size=1, max_size=40)


def curve_of(data: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [duration for duration, _ in data], [seen for _, seen in data]


def test_open_incidents_count_as_lasting_at_least_until_now() -> None:
    found = kaplan_meier([10, 20, 30, 40], [True, False, True, False])
    shares = [(step.time, step.survival, step.at_risk) for step in found.curve]
    assert shares == [(0, 1.0, 4), (10, 0.75, 4), (20, 0.75, 3), (30, 0.375, 2), (40, 0.375, 1)]
    assert (found.total, found.ended, found.censored) == (4, 2, 2)
    assert found.median == 30
    assert statistics.median([10, 30]) == 20, "what those that ended suggest"


def test_a_median_is_unknown_while_most_are_open() -> None:
    assert kaplan_meier([5, 8, 90, 90, 90], [True, True, False, False, False]).median is None
    assert kaplan_meier([5, 8], [False, False]).median is None


def test_the_median_is_reached_where_exactly_half_are_left() -> None:
    assert kaplan_meier([1, 2, 3, 4], [True] * 4).median == 2
    # the product 23/24 · 22/23 · … · 12/13 is a half, in floating point a little more
    found = kaplan_meier(range(1, 25), [True] * 24)
    assert found.curve[12].survival > 0.5
    assert found.median == 12


def test_what_is_censored_as_another_ends_was_at_risk() -> None:
    found = kaplan_meier([5, 5], [True, False])
    assert found.curve[-1] == Step(
        5, 0.5, at_risk=2, ended=1, censored=1, ci95=found.curve[-1].ci95
    )


def test_what_ends_at_once_is_seen_at_time_0() -> None:
    found = kaplan_meier([0, 3], [True, True])
    assert [(step.time, step.survival) for step in found.curve] == [(0, 0.5), (3, 0.0)]


def test_nothing_has_no_curve() -> None:
    found = kaplan_meier([], [])
    assert (found.total, found.median, found.median_ci95, found.curve) == (0, None, None, ())
    assert found.at(0) is None


def test_the_curve_can_be_asked_at_any_time_it_covers() -> None:
    found = kaplan_meier([5, 10], [True, False])
    asked = [found.at(time) for time in (-1, 0, 4.9, 5, 10, 10.1)]
    assert asked == [None, 1.0, 1.0, 0.5, 0.5, None]


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_impossible_durations_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"negative|not a finite number"):
        kaplan_meier([1.0, bad], [True, True])


def test_each_duration_says_whether_its_end_was_seen() -> None:
    with pytest.raises(ValueError, match="shorter"):
        kaplan_meier([1.0, 2.0], [True])


@given(samples)
def test_the_curve_and_its_bounds_are_those_of_scipy(data: list[tuple[float, bool]]) -> None:
    found = kaplan_meier(*curve_of(data))
    other = scipy_stats.ecdf(
        scipy_stats.CensoredData(
            uncensored=[duration for duration, seen in data if seen],
            right=[duration for duration, seen in data if not seen],
        )
    ).sf
    steps = [step for step in found.curve if step.time > 0]
    assert [step.time for step in steps] == list(other.quantiles)
    assert [step.survival for step in steps] == pytest.approx(list(other.probabilities), abs=1e-12)
    inner = [at for at, step in enumerate(steps) if 0 < step.survival < 1]
    assert all((steps[at].ci95 is None) == (at not in inner) for at in range(len(steps)))
    if inner:
        with pytest.warns(RuntimeWarning) if len(inner) < len(steps) else nullcontext():
            bounds = other.confidence_interval(method="log-log")
        for at in inner:
            expected = (bounds.low.probabilities[at], bounds.high.probabilities[at])
            assert steps[at].ci95 == pytest.approx(expected, rel=1e-9)


@given(samples, st.randoms(use_true_random=False))
def test_order_does_not_matter(data: list[tuple[float, bool]], rng: Random) -> None:
    shuffled = list(data)
    rng.shuffle(shuffled)
    assert kaplan_meier(*curve_of(shuffled)) == kaplan_meier(*curve_of(data))


@given(samples)
def test_survival_only_falls_and_everything_is_counted(data: list[tuple[float, bool]]) -> None:
    found = kaplan_meier(*curve_of(data))
    shares = [step.survival for step in found.curve]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares)
    assert found.total == len(data)
    assert found.ended == sum(seen for _, seen in data)
    assert sum(step.ended + step.censored for step in found.curve) == len(data)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_without_open_ends_the_median_is_the_lower_middle_value(durations: list[float]) -> None:
    found = kaplan_meier(durations, [True] * len(durations))
    assert found.median == statistics.median_low(durations)
    assert found.curve[-1].survival == 0


@given(samples)
def test_leaving_out_the_open_ones_never_looks_slower(data: list[tuple[float, bool]]) -> None:
    ended = [duration for duration, seen in data if seen]
    found = kaplan_meier(*curve_of(data))
    if ended and found.median is not None:
        assert statistics.median_low(ended) <= found.median


def test_the_interval_of_a_median_may_be_open_above() -> None:
    found = kaplan_meier([1, 2, 3, 4, 5, 6], [True] * 6)
    assert (found.median, found.median_ci95) == (3, (1, None))
    found = kaplan_meier(range(1, 31), [True] * 30)
    assert (found.median, found.median_ci95) == (15, (10, 21))


def test_the_interval_of_a_median_needs_six_ends() -> None:
    assert kaplan_meier([1, 2, 3, 4, 5, 6, 7], [True] * 5 + [False] * 2).median_ci95 is None


@given(samples)
def test_the_interval_of_a_median_holds_it(data: list[tuple[float, bool]]) -> None:
    found = kaplan_meier(*curve_of(data))
    if found.median_ci95 is not None and found.median is not None:
        low, high = found.median_ci95
        assert low <= found.median
        assert high is None or found.median <= high
