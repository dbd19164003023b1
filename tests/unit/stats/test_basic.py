"""Reference values from statistics packages, and what must hold for any numbers."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_dora.stats import basic as stats

values = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (0, 1, 0.0, 0.7934506856227627),
        (1, 1, 0.2065493143772374, 1.0),
        (0, 10, 0.0, 0.27753279986288926),
        (1, 10, 0.017876213095072924, 0.40415002679523854),
        (3, 20, 0.052368745896216595, 0.36041886474075696),
        (0, 59, 0.0, 0.06112937052678842),
        (6, 23, 0.1254861604498634, 0.4647000483742537),
    ],
)
def test_wilson_intervals_are_those_of_the_books(
    successes: int, total: int, low: float, high: float
) -> None:
    assert stats.wilson(successes, total) == pytest.approx((low, high))


def test_no_samples_have_no_statistics() -> None:
    assert stats.wilson(0, 0) is None
    assert stats.percent(0, 0) is None
    assert stats.median([]) is None
    assert stats.quantile([], 0.5) is None
    assert stats.mean([]) is None
    assert stats.std_dev([1.0]) is None
    assert stats.mad([]) is None
    assert stats.outliers([]) == ()


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_wilson_interval_holds_its_share(pair: tuple[int, int]) -> None:
    interval = stats.wilson(*pair)
    assert interval is not None
    assert 0 <= interval[0] <= pair[0] / pair[1] <= interval[1] <= 1


@pytest.mark.parametrize(
    ("data", "p50", "p90", "p95"),
    [
        ([1, 2], 1.5, 1.9, 1.95),
        ([1, 2, 3, 4], 2.5, 3.7, 3.85),
        ([15, 15, 45], 15.0, 39.0, 42.0),
        ([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], 55.0, 91.0, 95.5),
    ],
)
def test_quantiles_interpolate(data: list[float], p50: float, p90: float, p95: float) -> None:
    found = [stats.quantile(data, share) for share in (0.5, 0.9, 0.95)]
    assert found == pytest.approx([p50, p90, p95])


@given(values, st.floats(0, 1))
def test_a_quantile_lies_within_the_values(data: list[float], share: float) -> None:
    found = stats.quantile(data, share)
    assert found is not None
    assert min(data) <= found <= max(data) or found == pytest.approx(min(data))


@given(values)
def test_the_middle_quantile_is_the_median(data: list[float]) -> None:
    assert stats.quantile(data, 0.5) == pytest.approx(statistics.median(data))


@pytest.mark.parametrize(
    ("data", "interval"),
    [
        ([5], None),
        ([1, 2, 3, 4, 5], None),
        ([1, 2, 3, 4, 5, 6], (1, 6)),
        ([420, 420, 420, 420, 420, 420, 420, 900], (420, 900)),
        ([403, 543, 306, 165, 256, 149, 428, 1541, 246, 216, 658, 576, 448, 159, 391], (216, 543)),
    ],
)
def test_the_interval_of_a_median_needs_six_values(
    data: list[float], interval: tuple[float, float] | None
) -> None:
    assert stats.median_ci95(data) == interval


@given(st.integers(6, 300))
def test_the_interval_of_a_median_is_the_narrowest_that_covers_enough(count: int) -> None:
    interval = stats.median_ci95(range(count))
    assert interval is not None
    below = int(interval[0])
    assert interval[1] == count - 1 - below
    assert 1 - 2 * binom.cdf(below, count, 0.5) >= 0.95
    assert 1 - 2 * binom.cdf(below + 1, count, 0.5) < 0.95


def test_the_interval_of_a_median_of_many_values_is_still_found() -> None:
    below = binom.ppf(0.025, 20_000, 0.5) - 1
    assert stats.median_ci95(range(20_000)) == (below, 19_999 - below)


def test_what_is_no_finite_number_is_refused() -> None:
    stats.require_finite([1, 2.5, -3])
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not a finite number"):
            stats.require_finite([1.0, bad])


def test_outliers_are_found_by_the_modified_z_score() -> None:
    data = [12.0, 13.5, 11.9, 12.7, 13.1, 40.2, 12.2, 12.9]
    (odd,) = stats.outliers(data)
    assert odd.index == 5
    assert odd.score == pytest.approx(28.432769230769217)
    assert stats.std_dev(data) == pytest.approx(9.768891953543147)
    assert stats.coefficient_of_variation(data) == pytest.approx(0.6081800438003515)
    assert stats.mad(data) == pytest.approx(0.65)


def test_where_most_values_are_equal_the_quartiles_decide() -> None:
    assert [odd.index for odd in stats.outliers([5, 5, 5, 5, 5, 90])] == [5]
    assert stats.outliers([5, 5, 5, 5, 5, 5]) == ()


def test_few_values_have_no_outliers() -> None:
    assert stats.outliers([1, 1, 1, 1000]) == ()


def test_variation_is_undefined_where_the_mean_is_not_positive() -> None:
    assert stats.coefficient_of_variation([0.0, 0.0]) is None
    assert stats.coefficient_of_variation([-2.0, -1.0]) is None
