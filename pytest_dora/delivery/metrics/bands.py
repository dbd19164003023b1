"""What a benchmark edition of DORA calls a number, and null where it has no name for it.

Source: the tables of the 2023 and 2024 reports (dora.dev and its sponsors' reprints). They list
centres of clusters, not thresholds: the change failure rate of 2024 is 20 % for ``high`` and 10 %
for ``medium``. So a band is given where exactly one cluster describes the number. 2025 has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pytest_dora.model.dora import Band

Name = Literal["elite", "high", "medium", "low"]
HOUR, DAY, WEEK, MONTH = 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0
_Ranges = tuple[tuple[Name, float, float], ...]
"""Band, from (included), to (not included)."""

_PER_WEEK = 7 / 30
FREQUENCY: Mapping[str, _Ranges] = {  # deployments per week
    "2023": (
        ("elite", 7, math.inf),
        ("high", 1, 7),
        ("medium", _PER_WEEK, 1),
        ("low", _PER_WEEK, 1),
    ),
    "2024": (
        ("elite", 7, math.inf),
        ("high", 1, 7),
        ("medium", _PER_WEEK, 1),
        ("low", _PER_WEEK / 6, _PER_WEEK),
    ),
}
LEAD_TIME: Mapping[str, _Ranges] = {  # seconds
    "2023": (
        ("elite", 0, DAY),
        ("high", DAY, WEEK),
        ("medium", WEEK, MONTH),
        ("low", WEEK, MONTH),
    ),
    "2024": (
        ("elite", 0, DAY),
        ("high", DAY, WEEK),
        ("medium", WEEK, MONTH),
        ("low", MONTH, 6 * MONTH),
    ),
}
RECOVERY: Mapping[str, _Ranges] = {  # seconds
    "2023": (
        ("elite", 0, HOUR),
        ("high", HOUR, DAY),
        ("medium", DAY, WEEK),
        ("low", MONTH, 6 * MONTH),
    ),
    "2024": (
        ("elite", 0, HOUR),
        ("high", HOUR, DAY),
        ("medium", HOUR, DAY),
        ("low", WEEK, MONTH),
    ),
}
_FAILURE_CENTRES: Mapping[str, tuple[float, float]] = {"2023": (5, 64), "2024": (5, 40)}
"""The best and the worst centre, in percent: only beyond them is there a name."""
EDITIONS = ("2023", "2024", "2025")


def band(
    table: Mapping[str, _Ranges],
    value: float | None,
    edition: str,
    ci95: tuple[float, float] | None,
) -> Band:
    """The one cluster of an edition that describes a value, and its whole interval: one deployment
    without a failure is no elite."""
    unnamed = _unnamed(value, edition)
    if unnamed is not None or value is None:
        return Band(edition=edition, reason=unnamed)
    found = [name for name, low, high in table[edition] if low <= value < high]
    if len(found) != 1:
        return Band(edition=edition, reason="_or_".join(found) if found else "between_clusters")
    low, high = next((low, high) for name, low, high in table[edition] if name == found[0])
    if ci95 is None or not low <= ci95[0] <= ci95[1] < high:
        return Band(edition=edition, reason="insufficient_data")
    return Band(edition=edition, band=found[0])


def failure_band(percentage: float | None, edition: str, ci95: tuple[float, float] | None) -> Band:
    """For a change failure rate: at most the best centre, or at least the worst."""
    unnamed = _unnamed(percentage, edition)
    if unnamed is not None or percentage is None:
        return Band(edition=edition, reason=unnamed)
    best, worst = _FAILURE_CENTRES[edition]
    if best < percentage < worst:
        return Band(edition=edition, reason="between_clusters")
    certain = ci95 is not None and (ci95[1] <= best or ci95[0] >= worst)
    if not certain:
        return Band(edition=edition, reason="insufficient_data")
    return Band(edition=edition, band="elite" if percentage <= best else "low")


def _unnamed(value: float | None, edition: str) -> str | None:
    if edition not in EDITIONS:
        return "unknown_edition"
    if edition == "2025":
        return "no_levels_in_this_edition"
    return "no_value" if value is None else None
