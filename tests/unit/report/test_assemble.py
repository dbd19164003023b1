"""No app and no check is ever lost, and every key is always there."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given, settings

from pytest_dora.model.app import Generation, Waiver
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report, RunStatus
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import assemble
from tests.unit.report.samples import (
    GENERATED,
    Evaluated,
    app,
    evaluations,
    failing,
    report,
    result,
    run,
    timing,
)


@given(evaluations())
@settings(max_examples=60, deadline=None)
def test_no_app_and_no_check_is_ever_lost(made: Evaluated) -> None:
    found = assemble(made.fleet, made.expected, made.results, made.facts, run(), made.settings)
    assert [one.app_id for one in found.apps] == sorted(one.app_id for one in made.fleet.apps)
    pairs = {(one.app_id, check) for one in found.apps for check in one.checks}
    assert pairs == set(made.expected)
    assert sum(total.total for total in found.checks.values()) == len(made.expected)
    assert found.gate.apps_total == len(made.fleet.apps)
    for total in found.checks.values():
        counted = total.model_dump(exclude={"total", "waived", "pass_rate", "ci95", "seconds"})
        assert sum(counted.values()) == total.total
    assert Report.model_validate_json(found.model_dump_json()) == found


@given(evaluations())
@settings(max_examples=30, deadline=None)
def test_the_order_of_results_does_not_matter(made: Evaluated) -> None:
    one = assemble(made.fleet, made.expected, made.results, made.facts, run(), made.settings)
    other = assemble(
        made.fleet, made.expected, made.results[::-1], made.facts[::-1], run(), made.settings
    )
    assert one == other


def test_an_expected_check_without_a_result_did_not_run() -> None:
    found = report([app()], [result()], expected=[("a", "build"), ("a", "tests")])
    summary = found.apps[0].checks["tests"]
    assert (summary.outcome, summary.reason, summary.seconds) == ("not_run", "no_result", None)
    assert found.apps[0].pass_rate_all == 0.5


def test_what_nobody_expected_is_reported_as_well() -> None:
    found = report([app()], [result("a", "tests"), result("ghost")], expected=[])
    assert [one.app_id for one in found.apps] == ["a", "ghost"]
    assert "tests" in found.apps[0].checks
    assert found.notes == ("ghost: has results, but is no app of the fleet",)


def test_of_several_results_the_last_counts() -> None:
    found = report([app()], [result(outcome="failed"), result(outcome="passed")])
    assert found.apps[0].checks["build"].outcome == "passed"
    assert found.checks["build"].total == 1


def test_a_summary_is_short_and_names_the_failing_probes() -> None:
    long = result(
        outcome="failed",
        reason="timeout",
        message="x" * 5000,
        findings=[failing("build.a"), failing("build.a"), failing("build.b")],
        cache_key="k",
    )
    summary = report([app()], [long]).apps[0].checks["build"]
    assert len(summary.message) == 300
    assert summary.failing == ("build.a", "build.b")
    assert summary.cache_key == "k"


def test_facts_and_descriptions_stand_beside_the_results() -> None:
    facts = AppFacts(
        app_id="a", stack=("react", "vite"), fingerprint="f", loc=7,
        claimed=Generation(turns=3, claimed=True),
    )  # fmt: skip
    described = app(generator="g", model="m", prompt_id="p", attempt=2, generation=GENERATED)
    tests = result("a", "tests", measurements={"coverage_pct": 81.5})
    one = report([described], [result(), tests], facts=[facts]).apps[0]
    assert (one.stack, one.fingerprint, one.loc) == (("react", "vite"), "f", 7)
    assert (one.generator, one.model, one.prompt_id, one.attempt) == ("g", "m", "p", 2)
    assert one.coverage_percent == 81.5
    assert one.generation == GENERATED
    assert one.claimed_generation == Generation(turns=3, claimed=True)
    assert one.eff_units == pytest.approx(5.0)
    assert one.details == "runs/r1/apps/a.json"


def test_a_claim_in_the_place_of_knowledge_is_still_a_claim() -> None:
    claim = GENERATED.model_copy(update={"claimed": True})
    one = report([app(generation=claim)], [result()]).apps[0]
    assert (one.generation, one.eff_units, one.cost.total_usd) == (None, None, None)
    assert one.claimed_generation == claim


def test_a_waiver_for_no_check_is_noted() -> None:
    waiver = Waiver(check="biuld", reason="r", expires=date(2030, 1, 1))
    found = report([app(waivers=(waiver,))], [result()], info=run(checks_known=("build",)))
    assert found.notes == ("a: a waiver names 'biuld', which is no check here",)


def test_a_failed_generation_is_an_app_without_a_folder() -> None:
    lost = app("x", path=None, generation=Generation(success=False, cost_usd=2, error="turns"))
    found = report([app(), lost], [result()])
    assert found.apps[1].folder is False
    assert found.apps[1].level_reason == "the generation left no folder"
    assert found.cost.total_usd == 2
    assert found.cost.apps_without_cost == 1


def test_durations_and_rates_of_a_check() -> None:
    results = [
        result(name, "build", outcome, seconds=seconds)
        for name, outcome, seconds in (
            ("a", "passed", 1), ("b", "failed", 2), ("c", "not_applicable", 3), ("d", "error", 10),
        )
    ]  # fmt: skip
    total = report([app(name) for name in "abcd"], results).checks["build"]
    assert (total.total, total.passed, total.failed, total.error) == (4, 1, 1, 1)
    assert total.pass_rate == pytest.approx(1 / 3)
    assert total.ci95 is not None
    assert total.seconds.model_dump() == {"p50": 2.5, "p90": pytest.approx(7.9), "max": 10}


def test_consistency_flags_what_stands_out() -> None:
    apps = [app(name) for name in "abcdef"]
    results = [
        result(name, "build", timings=[timing("build", 0, seconds)])
        for name, seconds in zip("abcdef", (10, 11, 10.5, 9.5, 10.2, 90), strict=True)
    ]
    found = report(apps, results).consistency
    assert found.keys() == {
        "build_seconds", "start_seconds", "test_coverage_percent", "loc", "cost_usd",
        "lead_time_seconds",
    }  # fmt: skip
    assert found["build_seconds"].n == 6
    assert [odd.app_id for odd in found["build_seconds"].outliers] == ["f"]
    assert found["loc"].model_dump() == {
        "n": 0, "mean": None, "std_dev": None, "cv": None, "median": None, "mad": None,
        "outliers": (),
    }  # fmt: skip


def test_a_deployable_app_has_a_price() -> None:
    from tests.unit.report.samples import ready

    found = report(
        [app("a", generation=GENERATED), app("b", generation=GENERATED)],
        [*ready("a"), *ready("b", runability=0)],
    )
    assert found.cost.total_usd == 1.0
    assert found.cost.per_deployable_app_usd == 1.0
    assert found.cost.median_usd == 0.5


def test_every_key_exists_in_an_empty_report() -> None:
    found = assemble(Fleet(), (), (), (), run(), Settings(), status=RunStatus.STARTED)
    content = json.loads(found.model_dump_json())
    assert content["status"] == "started"
    assert content.keys() >= {
        "schema_version", "status", "run", "gate", "dora_metrics", "apps", "checks", "consistency",
    }  # fmt: skip
    assert content["run"].keys() >= {
        "id", "started_at", "finished_at", "tool", "python", "platform", "cpus", "workers",
        "sandbox", "versions", "arguments",
    }  # fmt: skip
    assert content["gate"].keys() >= {
        "status", "level", "fail_under", "apps_total", "apps_reaching", "percent", "ci95", "met",
        "reasons",
    }  # fmt: skip


def test_every_key_of_an_app_exists() -> None:
    content = json.loads(report([app()], [result()]).model_dump_json())["apps"][0]
    assert content.keys() >= {
        "app_id", "origin", "generator", "model", "prompt_id", "attempt", "stack", "fingerprint",
        "loc", "level", "next_level_needs", "deployable", "pass_rate_applicable", "pass_rate_all",
        "appeval_100", "eff_units", "generation", "lead_time", "cost", "checks",
    }  # fmt: skip
    assert content["checks"]["build"].keys() >= {
        "outcome", "reason", "score", "verified_score", "seconds", "failing",
    }  # fmt: skip
