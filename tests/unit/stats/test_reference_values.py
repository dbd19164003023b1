"""Every value that other statistics packages gave for the same data, where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.stats import basic, compare, rates, survival, trend
from tests import vectors

CLOSE = 1e-9


def same(expected: Any) -> Any:
    return pytest.approx(expected, rel=CLOSE, abs=1e-12)


def shares(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        k, n = case["k"], case["n"]
        assert k / n == same(case["point"])
        assert basic.percent(k, n) == same(100 * case["point"])
        assert basic.wilson(k, n) == same(tuple(case["wilson"]))
        assert rates.clopper_pearson(k, n) == same(tuple(case["clopper_pearson"]))


def samples_needed(case: dict[str, int]) -> None:
    assert {limit: rates.zero_failures_needed(float(limit)) for limit in case} == case


def weekly_rates(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        rate = rates.poisson_per_week(case["count"], case["days"])
        assert rate is not None
        assert rate.per_week == same(case["per_week"])
        assert rate.ci95 == same((case["lo"], case["hi"]))


def medians(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        values, interval = case["x"], case["ci"]
        assert basic.median(values) == case["median"]
        if interval is None:
            assert basic.median_ci95(values) is None
        else:
            assert basic.median_ci95(values) == (interval["lo"], interval["hi"])
            assert interval["lo"] == sorted(values)[interval["r"] - 1]
            assert interval["coverage"] >= 0.95


def quantiles(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        found = [basic.quantile(case["x"], share) for share in (0.5, 0.9, 0.95)]
        assert found == same([case["p50"], case["p90"], case["p95"]])
        lasting = survival.kaplan_meier(case["x"], [True] * len(case["x"]))
        assert lasting.median == case["nearest_lower_median"]


def recovery(case: dict[str, Any]) -> None:
    durations, resolved = case["durations_min"], case["resolved"]
    ended = [time for time, seen in zip(durations, resolved, strict=True) if seen]
    found = survival.kaplan_meier(durations, list(map(bool, resolved)))
    assert basic.median(ended) == case.get("naive_median_resolved_only", case.get("naive"))
    assert found.median == case["km_median"]
    if "survival" in case:
        curve = {step.time: step.survival for step in found.curve}
        assert curve == same({float(time): share for time, share in case["survival"].items()})


def lead_times(case: dict[str, Any]) -> None:
    found = compare.compare_values(case["ai"], case["human"])
    assert found.medians == (case["median_ai"], case["median_human"])
    assert found.shift == case["hodges_lehmann"]
    assert found.cliffs_delta == case["cliffs_delta"]
    assert found.mann_whitney is not None
    assert found.mann_whitney.u == case["mannwhitney_U"]
    assert found.mann_whitney.p == same(case["p"])


def failure_rates(case: dict[str, Any]) -> None:
    ai, human = (compare.Share(case[arm]["k"], case[arm]["n"]) for arm in ("ai", "human"))
    found = compare.compare_shares(ai, human)
    assert found.difference == same(case["diff"])
    assert found.ci95 == same(tuple(case["newcombe_95"]))
    assert found.fisher is not None
    assert found.fisher.p == same(case["fisher_p"])
    assert found.fisher.odds_ratio == same(case["odds_ratio"])


def odd_ones(case: dict[str, Any]) -> None:
    values, scores = case["x"], case["modified_z"]
    assert basic.median(values) == same(case["median"])
    assert basic.mad(values) == same(case["mad"])
    assert basic.std_dev(values) == same(case["std_dev_ddof1"])
    assert basic.coefficient_of_variation(values) == same(case["cv"])
    expected = [basic.Odd(at, same(scores[at])) for at in case["outliers_at_3_5"]]
    assert list(basic.outliers(values)) == expected
    beyond = [at for at, score in enumerate(scores) if abs(score) > basic.OUTLIER]
    assert beyond == case["outliers_at_3_5"]


def falling_series(case: dict[str, Any]) -> None:
    found = trend.trend(case["y"], better="smaller")
    assert found.direction is trend.Direction.IMPROVING
    assert found.slope is not None
    assert found.slope.per_bucket == same(case["slope"])
    assert found.slope.ci95 == same((case["slope_lo"], case["slope_hi"]))
    assert found.mann_kendall is not None
    assert found.mann_kendall.tau == same(case["kendall_tau"])
    assert found.mann_kendall.p == same(case["p"])


def several_tests(case: dict[str, list[float]]) -> None:
    assert compare.holm(case["p"]) == same(tuple(case["adjusted"]))


AGREES: dict[str, Callable[[Any], None]] = {
    "wilson_and_clopper_pearson_95": shares,
    "n_needed_zero_failures_to_claim_cfr_le": samples_needed,
    "poisson_exact_rate_95": weekly_rates,
    "median_order_statistic_ci_95": medians,
    "quantiles_hyndman_fan7": quantiles,
    "kaplan_meier_mttr_with_open_incidents": recovery,
    "kaplan_meier_undefined": recovery,
    "ai_vs_human_lead_time": lead_times,
    "ai_vs_human_cfr": failure_rates,
    "modified_z_outliers": odd_ones,
    "trend_theil_sen_mann_kendall": falling_series,
    "holm": several_tests,
}


@pytest.mark.parametrize("section", AGREES)
def test_our_values_are_those_of_other_packages(section: str) -> None:
    AGREES[section](vectors.values("15_statistics", "reference_values.json")[section])


def test_no_reference_value_is_left_out() -> None:
    assert set(vectors.values("15_statistics", "reference_values.json")) == set(AGREES)
