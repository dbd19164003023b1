"""Deployment rework rate: unplanned deployments that followed from trouble in production."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_dora.delivery.metrics import numbers
from pytest_dora.delivery.observe import Observation
from pytest_dora.delivery.policy import Window
from pytest_dora.model import dora
from pytest_dora.stats import basic


def deployment_rework_rate(
    observed: Sequence[Observation], window: Window
) -> dora.DeploymentReworkRate:
    """Deployments that are said to be rework, or that mended another one, by all that served."""
    seen = [one for one in observed if "deployment" in one.kinds and one.incidents_watched]
    rework, total = sum(one.rework for one in seen), sum(len(one.judged) for one in seen)
    deployed = any("deployment" in one.kinds for one in observed)
    reason = None
    if not deployed:
        reason = numbers.NOT_OBSERVED
    elif not seen:
        reason = numbers.INCIDENTS_NOT_OBSERVED
    elif not total:
        reason = numbers.NO_SAMPLES
    rates = [100 * one.rework / len(one.judged) for one in seen if one.judged]
    return dora.DeploymentReworkRate(
        basis="observed" if reason is None else None,
        reason=reason,
        samples=total,
        ci95=basic.wilson_percent(rework, total) if reason is None else None,
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(rates, "percent", reason),
        percentage=basic.percent(rework, total) if reason is None else None,
        rework=rework,
    )
