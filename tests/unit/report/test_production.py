from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pytest_dora.delivery.store import Store
from pytest_dora.model import events as facts
from pytest_dora.model.app import Generation, Origin
from pytest_dora.model.dora import (
    ChangeFailureRate,
    DoraMetrics,
    EnabledBy,
    FailureEstimate,
    LeadTimeForChanges,
    MttrMinutes,
)
from pytest_dora.model.events import Event
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import assemble
from pytest_dora.report.observed import with_store
from pytest_dora.report.production import joined, run_events
from tests.unit.report.samples import START, app, result, run, timing

LATER = START + timedelta(hours=1)


def judged() -> tuple[Report, Fleet]:
    """One that is clear, one that fails, one that cannot be told, one never generated."""
    made = Generation(
        success=True, started_at=START - timedelta(minutes=9), seconds=300, cost_usd=0.5
    )
    lost = Generation(success=False, started_at=START - timedelta(minutes=9), cost_usd=0.1)
    fleet = Fleet(
        apps=(
            app("clear", generation=made, model="m"),
            app("bad", origin=Origin.HUMAN),
            app("unsure"),
            app("lost", path=None, generation=lost),
        )
    )
    results = [
        result("clear", "build", timings=[timing("install npm ci", 0, 20)]),
        result("clear", "runtime", timings=[timing("start", 30, 2)]),
        result("bad", "build", "failed", reason="build_failed"),
        result("bad", "runtime", "blocked"),
        result("unsure", "build"),
        result("unsure", "runtime", "inconclusive", reason="service_missing"),
    ]
    known = [AppFacts(app_id=name, fingerprint=f"tree-{name}") for name in ("clear", "bad")]
    expected = [(one.app_id, one.check_id) for one in results]
    return assemble(fleet, expected, results, known, run(), Settings()), fleet


def bodies(report: Report, kind: str) -> dict[str | None, Event]:
    return {one.app_id: one for one in run_events(report, LATER) if one.body.kind == kind}


def test_a_run_tells_its_verdicts_and_what_it_foresees() -> None:
    found = {name: one.body for name, one in bodies(judged()[0], "verdict").items()}
    foreseen = {
        name: body.predicted_failure
        for name, body in found.items()
        if isinstance(body, facts.VerdictBody)
    }
    assert foreseen == {"clear": False, "bad": True, "unsure": None}


def test_a_run_tells_generations_whose_beginning_is_known_failed_ones_too() -> None:
    found = bodies(judged()[0], "generation")
    assert set(found) == {"clear", "lost"}
    clear = found["clear"].body
    assert isinstance(clear, facts.GenerationBody)
    assert clear.completed_at == START - timedelta(minutes=4)
    assert (clear.cost_usd, clear.model, clear.human) == (0.5, "m", False)


def test_a_run_tells_the_builds_that_led_to_something() -> None:
    found = bodies(judged()[0], "build")
    assert set(found) == {"clear"}
    build = found["clear"].body
    assert isinstance(build, facts.BuildBody)
    assert (build.started_at, build.finished_at) == (START, START + timedelta(seconds=20))
    assert (build.run_id, build.fingerprint) == ("r1", "tree-clear")


def test_recording_a_run_twice_changes_nothing(tmp_path: Path) -> None:
    report, fleet = judged()
    settings = Settings(store=str(tmp_path / "events.db"))
    first, _ = with_store(report, fleet, settings)
    with Store.open(tmp_path / "events.db") as store:
        before = [event.key for event in store.read()]
    second, _ = with_store(report, fleet, settings)
    with Store.open(tmp_path / "events.db") as store:
        assert [event.key for event in store.read()] == before
        assert store.refusals() == {}
    assert first.production is not None
    assert second.production is not None
    assert first.production.axis == second.production.axis


def test_every_app_of_a_fleet_is_told_of_also_those_that_nobody_deployed(tmp_path: Path) -> None:
    report, fleet = judged()
    told, _ = with_store(report, fleet, Settings(store=str(tmp_path / "events.db")))
    assert [one.production is not None for one in told.apps] == [True] * 4
    reasons = {
        one.production.dora_metrics.deployment_frequency.reason
        for one in told.apps
        if one.production
    }
    assert reasons == {"not_observed"}
    assert told.dora_metrics.lead_time_for_changes.basis == "estimated"


def test_what_was_observed_replaces_no_estimate() -> None:
    ours = DoraMetrics(
        change_failure_rate=ChangeFailureRate(estimated=FailureEstimate(percentage=40)),
        mttr_minutes=MttrMinutes(enabled_by=EnabledBy(observability_score=4)),
        lead_time_for_changes=LeadTimeForChanges(basis="estimated", median_seconds=9, samples=1),
    )
    theirs = DoraMetrics(
        change_failure_rate=ChangeFailureRate(basis="observed", percentage=5),
        mttr_minutes=MttrMinutes(basis="observed", median=3),
        lead_time_for_changes=LeadTimeForChanges(reason="no_samples"),
    )
    both = joined(ours, theirs)
    assert both.change_failure_rate.percentage == 5
    assert both.change_failure_rate.estimated.percentage == 40
    assert (both.mttr_minutes.median, both.mttr_minutes.enabled_by.observability_score) == (3, 4)
    lead = both.lead_time_for_changes
    assert (lead.basis, lead.median_seconds) == ("estimated", 9)
    seen = theirs.model_copy(
        update={"lead_time_for_changes": LeadTimeForChanges(basis="observed", median_seconds=70)}
    )
    lead = joined(ours, seen).lead_time_for_changes
    assert (lead.basis, lead.median_seconds) == ("observed", 70)
