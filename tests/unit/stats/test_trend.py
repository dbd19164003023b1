"""A trend is told only where the slope's interval leaves no room for none."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pytest_dora.stats.trend import Direction, Trend, mann_kendall, theil_sen, trend

assert scipy_stats  # imported before the clock of a property runs

FALLING = [10, 9, 9.5, 8, 8.2, 7, 7.5, 6, 6.2, 5]
series = st.lists(st.integers(-50, 50).map(float), min_size=8, max_size=25)


@pytest.mark.parametrize(
    ("values", "better", "direction"),
    [
        (FALLING, "smaller", Direction.IMPROVING),
        (FALLING, "larger", Direction.DEGRADING),
        (FALLING[::-1], "smaller", Direction.DEGRADING),
        (FALLING[::-1], "larger", Direction.IMPROVING),
        ([5, 6, 5, 6, 5, 6, 5, 6], "larger", Direction.STABLE),
        ([3] * 8, "larger", Direction.STABLE),
        ([0, 0, 0, 0, 0, 0, 0, 9], "larger", Direction.STABLE),
    ],
)
def test_what_is_better_decides_what_a_slope_means(
    values: list[float], better: Literal["smaller", "larger"], direction: Direction
) -> None:
    assert trend(values, better=better).direction is direction


def test_a_trend_states_its_slope_and_its_test() -> None:
    found = trend(FALLING, better="smaller")
    assert found.slope is not None
    assert found.slope.per_bucket == pytest.approx(-0.5)
    assert found.slope.ci95 == pytest.approx((-0.65, -0.4))
    assert found.mann_kendall is not None
    assert found.mann_kendall.tau == pytest.approx(-37 / 45)
    assert (found.buckets, found.reason) == (10, None)


def test_below_eight_buckets_nothing_is_told() -> None:
    expected = Trend(Direction.INSUFFICIENT_DATA, buckets=7, reason="insufficient_data")
    assert trend([1, 2, 3, 4, 5, 6, 7], better="larger") == expected
    assert trend([1, 2, 3, None, 4, 5, 6, None, 7], better="larger") == expected
    assert trend([], better="larger").buckets == 0


def test_a_bucket_without_samples_keeps_its_place_in_time() -> None:
    gaps = [0.0, 1.0, None, None, 4.0, 5.0, 6.0, None, 8.0, 9.0, 10.0]
    found = trend(gaps, better="larger")
    assert found.slope is not None
    assert found.slope.per_bucket == 1.0
    assert found.slope.ci95 == (1.0, 1.0)


def test_equal_values_have_a_slope_but_no_ranks() -> None:
    found = trend([4.0] * 9, better="larger")
    assert found.slope is not None
    assert (found.slope.per_bucket, found.slope.ci95) == (0.0, (0.0, 0.0))
    assert found.mann_kendall is None


def test_fewer_than_two_values_have_no_slope() -> None:
    assert theil_sen([None, 3.0, None]) is None
    assert mann_kendall([3.0]) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        trend([1, 2, 3, 4, 5, 6, 7, bad], better="larger")


def test_the_exact_test_counts_orders() -> None:
    # of the 8! orders one rises throughout, one falls
    found = mann_kendall(range(8))
    assert found is not None
    assert found.p == pytest.approx(2 / math.factorial(8))


@given(series)
def test_the_slope_is_the_median_of_all_slopes(values: list[float]) -> None:
    found = theil_sen(values)
    pairs = itertools.combinations(enumerate(values), 2)
    slopes = [(later - before) / (end - start) for (start, before), (end, later) in pairs]
    assert found is not None
    assert found.per_bucket == pytest.approx(statistics.median(slopes))
    assert found.ci95[0] <= found.per_bucket <= found.ci95[1]


@given(series)
def test_time_reversed_turns_the_trend_around(values: list[float]) -> None:
    forth, back = trend(values, better="larger"), trend(values[::-1], better="smaller")
    assert forth.slope is not None
    assert back.slope is not None
    assert forth.slope.per_bucket == pytest.approx(-back.slope.per_bucket)
    assert forth.direction == back.direction


@given(series, st.integers(-1000, 1000))
def test_a_shift_of_all_values_changes_nothing(values: list[float], shift: int) -> None:
    moved = trend([value + shift for value in values], better="larger")
    assert moved == trend(values, better="larger")


@given(series)
def test_a_direction_is_told_exactly_where_the_interval_excludes_0(values: list[float]) -> None:
    found = trend(values, better="larger")
    assert found.slope is not None
    low, high = found.slope.ci95
    if low > 0:
        assert found.direction is Direction.IMPROVING
    elif high < 0:
        assert found.direction is Direction.DEGRADING
    else:
        assert found.direction is Direction.STABLE
