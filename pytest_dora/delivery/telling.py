"""What production showed, as lines for a person: a number, its interval, its samples, or why not."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_dora.model.dora import DoraMetrics, Number, Trend
from pytest_dora.model.production import AppProduction, FleetProduction, Production

_WIDTH = 32
_NAMES = 40
_SCALES = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))
_SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
Interval = tuple[float, float] | None


def lines(told: Production) -> Iterator[str]:
    """The fleet first, then one line per app, then what could not be counted."""
    yield heading(told, len(told.apps))
    yield ""
    for name, text in rows(told.dora_metrics, told):
        yield f"{name:<{_WIDTH}}{text}"
    yield ""
    yield from _apps(told)
    yield from _uncounted(told)


def heading(told: FleetProduction, apps: int) -> str:
    start, end = told.window.start, told.window.end
    many = "1 app" if apps == 1 else f"{apps} apps"
    return f"production, {start:%Y-%m-%d %H:%M}Z to {end:%Y-%m-%d %H:%M}Z, {many}"


def rows(metrics: DoraMetrics, told: FleetProduction) -> Iterator[tuple[str, str]]:
    """Name and text of each number."""
    frequency, lead = metrics.deployment_frequency, metrics.lead_time_for_changes
    failure, repair = metrics.change_failure_rate, metrics.mttr_minutes
    rework = metrics.deployment_rework_rate
    per = "per app and week" if frequency.aggregation == "pooled" else "per week"
    yield (
        "deployment frequency",
        _told(frequency.deployments_per_week, per, frequency.reason, frequency.samples, frequency.ci95)
        + _band(frequency.band.band if frequency.band else None)
        + _trend(frequency.trend_detail),
    )  # fmt: skip
    observed = lead.basis == "observed"
    yield (
        "lead time, prompt to production",
        _told(lead.median_seconds if observed else None, "seconds", lead.reason or "not_observed",
              lead.samples, lead.ci95)
        + _band(lead.band.band if lead.band else None)
        + _trend(lead.trend_detail),
    )  # fmt: skip
    yield "lead time, commit to production", _number(lead.change_lead_time)
    yield (
        "change failure rate",
        _told(failure.percentage, "%", failure.reason, failure.samples, failure.ci95)
        + _band(failure.band.band if failure.band else None)
        + (f", {failure.pending} pending" if failure.pending else "")
        + _trend(failure.trend_detail),
    )
    yield "caught before production", _number(failure.catches)
    yield (
        "failed deployment recovery",
        _number(repair.failed_deployment_recovery)
        + (f", {repair.failed_deployments_open} open" if repair.failed_deployments_open else "")
        + _band(repair.band.band if repair.band else None),
    )
    yield (
        "time to restore",
        _told(repair.median, "minutes", repair.reason, repair.samples, repair.ci95)
        + (f", {repair.open} open" if repair.open else "")
        + _trend(repair.trend_detail),
    )
    yield (
        "deployment rework rate",
        _told(rework.percentage, "%", rework.reason, rework.samples, rework.ci95),
    )
    yield "zero-touch", _number(told.touch.zero_touch_rate)
    yield "uptime", _number(told.reliability.uptime)
    yield "error rate", _number(told.reliability.error_rate)
    yield "p50 / p99", f"{_number(told.reliability.p50_ms)} / {_number(told.reliability.p99_ms)}"
    yield "failed queries", _number(told.reliability.query_failure_rate)
    yield "cost per deployment", _number(told.cost.per_deployment)


def _apps(told: Production) -> Iterator[str]:
    if not told.apps:
        return
    width = min(_NAMES, max(len(_plain(one.app_id)) for one in told.apps))
    yield f"{'app':<{width}}  deployments  failed  open  production"
    for one in told.apps:
        yield _app(one, width)


def _app(one: AppProduction, width: int) -> str:
    metrics = one.dora_metrics
    deployments = metrics.deployment_frequency.deployments
    failure = metrics.change_failure_rate
    failed = failure.failed if failure.reason is None else "-"
    axis = one.axis.state.value
    if one.axis.reason:
        axis += f" ({one.axis.reason})"
    elif one.axis.needed:
        axis += f" ({one.axis.needed} more sound deployments)"
    name = _plain(one.app_id)
    name = name if len(name) <= width else name[: width - 1] + "…"
    shown = f"{name:<{width}}  {'-' if deployments is None else deployments:>11}  {failed:>6}"
    return f"{shown}  {metrics.mttr_minutes.open:>4}  {axis}"


def _uncounted(told: Production) -> Iterator[str]:
    for title, found in (
        ("not counted", told.uncounted),
        ("refused by the store", told.refused),
        ("of services that no app has", told.unjoined),
    ):
        if found:
            items = (f"{count} {_plain(name)}" for name, count in sorted(found.items()))
            yield f"{title}: {', '.join(items)}"
    for one in told.collected:
        through = f"{one.data_through:%Y-%m-%d %H:%M}Z" if one.data_through else "unknown"
        yield f"collected: {one.collector} {_plain(one.scope)} through {through}"


def _number(number: Number) -> str:
    unit = "%" if number.unit == "percent" else number.unit
    return _told(number.value, unit, number.reason, number.samples, number.ci95)


def _told(value: float | None, unit: str, reason: str | None, samples: int, ci95: Interval) -> str:
    if value is None:
        return f"- ({reason or 'unknown'})"
    if unit in _SECONDS:
        factor = _SECONDS[unit]
        ends = [value, *(ci95 or ())]
        unit, divisor = _scale(value * factor)
        value, *between = (end * factor / divisor for end in ends)
        ci95 = (between[0], between[1]) if between else None
    text = f"{_short(value)} {unit}".rstrip()
    if ci95 is not None:
        text += f" [{_short(ci95[0])} to {_short(ci95[1])}]"
    return f"{text}, n={samples}"


def _scale(seconds: float) -> tuple[str, float]:
    """The largest unit of which there are at least two."""
    return next(((name, size) for name, size in _SCALES if seconds >= 2 * size), ("seconds", 1.0))


def _short(value: float) -> str:
    """Three digits, and never a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _band(name: str | None) -> str:
    return f", {name}" if name else ""


def _trend(trend: Trend) -> str:
    """Only one that could be told: most windows are too short for any."""
    shown = trend.direction in ("improving", "degrading", "stable")
    return f", trend: {trend.direction}" if shown else ""


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
