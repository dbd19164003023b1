"""A run meets its store: recorded there first, then told what production did."""

from __future__ import annotations

from pytest_dora.delivery.policy import Policy, days_before
from pytest_dora.model.base import utc_now
from pytest_dora.model.fleet import Fleet
from pytest_dora.model.report import Report
from pytest_dora.model.settings import Settings
from pytest_dora.report.production import run_events, with_production


def with_store(
    report: Report, fleet: Fleet, settings: Settings, *, create: bool = True
) -> tuple[Report, tuple[str, ...]]:
    """The report with what the store of ``settings`` says, and notes for the evaluator.

    Raises StoreError when the store cannot be used: the run's own report is good without it.
    """
    from pytest_dora.delivery.production import Owners, production
    from pytest_dora.delivery.store import Store

    assert settings.store is not None
    now = utc_now()
    policy = Policy(
        environments=fleet.environments,
        incidents_watched=settings.incidents_watched,
        benchmark=settings.benchmark,
    )
    with Store.open(settings.store, create=create) as store:
        appended = store.append(run_events(report, now))
        told_events = f"{appended.new} new, {appended.known} known"
        notes = [*store.notices, f"recorded in {store.shown}: {told_events}"]
        if appended.refused:
            refused = ", ".join(f"{count} {reason}" for reason, count in appended.refused.items())
            notes.append(f"{store.shown}: events of this run were refused: {refused}")
        told = production(
            store,
            days_before(now, settings.window_days),
            now,
            policy,
            Owners.of(fleet),
            [app.app_id for app in fleet.apps],
        )
    return with_production(report, told), tuple(notes)
