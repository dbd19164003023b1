"""What production showed, as lines for a terminal: a number, its interval, its samples, or why not."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_dora.model.dora import DoraMetrics, Number
from pytest_dora.model.production import AppProduction, Production

_WIDTH = 32
_DAY = 86400.0


def lines(told: Production) -> Iterator[str]:
    """The fleet first, then one line per app, then what could not be counted."""
    start, end = told.window.start, told.window.end
    yield f"production, {start:%Y-%m-%d %H:%M}Z to {end:%Y-%m-%d %H:%M}Z, {len(told.apps)} apps"
    yield ""
    yield from _metrics(told.dora_metrics)
    yield _row("zero-touch", _number(told.touch.zero_touch_rate))
    yield _row("uptime", _number(told.reliability.uptime))
    yield _row("error rate", _number(told.reliability.error_rate))
    yield _row(
        "p50 / p99", f"{_number(told.reliability.p50_ms)} / {_number(told.reliability.p99_ms)}"
    )
    yield _row("failed queries", _number(told.reliability.query_failure_rate))
    yield _row("cost per deployment", _number(told.cost.per_deployment))
    yield ""
    yield from _apps(told)
    yield from _uncounted(told)


def _metrics(metrics: DoraMetrics) -> Iterator[str]:
    frequency, lead = metrics.deployment_frequency, metrics.lead_time_for_changes
    failure, repair = metrics.change_failure_rate, metrics.mttr_minutes
    rework = metrics.deployment_rework_rate
    yield _row(
        "deployment frequency",
        _told(frequency.deployments_per_week, "per week", frequency.reason, frequency.samples,
              frequency.ci95, frequency.band.band if frequency.band else None, frequency.trend),
    )  # fmt: skip
    yield _row(
        "lead time, prompt to production",
        _told(_days(lead.median_seconds), "days", lead.reason, lead.samples,
              _days_pair(lead.ci95), lead.band.band if lead.band else None,
              lead.trend_detail.direction),
    )  # fmt: skip
    yield _row("lead time, commit to production", _number(lead.change_lead_time))
    yield _row(
        "change failure rate",
        _told(failure.percentage, "%", failure.reason, failure.samples, failure.ci95,
              failure.band.band if failure.band else None, failure.trend_detail.direction)
        + (f", {failure.pending} pending" if failure.pending else ""),
    )  # fmt: skip
    yield _row("caught before production", _number(failure.catches))
    yield _row(
        "failed deployment recovery",
        _number(repair.failed_deployment_recovery)
        + (f", {repair.failed_deployments_open} open" if repair.failed_deployments_open else ""),
    )
    yield _row(
        "time to restore",
        _told(repair.median, "minutes", repair.reason, repair.samples, repair.ci95,
              repair.band.band if repair.band else None, repair.trend_detail.direction)
        + (f", {repair.open} open" if repair.open else ""),
    )  # fmt: skip
    yield _row(
        "deployment rework rate",
        _told(rework.percentage, "%", rework.reason, rework.samples, rework.ci95, None, None),
    )


def _apps(told: Production) -> Iterator[str]:
    if not told.apps:
        return
    width = max(len(_plain(one.app_id)) for one in told.apps)
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
    count = "-" if deployments is None else deployments
    shown = f"{_plain(one.app_id):<{width}}  {count:>11}  {failed:>6}"
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


def _row(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _number(number: Number) -> str:
    unit = "%" if number.unit == "percent" else number.unit
    value, interval = number.value, number.ci95
    if unit == "seconds" and value is not None:
        value, interval, unit = value / _DAY, _days_pair(interval), "days"
    return _told(value, unit, number.reason, number.samples, interval, None, None)


def _told(
    value: float | None,
    unit: str,
    reason: str | None,
    samples: int,
    ci95: tuple[float, float] | None,
    band: str | None,
    trend: str | None,
) -> str:
    if value is None:
        return f"- ({reason or 'unknown'})"
    text = f"{value:.3g} {unit}".rstrip()
    if ci95 is not None:
        text += f" [{ci95[0]:.3g} to {ci95[1]:.3g}]"
    text += f", n={samples}"
    return ", ".join([text, *(word for word in (band, trend) if word)])


def _days(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / _DAY


def _days_pair(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] / _DAY, interval[1] / _DAY)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
