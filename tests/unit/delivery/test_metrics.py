"""Each number of a small fleet follows by hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.metrics.bands import (
    FREQUENCY,
    HOUR,
    LEAD_TIME,
    RECOVERY,
    WEEK,
    band,
    failure_band,
)
from pytest_dora.delivery.metrics.failure_rate import axis
from pytest_dora.delivery.metrics.numbers import weighted_median
from pytest_dora.delivery.metrics.reliability import cost, reliability, touch
from pytest_dora.delivery.metrics.weeks import complete_weeks
from pytest_dora.delivery.observe import Observation, observe
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.delivery.production import dora_metrics
from pytest_dora.model import events as facts
from pytest_dora.model.dora import DoraMetrics, Number
from pytest_dora.model.events import DeploymentState, Event, Method
from pytest_dora.model.production import Proof
from tests.unit.delivery.facts import at, deployed, event, incident

MONTH = Window(at(), at(28))
WATCHED = Policy(incidents_watched=True)


def observed(events: Sequence[Event], policy: Policy = WATCHED, app: str = "shop") -> Observation:
    return observe(fold(app, events), MONTH, at(29), policy)


def metrics(*apps: Sequence[Event], policy: Policy = WATCHED) -> DoraMetrics:
    seen = [observed(events, policy, f"app{number}") for number, events in enumerate(apps)]
    return dora_metrics(seen, MONTH, policy)


def seed() -> Event:
    """Makes an app known since the window's first moment."""
    return event(facts.CostBody(category="other", usd=0), at())


def test_deployments_per_week_are_those_that_served_in_production() -> None:
    found = metrics(
        [
            seed(),
            *deployed("v1", at(1)),
            *deployed("v2", at(9)),
            *deployed("bad", at(10), state=DeploymentState.FAILED),
            *deployed("stage", at(11), environment="staging"),
            *deployed("old", at(-3)),
            *deployed("late", at(28)),
        ]
    ).deployment_frequency
    assert found.deployments == 2
    assert found.deployments_per_week == pytest.approx(0.5)
    assert found.basis == "observed"
    # Garwood's interval for 2: 0.2422 and 7.2247, over four weeks
    assert found.ci95 == pytest.approx((0.2422 / 4, 7.2247 / 4), abs=1e-4)
    assert found.deploy_failure_rate.value == pytest.approx(100 / 3)
    assert found.hours_between.value == pytest.approx((8 * 24 + 4 * 24) / 2)
    assert found.deployment_days_per_week.value == 0.5
    assert found.band is not None
    assert (found.band.band, found.band.reason) == (None, "insufficient_data")


def test_an_app_counts_only_the_time_since_it_is_known() -> None:
    young = metrics([*deployed("v1", at(14, 0, 2), took=timedelta(minutes=2))])
    assert young.deployment_frequency.deployments_per_week == pytest.approx(0.5)


def test_none_in_the_window_is_a_true_zero_and_never_told_is_not_observed() -> None:
    none = metrics([*deployed("v1", at(-9))]).deployment_frequency
    assert (none.deployments_per_week, none.reason) == (0, None)
    assert none.ci95 is not None
    assert none.ci95[0] == 0
    never = metrics([seed()]).deployment_frequency
    assert (never.deployments_per_week, never.reason) == (None, "not_observed")


def test_a_rate_without_scipy_has_no_interval_and_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    found = metrics([seed(), *deployed("v1", at(1))]).deployment_frequency
    assert (found.deployments_per_week, found.ci95) == (0.25, None)


def test_apps_are_pooled_and_their_median_stands_beside() -> None:
    found = metrics(
        [seed(), *(one for day in range(1, 9) for one in deployed(f"v{day}", at(day)))],
        [seed(), *deployed("w1", at(1))],
        [seed(), *deployed("x1", at(1))],
    ).deployment_frequency
    assert found.aggregation == "pooled"
    assert found.deployments_per_week == pytest.approx(10 / 12)
    assert found.median_of_apps.value == pytest.approx(0.25)


def failing_month() -> list[Event]:
    """Four that are judged, one failed by an incident of 30 minutes, one still pending."""
    return [
        seed(),
        *deployed("v1", at(1)),
        *deployed("v2", at(5)),
        incident("i", at(5, 1), at(5, 1, 30), detected_at=at(5, 1, 5), diagnosed_at=at(5, 1, 15),
                 fix_deployed_at=at(5, 1, 25)),
        *deployed("v3", at(9)),
        *deployed("v4", at(12)),
        *deployed("v5", at(27, 23)),
    ]  # fmt: skip


def test_the_change_failure_rate_leaves_out_what_is_still_pending() -> None:
    policy = Policy(incidents_watched=True, observation=timedelta(days=2))
    found = metrics(failing_month(), policy=policy).change_failure_rate
    assert (found.failed, found.sound, found.pending) == (1, 3, 1)
    assert found.percentage == 25
    assert found.evidence == {"incident": 1}
    assert found.ci95 == pytest.approx((4.559, 69.936), abs=1e-3)  # Wilson, 1 of 4


def test_without_anybody_who_would_tell_of_incidents_there_is_no_failure_rate() -> None:
    found = metrics([seed(), *deployed("v1", at(1))], policy=Policy())
    assert found.change_failure_rate.percentage is None
    assert found.change_failure_rate.reason == "incidents_not_observed"
    assert found.deployment_rework_rate.reason == "incidents_not_observed"
    assert found.mttr_minutes.reason == "not_observed"


def test_time_to_restore_and_its_parts() -> None:
    found = metrics(failing_month()).mttr_minutes
    assert (found.median, found.mean, found.open) == (30, 30, 0)
    assert (found.detect.value, found.diagnose.value, found.fix.value) == (5, 10, 10)
    # the deployment served at 5 d 0 h, the incident was over at 5 d 1 h 30 min
    assert found.failed_deployment_recovery.value == 90


def test_incidents_that_go_on_are_censored_and_not_left_out() -> None:
    quick = [incident(f"q{n}", at(n), at(n, 0, 10)) for n in range(1, 3)]
    open_ones = [incident(f"o{n}", at(n)) for n in range(10, 13)]
    found = metrics([seed(), *quick, *open_ones]).mttr_minutes
    assert (found.median, found.reason) == (None, "more_than_half_open")
    assert (found.open, found.mean) == (3, 10)
    more = [incident(f"q{n}", at(n), at(n, 0, 10)) for n in range(3, 6)]
    assert metrics([seed(), *quick, *more, *open_ones]).mttr_minutes.median == 10


def test_a_deployment_that_mended_another_one_is_rework() -> None:
    found = metrics(
        [
            seed(),
            *deployed("v1", at(1)),
            *deployed("v2", at(2)),
            *deployed("again", at(2, 1), version="v1"),
            *deployed("v3", at(3)),
        ]
    ).deployment_rework_rate
    assert (found.rework, found.samples, found.percentage) == (1, 4, 25)


def verdict(tree: str, moment_days: float, *, bad: bool | None) -> Event:
    body = facts.VerdictBody(run_id=f"run-{tree}", fingerprint=tree, predicted_failure=bad)
    return event(body, at(moment_days))


def test_what_was_blocked_and_what_slipped_through() -> None:
    """Trees a, b, c blocked (b evaluated twice); d let through and sound; e let through, failed;
    f deployed against its verdict, and sound."""
    found = metrics(
        [
            seed(),
            *(verdict(tree, 1, bad=True) for tree in "abc"),
            verdict("b", 2, bad=True).model_copy(update={"key": "again"}),
            *(verdict(tree, 1, bad=False) for tree in "de"),
            verdict("f", 1, bad=True),
            verdict("g", 1, bad=None),
            *deployed("v1", at(3), fingerprint="d"),
            *deployed("v2", at(6), fingerprint="e"),
            incident("i", at(6, 1), at(6, 2)),
            *deployed("v3", at(9), fingerprint="f"),
        ]
    ).change_failure_rate
    assert found.catches.samples == 4
    assert found.pre_deployment_catches == 75
    assert found.post_deployment_failures == 25
    told = found.forecasts
    assert (told.predicted_and_failed, told.predicted_and_sound) == (0, 1)
    assert (told.missed, told.sound) == (1, 1)
    assert told.brier.value == pytest.approx(2 / 3)
    assert (told.recall.value, told.precision.value) == (0, 0)


def test_production_proves_an_app_with_enough_sound_deployments_only() -> None:
    few = observed([seed(), *deployed("v1", at(1))])
    assert axis(few).state is Proof.UNPROVEN
    assert axis(few).needed == 21
    many = [one for n in range(22) for one in deployed(f"v{n}", at(n))]
    assert axis(observed([seed(), *many])).state is Proof.PROVEN
    bad = [incident(f"i{n}", at(n, 1), at(n, 2)) for n in range(8)]
    assert axis(observed([seed(), *many[:16], *bad])).state is Proof.BREACHED
    assert axis(observed([seed(), *many], Policy())).reason == "incidents_not_observed"


def test_reliability_weighs_hours_and_requests() -> None:
    def hour(number: int, **values: float) -> Event:
        start = at(1, number)
        body = facts.HealthBody.model_validate(
            {"start": start, "end": start + timedelta(hours=1), **values}
        )
        return event(body, start)

    queries = facts.QueryFailuresBody(start=at(1), end=at(1, 1), queries=200, failures=1)
    found = reliability(
        [
            observed(
                [
                    seed(),
                    hour(0, uptime=1, requests=900, errors=9, p50_ms=10, p99_ms=100),
                    hour(1, uptime=0.5, requests=100, errors=1, p50_ms=30, p99_ms=900),
                    hour(2, requests=5),
                    event(queries, at(1)),
                ]
            )
        ]
    )
    assert found.uptime.value == 75
    assert found.error_rate.value == 1
    assert (found.p50_ms.value, found.p99_ms.value) == (10, 100)
    assert found.query_failure_rate.value == 0.5
    nothing = reliability([observed([seed()])])
    assert (nothing.uptime.value, nothing.uptime.reason) == (None, "not_observed")


def test_cost_per_deployment_includes_what_failed() -> None:
    def generated(usd: float | None, *, success: bool, key: str) -> Event:
        body = facts.GenerationBody(prompt_at=at(1), success=success, cost_usd=usd)
        return event(body, at(1), key=key)

    policy = Policy(incidents_watched=True, human_hours_per_app=10, human_usd_per_hour=50)
    paid = facts.CostBody(category="deployment", usd=2, reference="deployment/v2")
    found = cost(
        [
            observed(
                [
                    seed(),
                    generated(3, success=False, key="one"),
                    generated(4, success=True, key="two"),
                    generated(None, success=False, key="three"),
                    *deployed("v1", at(2), cost_usd=1),
                    *deployed("v2", at(3), cost_usd=9),
                    event(paid, at(3)),
                ],
                policy,
            )
        ],
        policy,
    )
    assert found.total.value == 3 + 4 + 1 + 2
    assert found.per_deployment.value == 5
    assert found.coverage.value == 80
    assert found.human_per_app.value == 500
    assert found.ratio_to_human.value == pytest.approx(10 / 500)


def test_zero_touch_is_what_nobody_started() -> None:
    ways = [Method.AUTOMATED, Method.AUTOMATED, Method.CI, Method.MANUAL, None]
    events = [
        one for n, method in enumerate(ways) for one in deployed(f"v{n}", at(n), method=method)
    ]
    found = touch([observed([seed(), *events])])
    assert found.zero_touch_rate.value == 50
    assert (found.ci, found.manual, found.unknown) == (1, 1, 1)


@settings(max_examples=40, deadline=None)
@given(st.permutations(failing_month()))
def test_the_order_of_arrival_changes_no_number(events: list[Event]) -> None:
    assert metrics(events) == metrics(failing_month())


def test_pull_requests_have_parts() -> None:
    bodies = (
        facts.ChangeBody(
            commit_sha="a", authored_at=at(1), committed_at=at(1), opened_at=at(2),
            merged_at=at(4), pull_request="7",
        ),
        facts.DeploymentChangesBody(deployment="deployment/v1", commit_shas=("a",)),
    )  # fmt: skip
    events = [seed(), *deployed("v1", at(9)), *(event(body, at(5)) for body in bodies)]
    found = metrics(events).lead_time_for_changes
    parts = (found.coding, found.review, found.merge_to_deploy, found.change_lead_time)
    assert [part.value and part.value / 86400 for part in parts] == [1, 2, 5, 8]
    assert metrics([seed()]).lead_time_for_changes.coding.reason == "not_observed"


def test_a_window_that_is_split_counts_everything_once() -> None:
    events = failing_month()
    halves = [
        observe(fold("shop", events), half, at(29), WATCHED)
        for half in (Window(at(), at(9)), Window(at(9), at(28)))
    ]
    whole = observed(events)
    assert sum(len(one.judged) for one in halves) == len(whole.judged)
    assert sum(one.rework for one in halves) == whole.rework
    assert sum(len(one.incidents) for one in halves) == len(whole.incidents)


def test_what_is_first_told_at_its_end_counts_all_the_same() -> None:
    """A generation, an incident and a day of measurements are told when they are over."""
    made = facts.GenerationBody(prompt_at=at(1), completed_at=at(1, 1), success=True, cost_usd=5)
    day = facts.HealthBody(start=at(0, 12), end=at(1, 12), uptime=0.5)
    seen = observed(
        [
            event(made, at(1, 1)),
            incident("i", at(0, 23), at(1, 2)),
            event(day, at(1, 12)),
            *deployed("v1", at(2)),
        ]
    )
    assert cost([seen], WATCHED).total.value == 5
    assert len(seen.incidents) == 1
    assert reliability([seen]).uptime.value == 50


def test_an_outage_that_goes_on_is_not_forgotten_with_the_month() -> None:
    events = [*deployed("v1", at(-3)), incident("i", at(-2))]
    found = metrics([seed(), *events]).mttr_minutes
    assert (found.open, found.failed_deployments_open) == (1, 1)
    assert found.reason == "more_than_half_open"


def test_incidents_of_unknown_environments_leave_no_failure_rate() -> None:
    unclear = event(
        facts.IncidentBody(incident="i", started_at=at(1, 1)), at(1, 1), environment="eu-cluster-1"
    )
    found = metrics([seed(), *deployed("v1", at(1)), unclear]).change_failure_rate
    assert (found.percentage, found.reason) == (None, "incidents_unusable")


def test_measuring_an_app_does_not_mean_that_incidents_would_be_told() -> None:
    day = facts.HealthBody(start=at(1), end=at(2), uptime=0)
    found = metrics([seed(), *deployed("v1", at(1)), event(day, at(2))], policy=Policy())
    assert found.change_failure_rate.reason == "incidents_not_observed"


def test_what_nobody_has_looked_at_is_not_counted_as_nothing() -> None:
    history = fold("shop", [seed(), *deployed("v1", at(1))])
    seen = observe(history, MONTH, at(28), WATCHED, known_until=at(14))
    found = dora_metrics([seen], MONTH, WATCHED).deployment_frequency
    assert found.deployments_per_week == pytest.approx(0.5)
    late = observe(history, MONTH, at(28), WATCHED, known_until=at(1, 12))
    assert dora_metrics([late], MONTH, WATCHED).change_failure_rate.reason == "pending"


def test_deployments_that_name_no_tree_leave_nothing_to_compare_with() -> None:
    events = [seed(), *(verdict(tree, 1, bad=True) for tree in "abc"), *deployed("v1", at(2))]
    found = metrics(events).change_failure_rate.catches
    assert (found.value, found.reason) == (None, "unjoined_deployments")


def test_the_last_verdict_on_a_tree_counts_and_one_without_a_tree_does_not() -> None:
    nameless = event(facts.VerdictBody(run_id="r", predicted_failure=True), at(1))
    again = verdict("a", 2, bad=False).model_copy(update={"key": "again"})
    found = metrics(
        [seed(), verdict("a", 1, bad=True), again, nameless, verdict("b", 1, bad=True),
         *deployed("v1", at(3), fingerprint="c")]
    ).change_failure_rate.catches  # fmt: skip
    assert (found.value, found.samples) == (100, 1)


def test_what_was_said_afterwards_is_no_forecast() -> None:
    late = verdict("a", 9, bad=True)
    found = metrics(
        [seed(), verdict("a", 1, bad=False), late.model_copy(update={"key": "late"}),
         *deployed("v1", at(3), fingerprint="a"), incident("i", at(3, 1), at(3, 2))]
    ).change_failure_rate.forecasts  # fmt: skip
    assert (found.missed, found.predicted_and_failed) == (1, 0)


def test_deployments_whose_cost_is_unknown_were_not_free() -> None:
    paid = observed([seed(), *deployed("v1", at(2), cost_usd=10)])
    free = observed([*deployed("w1", at(2)), *deployed("w2", at(3))], app="other")
    found = cost([paid, free], WATCHED)
    assert (found.per_deployment.value, found.coverage.value) == (10, pytest.approx(100 / 3))


def test_a_cost_replaces_what_it_refers_to_of_its_own_kind_whenever_it_was_paid() -> None:
    made = facts.GenerationBody(prompt_at=at(1), success=True, cost_usd=4)
    invoices = [
        facts.CostBody(category="generation", usd=5, reference="g"),
        facts.CostBody(category="evaluation", usd=0.5, reference="deployment/v1"),
        facts.CostBody(category="deployment", usd=8, reference="deployment/v1"),
    ]
    events = [event(made, at(1), key="g"), *deployed("v1", at(2), cost_usd=9)]
    paid = [event(body, at(40)) for body in invoices[:1] + invoices[2:]]
    seen = observed([seed(), *events, event(invoices[1], at(3)), *paid])
    assert cost([seen], WATCHED).total.value == 5 + 8 + 0.5


def test_an_app_of_yesterday_has_no_rate_per_week() -> None:
    found = metrics(deployed("v1", at(27))).deployment_frequency
    assert (found.deployments, found.deployments_per_week) == (1, None)
    assert found.reason == "too_young"


def test_a_fleet_that_grows_is_no_trend() -> None:
    long = Window(at(), at(70))
    seen = [
        observe(
            fold(f"app{n}", [one for week in range(n, 10) for one in
                             deployed(f"{n}-{week}", at(7 * week, 0, 2))]),
            long, at(71), WATCHED,
        )
        for n in range(10)
    ]  # fmt: skip
    assert dora_metrics(seen, long, WATCHED).deployment_frequency.trend == "stable"


def test_two_that_ended_have_the_middle_of_both() -> None:
    found = metrics([seed(), incident("a", at(1), at(1, 1)), incident("b", at(2), at(2, 2))])
    assert found.mttr_minutes.median == 90


def test_who_deployed_is_told_only_where_it_is_known_of_most() -> None:
    events = [one for n in range(4) for one in deployed(f"v{n}", at(n))]
    events += deployed("auto", at(5), method=Method.AUTOMATED)
    found = touch([observed([seed(), *events])]).zero_touch_rate
    assert (found.value, found.reason) == (None, "method_unknown")


@pytest.mark.parametrize("events", [[], [seed()], deployed("v1", at(27)), failing_month()])
@pytest.mark.parametrize("policy", [Policy(), WATCHED])
def test_every_number_that_is_null_says_why(events: list[Event], policy: Policy) -> None:
    seen = observed(events, policy)
    parts = [dora_metrics([seen], MONTH, policy), reliability([seen]), cost([seen], policy),
             touch([seen])]  # fmt: skip

    def walk(value: object, where: str) -> None:
        if isinstance(value, Number):
            assert (value.value is None) == (value.reason is not None), where
            assert value.value is None or value.basis is not None, where
        if isinstance(value, BaseModel):
            for name in type(value).model_fields:
                if name != "estimated":
                    walk(getattr(value, name), f"{where}.{name}")

    for part in parts:
        walk(part, type(part).__name__)
    for name in DoraMetrics.model_fields:
        metric = getattr(parts[0], name)
        assert (metric.basis is None) == (metric.reason is not None), name


@pytest.mark.parametrize(
    ("found", "edition", "expected", "reason"),
    [
        (band(FREQUENCY, 8, "2024", (7, 9)), "2024", "elite", None),
        (band(FREQUENCY, 8, "2024", (3, 20)), "2024", None, "insufficient_data"),
        (band(FREQUENCY, 8, "2024", None), "2024", None, "insufficient_data"),
        (band(FREQUENCY, 0.5, "2023", (0.4, 0.6)), "2023", None, "medium_or_low"),
        (band(FREQUENCY, 0.0, "2024", (0, 1)), "2024", None, "between_clusters"),
        (band(LEAD_TIME, 2 * WEEK, "2024", (WEEK, 3 * WEEK)), "2024", "medium", None),
        (band(RECOVERY, 2 * HOUR, "2024", (HOUR, 3 * HOUR)), "2024", None, "high_or_medium"),
        (band(RECOVERY, 3 * 86400, "2024", None), "2024", None, "between_clusters"),
        (band(RECOVERY, None, "2024", None), "2024", None, "no_value"),
        (band(RECOVERY, 1, "2025", (1, 1)), "2025", None, "no_levels_in_this_edition"),
        (failure_band(3, "2024", (2, 5)), "2024", "elite", None),
        (failure_band(0, "2024", (0, 79)), "2024", None, "insufficient_data"),
        (failure_band(12, "2024", (11, 13)), "2024", None, "between_clusters"),
        (failure_band(70, "2023", (65, 75)), "2023", "low", None),
    ],
)
def test_bands_are_null_where_an_edition_has_no_name_or_two(
    found: object, edition: str, expected: str | None, reason: str | None
) -> None:
    assert found.model_dump() == {"edition": edition, "band": expected, "reason": reason}  # type: ignore[attr-defined]


def test_only_whole_weeks_from_monday_to_monday_count_in_a_trend() -> None:
    weeks = complete_weeks(Window(at(0, 1), at(22)))
    assert [(one.start, one.end) for one in weeks] == [(at(7), at(14)), (at(14), at(21))]
    assert complete_weeks(Window(at(0), at(7))) == [Window(at(0), at(7))]
    assert complete_weeks(Window(at(1), at(8))) == []


def test_eight_weeks_show_where_it_is_heading() -> None:
    long = Window(at(), at(70))
    events = [seed()]
    for week in range(10):
        for day in range(min(week, 6) + 1):
            events += deployed(f"v{week}-{day}", at(7 * week + day))
    seen = observe(fold("shop", events), long, at(71), WATCHED)
    found = dora_metrics([seen], long, WATCHED).deployment_frequency
    assert found.trend == "improving"
    assert found.trend_detail.weeks == 10
    short = metrics(events).deployment_frequency
    assert short.trend == "insufficient_data"


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=20))
def test_a_weighted_median_has_half_of_the_weight_on_each_side(
    pairs: list[tuple[float, float]],
) -> None:
    found = weighted_median(pairs)
    total = sum(weight for _, weight in pairs)
    if total == 0:
        assert found is None
    else:
        assert found is not None
        slack = 1e-9 * total
        assert sum(weight for value, weight in pairs if value < found) <= total / 2 + slack
        assert sum(weight for value, weight in pairs if value > found) <= total / 2 + slack
