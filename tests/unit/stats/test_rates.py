"""Exact intervals hold what they promise; their defining equations are the oracle."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

# imported before the clock of a property runs
from scipy import stats as scipy_stats

from pytest_dora.stats.basic import wilson
from pytest_dora.stats.rates import clopper_pearson, poisson_per_week, zero_failures_needed

shares = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
windows = st.floats(0.5, 400)


def test_nothing_in_a_week_still_allows_almost_four() -> None:
    rate = poisson_per_week(0, 7)
    assert rate is not None
    # the upper end of the interval of none is -ln(0.025)
    assert rate.per_week == 0
    assert rate.ci95 == pytest.approx((0, -math.log(0.025)))


def test_a_rate_is_per_seven_days() -> None:
    rate = poisson_per_week(10, 30)
    assert rate is not None
    assert (rate.count, rate.days) == (10, 30)
    assert rate.per_week == pytest.approx(7 / 3)
    assert rate.ci95 == pytest.approx((1.118924029097568, 4.291083076470815))


def test_an_empty_window_has_no_rate() -> None:
    assert poisson_per_week(0, 0) is None


@pytest.mark.parametrize(("count", "days"), [(-1, 7), (1, -7), (1, math.nan), (1, math.inf)])
def test_impossible_counts_and_windows_are_refused(count: int, days: float) -> None:
    with pytest.raises(ValueError, match="no rate of"):
        poisson_per_week(count, days)


@given(st.integers(0, 2000), windows)
def test_the_ends_of_a_rate_leave_a_fortieth_on_each_side(count: int, days: float) -> None:
    rate = poisson_per_week(count, days)
    assert rate is not None
    low, high = rate.ci95
    assert 0 <= low <= rate.per_week <= high
    weeks = days / 7
    assert scipy_stats.poisson.cdf(count, high * weeks) == pytest.approx(0.025)
    if count:
        assert scipy_stats.poisson.sf(count - 1, low * weeks) == pytest.approx(0.025)


@given(st.integers(0, 500), windows)
def test_one_more_event_moves_the_whole_interval_up(count: int, days: float) -> None:
    fewer, more = poisson_per_week(count, days), poisson_per_week(count + 1, days)
    assert fewer is not None
    assert more is not None
    assert fewer.ci95[0] < more.ci95[0]
    assert fewer.ci95[1] < more.ci95[1]


@given(st.integers(0, 500), windows)
def test_the_same_rate_seen_for_longer_is_known_better(count: int, days: float) -> None:
    short, long = poisson_per_week(count, days), poisson_per_week(2 * count, 2 * days)
    assert short is not None
    assert long is not None
    assert long.ci95[1] - long.ci95[0] < short.ci95[1] - short.ci95[0]


@pytest.mark.parametrize(
    ("successes", "total", "interval"),
    [
        (0, 1, (0.0, 0.975)),
        (1, 1, (0.025, 1.0)),
        (3, 20, (0.0320709371854637, 0.37892682654531396)),
        (0, 59, (0.0, 0.06060890095033985)),
    ],
)
def test_clopper_pearson_intervals_are_those_of_the_books(
    successes: int, total: int, interval: tuple[float, float]
) -> None:
    assert clopper_pearson(successes, total) == pytest.approx(interval)


@given(shares)
def test_the_ends_of_a_share_leave_a_fortieth_on_each_side(share: tuple[int, int]) -> None:
    successes, total = share
    interval = clopper_pearson(successes, total)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= successes / total <= high <= 1
    if successes < total:
        assert scipy_stats.binom.cdf(successes, total, high) == pytest.approx(0.025)
    if successes:
        assert scipy_stats.binom.sf(successes - 1, total, low) == pytest.approx(0.025)


@given(shares)
def test_failures_mirror_successes(share: tuple[int, int]) -> None:
    successes, total = share
    one, other = clopper_pearson(successes, total), clopper_pearson(total - successes, total)
    assert one is not None
    assert other is not None
    assert one == pytest.approx((1 - other[1], 1 - other[0]), abs=1e-12)


@given(st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n))))
def test_an_exact_interval_is_wider_than_wilsons(share: tuple[int, int]) -> None:
    exact, score = clopper_pearson(*share), wilson(*share)
    assert exact is not None
    assert score is not None
    assert exact[1] - exact[0] > score[1] - score[0]


def test_no_samples_have_no_share() -> None:
    assert clopper_pearson(0, 0) is None


@pytest.mark.parametrize(("successes", "total"), [(3, 2), (-1, 5), (0, -1)])
def test_what_is_no_share_is_refused(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        clopper_pearson(successes, total)


@pytest.mark.parametrize(
    ("limit", "needed"), [(0.05, 59), (0.1, 29), (0.15, 19), (0.5, 5), (0.95, 1), (0.999, 1)]
)
def test_a_lower_limit_needs_more_samples(limit: float, needed: int) -> None:
    assert zero_failures_needed(limit) == needed


def test_rounding_asks_for_no_sample_more() -> None:
    # 0.7 ** 2 is 0.49, though the quotient of their logarithms is a little more than 2
    assert zero_failures_needed(0.3, confidence=0.51) == 2


@given(st.floats(0.001, 0.94), st.floats(0.5, 0.999))
def test_no_fewer_samples_would_do(limit: float, confidence: float) -> None:
    needed = zero_failures_needed(limit, confidence)
    allowed = 1 - confidence
    assert (1 - limit) ** needed <= allowed * (1 + 1e-6)
    assert needed == 1 or (1 - limit) ** (needed - 1) > allowed * (1 - 1e-6)


@pytest.mark.parametrize(
    ("limit", "confidence"), [(0.0, 0.95), (1.0, 0.95), (math.nan, 0.95), (0.1, 0.0), (0.1, 1.0)]
)
def test_a_limit_lies_between_nothing_and_everything(limit: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        zero_failures_needed(limit, confidence)
