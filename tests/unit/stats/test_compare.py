"""Two groups: hand-countable cases, and what must hold when groups trade places."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pytest_dora.stats.compare import (
    Share,
    cliffs_delta,
    compare_shares,
    compare_values,
    fisher_exact,
    hodges_lehmann,
    holm,
    mann_whitney,
    newcombe,
)

assert scipy_stats  # imported before the clock of a property runs

groups = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=20)
shares = st.integers(1, 60).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_groups_that_do_not_overlap_differ_as_far_as_can_be() -> None:
    found = compare_values([1, 2, 3, 4, 5], [11, 12, 13, 14, 15])
    assert (found.samples, found.medians) == ((5, 5), (3, 13))
    assert (found.shift, found.cliffs_delta, found.reason) == (-10, -1, None)
    assert found.mann_whitney is not None
    # two of the 252 ways to draw five of ten are as far apart
    assert found.mann_whitney.u == 0
    assert found.mann_whitney.p == pytest.approx(2 / 252)


def test_equal_groups_do_not_differ() -> None:
    found = compare_values([4] * 6, [4] * 5)
    assert (found.shift, found.cliffs_delta) == (0, 0)
    assert found.mann_whitney is not None
    assert (found.mann_whitney.u, found.mann_whitney.p) == (15, 1)


def test_few_samples_are_not_compared() -> None:
    values = compare_values([1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert (values.samples, values.medians) == ((4, 5), (2.5, 7))
    assert (values.shift, values.cliffs_delta, values.mann_whitney) == (None, None, None)
    assert values.reason == "insufficient_data"
    few = compare_shares(Share(1, 4), Share(2, 20))
    assert (few.difference, few.ci95, few.fisher) == (None, None, None)
    assert few.reason == "insufficient_data"


def test_empty_groups_have_no_statistics() -> None:
    assert mann_whitney([], [1.0]) is None
    assert cliffs_delta([1.0], []) is None
    assert hodges_lehmann([], []) is None
    assert newcombe(Share(0, 0), Share(1, 2)) is None
    assert compare_values([], []).medians == (None, None)


def test_interval_and_test_may_disagree_and_both_are_told() -> None:
    found = compare_shares(Share(3, 20), Share(9, 20))
    assert found.difference == pytest.approx(-0.3)
    assert found.ci95 == pytest.approx((-0.5296962485585452, -0.015282314886274462))
    assert found.fisher is not None
    assert found.fisher.p == pytest.approx(0.08235877701951116)
    assert found.fisher.odds_ratio == pytest.approx(3 * 11 / (17 * 9))


@pytest.mark.parametrize(
    ("first", "second", "odds"),
    [
        (Share(5, 5), Share(0, 5), None),
        (Share(0, 5), Share(0, 5), None),
        (Share(0, 5), Share(2, 5), 0.0),
    ],
)
def test_odds_beyond_all_bounds_are_not_a_number(
    first: Share, second: Share, odds: float | None
) -> None:
    assert fisher_exact(first, second).odds_ratio == odds


@pytest.mark.parametrize(("successes", "total"), [(3, 2), (-1, 5)])
def test_what_is_no_share_is_refused(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        Share(successes, total)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        compare_values([1.0], [bad])


@given(groups, groups)
def test_the_rank_statistics_count_pairs(first: list[float], second: list[float]) -> None:
    pairs = list(itertools.product(first, second))
    larger, smaller = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    assert cliffs_delta(first, second) == pytest.approx((larger - smaller) / len(pairs))
    test = mann_whitney(first, second)
    assert test is not None
    assert test.u == larger + (len(pairs) - larger - smaller) / 2
    assert 0 < test.p <= 1


@given(groups, groups)
def test_groups_that_trade_places_turn_the_difference_around(
    first: list[float], second: list[float]
) -> None:
    forth, back = hodges_lehmann(first, second), hodges_lehmann(second, first)
    assert forth is not None
    assert back == -forth
    assert cliffs_delta(second, first) == pytest.approx(-(cliffs_delta(first, second) or 0))
    one, other = mann_whitney(first, second), mann_whitney(second, first)
    assert one is not None
    assert other is not None
    assert one.p == pytest.approx(other.p)


@given(groups, st.integers(-100, 100))
def test_a_shifted_group_is_found_shifted(values: list[float], shift: int) -> None:
    assert hodges_lehmann([value + shift for value in values], values) == shift


@given(shares, shares)
def test_an_interval_of_a_difference_holds_it_and_turns_with_it(
    first: Share, second: Share
) -> None:
    interval, turned = newcombe(first, second), newcombe(second, first)
    assert interval is not None
    assert turned is not None
    difference = first.successes / first.total - second.successes / second.total
    assert -1 - 1e-12 <= interval[0] <= difference <= interval[1] <= 1 + 1e-12
    assert interval == pytest.approx((-turned[1], -turned[0]))


@given(shares, shares)
def test_an_exact_test_sums_all_tables_that_are_as_unlikely(first: Share, second: Share) -> None:
    hits = first.successes + second.successes
    everything = math.comb(first.total + second.total, hits)
    ways = [
        math.comb(first.total, hit) * math.comb(second.total, hits - hit) for hit in range(hits + 1)
    ]
    seen = ways[first.successes]
    expected = sum(way for way in ways if way <= seen) / everything
    assert fisher_exact(first, second).p == pytest.approx(expected)


def test_several_tests_are_held_to_a_stricter_bar() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.04]) == (0.04,)
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


@given(probabilities, st.randoms(use_true_random=False))
def test_adjusting_keeps_the_order_and_never_flatters(ps: list[float], rng: Random) -> None:
    adjusted = holm(ps)
    assert all(p <= more <= 1 for p, more in zip(ps, adjusted, strict=True))
    ranked = sorted(zip(ps, adjusted, strict=True))
    assert [more for _, more in ranked] == sorted(adjusted)
    assert min(adjusted) == min(1.0, len(ps) * min(ps))
    places = list(range(len(ps)))
    rng.shuffle(places)
    assert holm([ps[place] for place in places]) == tuple(adjusted[place] for place in places)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        holm([0.5, bad])
