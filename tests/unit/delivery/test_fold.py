from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.environments import EnvironmentTier
from pytest_dora.delivery.fold import fold
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event
from tests.unit.delivery.facts import at, deployed, event, incident

STATES = st.sampled_from(list(DeploymentState))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found: list[Event] = []
    for number in range(draw(st.integers(0, 5))):
        moment = at(hours=draw(st.integers(0, 200)))
        source = draw(st.sampled_from(["github", "fly", "record"]))
        found += deployed(
            f"{source}-{number}",
            moment,
            state=draw(STATES),
            source=source,
            version=draw(st.sampled_from(["v1", "v2"])),
            environment=draw(st.sampled_from(["production", "staging", "somewhere"])),
        )
    for number in range(draw(st.integers(0, 3))):
        start = at(hours=draw(st.integers(0, 200)))
        found.append(incident(f"i{number}", start))
        if draw(st.booleans()):
            found.append(incident(f"i{number}", None, start + timedelta(hours=1)))
    return found


@settings(max_examples=60, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_fold_to_the_same_history(
    events: list[Event], chance: random.Random
) -> None:
    shuffled = events + [chance.choice(events) for _ in range(3)] if events else []
    chance.shuffle(shuffled)
    assert fold("shop", shuffled) == fold("shop", events)


def test_a_deployment_has_finished_when_it_served_whatever_is_said_of_it_later() -> None:
    events = deployed("v1", at(1))
    superseded = facts.DeploymentStatusBody(
        deployment="deployment/v1", state=DeploymentState.SUPERSEDED
    )
    events.append(event(superseded, at(9)))
    (one,) = fold("shop", events).deployments
    assert (one.state, one.finished_at) == (DeploymentState.SUCCESS, at(1))


def test_a_deployment_that_failed_after_it_served_has_both() -> None:
    failed = facts.DeploymentStatusBody(deployment="deployment/v1", state=DeploymentState.FAILED)
    (one,) = fold("shop", [*deployed("v1", at(1)), event(failed, at(1, 2))]).deployments
    assert one.served
    assert one.failed_after == at(1, 2)


def test_a_retry_that_succeeds_is_a_success_at_its_own_time() -> None:
    events = deployed("v1", at(1), state=DeploymentState.FAILED)
    again = facts.DeploymentStatusBody(deployment="deployment/v1", state=DeploymentState.SUCCESS)
    (one,) = fold("shop", [*events, event(again, at(1, 1))]).deployments
    assert (one.served, one.finished_at) == (True, at(1, 1))
    assert one.failed_after is None


def test_one_release_told_by_two_sources_is_one_deployment_by_the_platforms_word() -> None:
    by_pipeline = deployed("run-7", at(1, minutes=3), source="github", version=None, commit_sha="a")
    by_platform = deployed("fly-3", at(1), source="fly", version="3", commit_sha="a")
    (one,) = fold("shop", [*by_pipeline, *by_platform]).deployments
    assert (one.key, one.finished_at) == ("deployment/fly-3", at(1))
    assert one.also == ("deployment/run-7",)


def test_two_releases_of_one_commit_in_one_source_stay_two() -> None:
    events = [*deployed("a", at(1), commit_sha="x"), *deployed("b", at(1, 0, 5), commit_sha="x")]
    assert len(fold("shop", events).deployments) == 2


def test_later_words_on_an_incident_complete_the_earlier_ones() -> None:
    first = facts.IncidentBody(incident="i", started_at=at(1), title="down")
    second = facts.IncidentBody(incident="i", diagnosed_at=at(1, 1))
    third = facts.IncidentBody(incident="i", resolved_at=at(1, 2), title="database down")
    moments = zip((first, second, third), (at(1), at(1, 1), at(1, 2)), strict=True)
    (one,) = fold("shop", [event(body, moment) for body, moment in moments]).incidents
    assert (one.started_at, one.diagnosed_at, one.resolved_at) == (at(1), at(1, 1), at(1, 2))
    assert one.title == "database down"


def test_what_cannot_be_counted_is_counted_as_such() -> None:
    orphan = facts.DeploymentStatusBody(deployment="nobody", state=DeploymentState.SUCCESS)
    history = fold(
        "shop",
        [
            event(orphan, at(1)),
            *deployed("v1", at(1), environment="somewhere"),
            incident("i", at(2)),
            incident("copy", at(2), duplicate_of="incident/i"),
            event(facts.HealthBody(start=at(1), end=at(2), uptime=0), at(2), environment="qa"),
        ],
    )
    assert history.uncounted == {
        "status_without_deployment": 1,
        "unknown_environment": 1,
        "duplicate_incident": 1,
        "measured_outside_production": 1,
    }
    assert [one.key for one in history.incidents] == ["incident/i"]


def test_an_incident_of_which_no_beginning_is_told_began_when_it_was_first_told_of() -> None:
    told = facts.IncidentBody(incident="i", title="down")
    over = facts.IncidentBody(incident="i", resolved_at=at(3))
    (one,) = fold("shop", [event(over, at(3)), event(told, at(2))]).incidents
    assert (one.began_at, one.resolved_at) == (at(2), at(3))


def test_duplicates_are_one_incident_that_knows_what_all_of_them_know() -> None:
    first = facts.IncidentBody(incident="a", title="down", detected_at=at(2))
    second = facts.IncidentBody(incident="b", started_at=at(1), duplicate_of="a")
    (one,) = fold("shop", [event(first, at(2)), event(second, at(2))]).incidents
    assert (one.key, one.began_at) == ("a", at(1))
    circle = [
        event(facts.IncidentBody(incident=name, started_at=at(1), duplicate_of=other), at(1))
        for name, other in (("a", "b"), ("b", "a"))
    ]
    assert [one.key for one in fold("shop", circle).incidents] == ["a"]


def test_an_incident_that_starts_again_goes_on() -> None:
    over = facts.IncidentBody(incident="i", started_at=at(1), resolved_at=at(2))
    again = facts.IncidentBody(incident="i", started_at=at(3))
    (one,) = fold("shop", [event(over, at(2)), event(again, at(3))]).incidents
    assert (one.started_at, one.resolved_at) == (at(3), None)


def test_a_platform_and_who_deployed_to_it_are_one_also_without_a_common_name() -> None:
    events = [
        *deployed("g1", at(1), source="github", version=None, commit_sha="a"),
        *deployed("f1", at(1, 0, 4), source="fly", version="1"),
        *deployed("g2", at(1, 0, 20), source="github", version=None, commit_sha="b"),
        *deployed("f2", at(1, 0, 18), source="fly", version="2"),
    ]
    found = {(one.key, one.commit_sha) for one in fold("shop", events).deployments}
    assert found == {("deployment/f1", "a"), ("deployment/f2", "b")}


def test_an_attempt_that_failed_is_not_the_release_that_served() -> None:
    events = [
        *deployed("c1", at(1), source="ci", state=DeploymentState.FAILED, commit_sha="a"),
        *deployed("c2", at(1, 0, 10), source="ci", commit_sha="a"),
        *deployed("f1", at(1, 0, 9), source="fly", version="1"),
    ]
    found = {one.key: one.state.value for one in fold("shop", events).deployments}
    assert found == {"deployment/c1": "failed", "deployment/f1": "success"}


def test_who_has_seen_the_end_says_how_it_ended() -> None:
    events = [
        *deployed("f1", at(1), source="fly", state=DeploymentState.IN_PROGRESS, commit_sha="a"),
        *deployed("g1", at(1, 0, 1), source="github", commit_sha="a"),
    ]
    (one,) = fold("shop", events).deployments
    assert (one.key, one.served, one.finished_at) == ("deployment/f1", True, at(1, 0, 1))


def test_two_facts_with_one_key_contradict_each_other_and_the_earlier_one_counts() -> None:
    one = incident("i", at(1))
    other = one.model_copy(update={"occurred_at": at(2)})
    assert fold("shop", [other, one]) == fold("shop", [one, other])
    assert fold("shop", [one, other]).uncounted == {"conflicting_duplicate": 1}


def test_a_deployment_of_which_no_beginning_is_told_has_none() -> None:
    body = facts.DeploymentBody(deployment="d", version="v1")
    status = facts.DeploymentStatusBody(deployment="d", state=DeploymentState.SUCCESS)
    told = [event(one, at(1), environment="production") for one in (body, status)]
    (one,) = fold("shop", told).deployments
    assert (one.began_at, one.finished_at) == (None, at(1))


def test_a_later_word_on_a_commit_takes_nothing_back() -> None:
    merge = facts.ChangeBody(commit_sha="m", is_merge=True, reverts=("x",), committed_at=at(1))
    again = facts.ChangeBody.model_validate_json(
        facts.ChangeBody(commit_sha="m", pull_request="7").model_dump_json()
    )
    found = fold("shop", [event(merge, at(1)), event(again, at(2))]).changes["m"]
    assert (found.is_merge, found.reverts, found.pull_request) == (True, ("x",), "7")
    assert found.committed_at == at(1)


def test_the_evaluators_own_list_names_the_tier() -> None:
    events = deployed("v1", at(1), environment="github-pages")
    named = fold("shop", events, {"github-pages": "production"})
    assert named.deployments[0].tier is EnvironmentTier.PRODUCTION
    assert fold("shop", events).deployments[0].tier is EnvironmentTier.UNKNOWN
