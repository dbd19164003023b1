"""Samples to numbers: with their count and interval, and a reason where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_dora.model.dora import Number
from pytest_dora.stats import basic

NOT_OBSERVED = "not_observed"
NO_SAMPLES = "no_samples"
INCIDENTS_NOT_OBSERVED = "incidents_not_observed"
INCIDENTS_UNUSABLE = "incidents_unusable"


def absent(unit: str, reason: str) -> Number:
    return Number(unit=unit, reason=reason)


def middle(values: Sequence[float], unit: str, reason: str | None = None) -> Number:
    """The median with its order-statistic interval."""
    if not values:
        return absent(unit, reason or NO_SAMPLES)
    return Number(
        value=basic.median(values),
        unit=unit,
        samples=len(values),
        ci95=basic.median_ci95(values),
        basis="observed",
    )


def at_share(values: Sequence[float], share: float, unit: str, reason: str | None = None) -> Number:
    """A quantile; it has no interval here."""
    if not values:
        return absent(unit, reason or NO_SAMPLES)
    value = basic.quantile(values, share)
    return Number(value=value, unit=unit, samples=len(values), basis="observed")


def share(part: int, total: int, reason: str | None = None) -> Number:
    """A share in percent with Wilson's interval."""
    if total <= 0:
        return absent("percent", reason or NO_SAMPLES)
    return Number(
        value=basic.percent(part, total),
        unit="percent",
        samples=total,
        ci95=basic.wilson_percent(part, total),
        basis="observed",
    )


def ratio_of_sums(
    part: float, total: float, samples: int, unit: str = "percent", reason: str | None = None
) -> Number:
    """Percent of amounts (seconds, requests), which are no independent trials: no interval."""
    if total <= 0:
        return absent(unit, reason or NO_SAMPLES)
    return Number(value=100 * part / total, unit=unit, samples=samples, basis="observed")


def weighted_median(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The smallest value that half of the weight does not exceed; None without weight."""
    half = sum(weight for _, weight in pairs) / 2
    if half <= 0:
        return None
    passed = 0.0
    for value, weight in sorted(pairs):
        passed += weight
        if passed >= half:
            return value
    return None
