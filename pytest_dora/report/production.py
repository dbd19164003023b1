"""A run and the store of delivery events: what the run adds to it, and what it adds to the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pytest_dora.model.app import Origin
from pytest_dora.model.dora import DoraMetrics
from pytest_dora.model.events import (
    BuildBody,
    DrillBody,
    Event,
    GenerationBody,
    VerdictBody,
)
from pytest_dora.model.production import FleetProduction, Production
from pytest_dora.model.report import AppReport, Report
from pytest_dora.model.result import Outcome
from pytest_dora.report.dora import selected_blocking, verdict_of

_SOURCE = "pytest-dora"
_DRILLS = {"rollback": "rollback", "incident": "incident"}


def run_events(report: Report, observed_at: datetime) -> Iterator[Event]:
    """What a run knows of each app: its generation, its build, its verdict, its drills.

    Keys are made of the run's id, so that recording a run twice changes nothing.
    """
    selected = selected_blocking(report.apps)
    ended = report.run.finished_at or report.run.started_at
    for app in report.apps:
        yield from _generation(app, observed_at)
        if app.checks:  # an app of another shard was asked nothing here
            yield from _build(app, report.run.id, observed_at)
            yield from _verdict(app, report.run.id, selected, ended, observed_at)
            yield from _drills(app, report.run.id, ended, observed_at)


def _event(
    app: AppReport,
    key: str,
    at: datetime,
    observed_at: datetime,
    body: GenerationBody | BuildBody | VerdictBody | DrillBody,
) -> Event:
    return Event(
        key=key,
        source=_SOURCE,
        app_id=app.app_id,
        occurred_at=at,
        observed_at=observed_at,
        body=body,
    )


def _generation(app: AppReport, observed_at: datetime) -> Iterator[Event]:
    """Only one of which it is known when it was asked for: a lead time begins there."""
    made = app.generation
    if made is None or made.claimed or made.started_at is None:
        return
    completed = made.finished_at
    if completed is None and made.seconds is not None:
        completed = made.started_at + timedelta(seconds=made.seconds)
    yield _event(
        app,
        f"generation/{app.app_id}/{made.started_at.isoformat()}"[:500],
        made.started_at,
        observed_at,
        GenerationBody(
            prompt_at=made.started_at,
            completed_at=completed,
            success=made.success,
            human=app.origin is Origin.HUMAN,
            model=app.model,
            prompt_id=app.prompt_id,
            attempt=app.attempt,
            input_tokens=made.input_tokens,
            output_tokens=made.output_tokens,
            cost_usd=made.cost_usd,
        ),
    )


def _build(app: AppReport, run_id: str, observed_at: datetime) -> Iterator[Event]:
    times = app.lead_time
    if times.build_start_timestamp is None or times.build_complete_timestamp is None:
        return
    started = datetime.fromisoformat(times.build_start_timestamp)
    body = BuildBody(
        started_at=started,
        finished_at=datetime.fromisoformat(times.build_complete_timestamp),
        success=True,
        run_id=run_id,
        fingerprint=app.fingerprint,
    )
    yield _event(app, f"run/{run_id}/{app.app_id}/build"[:500], started, observed_at, body)


def _verdict(
    app: AppReport, run_id: str, selected: Sequence[str], at: datetime, observed_at: datetime
) -> Iterator[Event]:
    predicted = {"failing": True, "clear": False}.get(verdict_of(app, selected))
    body = VerdictBody(
        run_id=run_id,
        fingerprint=app.fingerprint,
        level=app.level.value if app.level else None,
        deployable=app.deployable,
        predicted_failure=predicted if selected else None,
        outcomes={check: one.outcome.value for check, one in app.checks.items()},
    )
    yield _event(app, f"run/{run_id}/{app.app_id}/verdict"[:500], at, observed_at, body)


def _drills(app: AppReport, run_id: str, at: datetime, observed_at: datetime) -> Iterator[Event]:
    for check, drill in _DRILLS.items():
        result = app.checks.get(check)
        if result is not None and result.outcome in (Outcome.PASSED, Outcome.FAILED):
            body = DrillBody.model_validate(
                {"run_id": run_id, "drill": drill, "passed": result.outcome is Outcome.PASSED}
            )
            yield _event(app, f"run/{run_id}/{app.app_id}/{drill}"[:500], at, observed_at, body)


# --- into the report ------------------------------------------------------------------------


def with_production(report: Report, production: Production) -> Report:
    """The report with what was observed; estimates stay beside it, never mixed into it."""
    found = {one.app_id: one for one in production.apps}
    apps = tuple(
        app.model_copy(update={"production": found.get(app.app_id)}) for app in report.apps
    )
    whole = {
        name: getattr(production, name)
        for name in FleetProduction.model_fields
    }  # fmt: skip
    return report.model_copy(
        update={
            "apps": apps,
            "dora_metrics": joined(report.dora_metrics, production.dora_metrics),
            "production": FleetProduction.model_validate(whole),
        }
    )


def joined(estimated: DoraMetrics, observed: DoraMetrics) -> DoraMetrics:
    """Observed metrics with this run's estimates. A lead time that nobody observed stays the
    estimate that it was, and says so by its ``basis``."""
    metrics: dict[str, object] = {}
    for name in DoraMetrics.model_fields:
        ours, theirs = getattr(estimated, name), getattr(observed, name)
        update: Mapping[str, object] = {"estimated": ours.estimated}
        if name == "mttr_minutes":
            update = {**update, "enabled_by": ours.enabled_by}
        metrics[name] = theirs.model_copy(update=update)
    lead_time = observed.lead_time_for_changes
    if lead_time.basis is None:
        kept = ("basis", "reason", "samples", "ci95", "median_seconds", "breakdown", "definition")
        ours = estimated.lead_time_for_changes
        metrics["lead_time_for_changes"] = lead_time.model_copy(
            update={
                **{name: getattr(ours, name) for name in kept},
                "estimated": ours.estimated,
                "window": None,
                "aggregation": None,
                "band": None,
            }
        )
    return DoraMetrics.model_validate(metrics)
