"""How alike the apps are: a generator that is sometimes slow is less useful than a steady one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from pytest_dora.model.report import AppReport, Consistency, Outlier
from pytest_dora.stats import basic as stats

METRICS: Mapping[str, Callable[[AppReport], float | None]] = {
    "build_seconds": lambda app: app.lead_time.build_duration_sec,
    "start_seconds": lambda app: app.lead_time.parts.start,
    "test_coverage_percent": lambda app: app.coverage_percent,
    "loc": lambda app: app.loc,
    "cost_usd": lambda app: app.cost.generation_usd,
    "lead_time_seconds": lambda app: app.lead_time.total_lead_time_sec,
}
"""What is compared, over the apps for which it is known."""


def consistency(apps: Sequence[AppReport]) -> dict[str, Consistency]:
    """Spread and outliers of each metric. Apps without the number are no samples."""
    return {name: _one(apps, read) for name, read in METRICS.items()}


def _one(apps: Sequence[AppReport], read: Callable[[AppReport], float | None]) -> Consistency:
    known = [
        (app.app_id, float(value))
        for app in apps
        if (value := read(app)) is not None and math.isfinite(value)
    ]
    values = [value for _, value in known]
    return Consistency(
        n=len(values),
        mean=stats.mean(values),
        std_dev=stats.std_dev(values),
        cv=stats.coefficient_of_variation(values),
        median=stats.median(values),
        mad=stats.mad(values),
        outliers=tuple(
            Outlier(app_id=known[odd.index][0], value=known[odd.index][1], score=odd.score)
            for odd in stats.outliers(values)
        ),
    )
