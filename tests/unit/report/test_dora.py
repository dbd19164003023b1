"""The DORA block: all names there, estimates apart, and no flattering zero."""

from __future__ import annotations

import pytest

from pytest_dora.model.app import Generation
from pytest_dora.model.report import (
    DeploymentMetrics,
    LeadTimeMetrics,
    ReliabilityMetrics,
)
from tests.unit.report.samples import GENERATED, app, ready, report, result


def test_every_name_of_the_block_exists_and_is_null_with_a_reason() -> None:
    block = report([], []).dora_metrics.model_dump(mode="json")
    names = {
        "deployment_frequency": {"deployments_per_week", "trend"},
        "lead_time_for_changes": {"median_seconds", "breakdown"},
        "mttr_minutes": {"median", "p90", "enabled_by"},
        "change_failure_rate": {
            "percentage", "pre_deployment_catches", "post_deployment_failures",
        },
        "deployment_rework_rate": {"percentage"},
    }  # fmt: skip
    assert block.keys() == names.keys()
    for metric, keys in names.items():
        assert block[metric].keys() >= keys | {
            "basis", "reason", "samples", "ci95", "window", "estimated",
        }  # fmt: skip
        assert block[metric]["basis"] is None
        assert block[metric]["reason"] is not None
    assert block["lead_time_for_changes"]["breakdown"].keys() == {
        "generation", "build", "pipeline", "deploy", "unattributed",
    }  # fmt: skip
    assert block["mttr_minutes"]["enabled_by"].keys() >= {
        "observability_score", "rollback_capability",
    }  # fmt: skip
    assert block["change_failure_rate"]["percentage"] is None
    assert block["change_failure_rate"]["estimated"]["percentage"] is None


def test_the_lead_time_is_estimated_from_this_run() -> None:
    apps = [
        app(name, generation=GENERATED.model_copy(update={"seconds": seconds}))
        for name, seconds in (("a", 10.0), ("b", 20.0), ("c", 30.0))
    ]
    found = report([*apps, app("d")], [one for name in "abcd" for one in ready(name)])
    lead = found.dora_metrics.lead_time_for_changes
    assert (lead.basis, lead.samples, lead.reason) == ("estimated", 3, None)
    assert lead.median_seconds == 52
    known = lead.breakdown.model_dump(exclude_none=True)
    assert known == {"generation": 20, "build": 30, "deploy": 2}
    assert lead.estimated.apps_without == 1
    assert lead.estimated.p90_seconds == pytest.approx(60)


def test_without_generation_times_there_is_no_lead_time_but_its_known_parts() -> None:
    lead = report([app()], ready("a")).dora_metrics.lead_time_for_changes
    assert (lead.median_seconds, lead.reason) == (None, "generation_unknown")
    assert lead.breakdown.build == 30


def test_predicted_failures_are_apps_that_fail_a_blocking_check() -> None:
    outcomes = {"a": "passed", "b": "failed", "c": "not_applicable", "d": "inconclusive"}
    lost = app("e", path=None, generation=Generation(success=False))
    found = report(
        [*(app(name) for name in outcomes), lost],
        [
            one
            for name, outcome in outcomes.items()
            for one in (result(name, "build"), result(name, "tests", outcome))
        ],
    ).dora_metrics.change_failure_rate
    assert (found.percentage, found.basis, found.reason) == (None, None, "not_observed")
    estimate = found.estimated
    assert (estimate.failing, estimate.samples, estimate.unjudged) == (2, 4, 1)
    assert estimate.percentage == 50
    assert estimate.ci95 == pytest.approx((15.0, 85.0), abs=0.1)
    assert estimate.checks == ("build", "tests")


def test_checks_that_block_nothing_predict_nothing() -> None:
    found = report([app()], [result("a", "runability", "failed")])
    assert found.dora_metrics.change_failure_rate.estimated.reason == "no_blocking_checks"


def test_deployable_apps_are_what_could_be_deployed_without_a_person() -> None:
    apps = [app("a", generation=GENERATED), app("b", generation=GENERATED)]
    found = report(apps, [*ready("a"), *ready("b", runability=2)])
    estimate = found.dora_metrics.deployment_frequency.estimated
    assert (estimate.deployable_apps, estimate.samples) == (1, 2)
    assert estimate.deployable_percentage == 50
    none = report([app()], [result()]).dora_metrics.deployment_frequency.estimated
    assert (none.deployable_apps, none.reason) == (None, "level_unavailable")


def test_recovery_is_enabled_by_what_was_verified() -> None:
    results = [*ready("a"), *ready("b", observability=2)]
    results[11] = results[11].model_copy(update={"outcome": "failed"})
    enabled = report([app("a"), app("b")], results).dora_metrics.mttr_minutes.enabled_by
    assert enabled.observability_score == 3.5
    assert enabled.rollback_capability is False
    assert enabled.rollback_capable_percentage == 50


def test_drills_never_fill_the_numbers_of_production() -> None:
    drill = result("a", "incident", measurements={"recovery_seconds": 12.0})
    found = report([app()], [drill]).dora_metrics.mttr_minutes
    assert found.median is None
    assert (found.estimated.drill_recovery_seconds, found.estimated.samples) == (12, 1)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (DeploymentMetrics, ("deployment_timestamp deployment_environment deployment_method "
         "deployment_duration_sec previous_version rollback_available")),
        (LeadTimeMetrics, ("prompt_timestamp generation_complete_timestamp generation_duration_sec "
         "build_start_timestamp build_complete_timestamp build_duration_sec "
         "deployment_start_timestamp deployment_complete_timestamp deployment_duration_sec "
         "total_lead_time_sec")),
        (ReliabilityMetrics, ("uptime_pct error_rate_pct p50_response_time_ms p99_response_time_ms "
         "incidents_last_30d mttr_minutes deployments_last_30d failed_deployments "
         "change_failure_rate")),
    ],
)  # fmt: skip
def test_the_records_have_exactly_these_fields_all_nullable(model: type, names: str) -> None:
    assert model().model_dump() == dict.fromkeys(names.split())


def test_times_are_kept_in_utc_and_need_a_zone() -> None:
    found = LeadTimeMetrics(prompt_timestamp="2026-01-31T14:00:00+02:00")
    assert found.prompt_timestamp == "2026-01-31T12:00:00+00:00"
    with pytest.raises(ValueError, match="a time needs a zone"):
        LeadTimeMetrics(prompt_timestamp="2026-01-31T14:00:00")
