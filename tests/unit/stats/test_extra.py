"""Without scipy nothing is guessed: the extra is named, and what needs no scipy still works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from pytest_dora.stats import compare, extra, rates, trend
from pytest_dora.stats.compare import Share

LOW, HIGH = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]
SERIES = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]


@pytest.fixture
def no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)


@pytest.mark.parametrize(
    ("ask", "purpose"),
    [
        (lambda: rates.poisson_per_week(5, 7), "interval of a rate"),
        (lambda: rates.clopper_pearson(1, 10), "interval of a share"),
        (lambda: trend.theil_sen(SERIES), "trend"),
        (lambda: trend.mann_kendall(SERIES), "trend"),
        (lambda: compare.mann_whitney(LOW, HIGH), "rank test"),
        (lambda: compare.fisher_exact(Share(1, 10), Share(2, 10)), "exact test"),
    ],
)
def test_what_needs_scipy_names_the_extra(
    no_scipy: None, ask: Callable[[], object], purpose: str
) -> None:
    with pytest.raises(extra.StatsUnavailable, match=r"pytest-dora\[stats\]") as caught:
        ask()
    assert purpose in str(caught.value)
    assert caught.value.way_out == "pip install 'pytest-dora[stats]'"


def test_a_trend_says_that_it_could_not_be_told(no_scipy: None) -> None:
    found = trend.trend(SERIES, better="smaller")
    assert found == trend.Trend(None, buckets=8, reason="needs_scipy")


def test_too_few_buckets_are_too_few_with_or_without_scipy(no_scipy: None) -> None:
    assert trend.trend(SERIES[:7], better="smaller").reason == "insufficient_data"


def test_a_comparison_keeps_what_it_knows_and_says_what_it_lacks(no_scipy: None) -> None:
    values = compare.compare_values(LOW, HIGH)
    assert (values.shift, values.cliffs_delta) == (-5.0, -1.0)
    assert (values.mann_whitney, values.reason) == (None, "needs_scipy")
    shares = compare.compare_shares(Share(3, 20), Share(9, 20))
    assert shares.difference == pytest.approx(-0.3)
    assert shares.ci95 is not None
    assert (shares.fisher, shares.reason) == (None, "needs_scipy")


def test_scipy_is_imported_only_when_asked_for() -> None:
    modules = "basic, compare, extra, rates, survival, trend"
    script = f"""
import sys
from pytest_dora.stats import {modules}
assert not {{"scipy", "numpy"}} & set(sys.modules), "imported too early"
rates.poisson_per_week(5, 7)
print("scipy.stats" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
