from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pytest_dora.delivery.failures import Judged, Judgement, judge
from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.policy import Policy
from pytest_dora.delivery.releases import last_before, previous_successful
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event
from tests import vectors
from tests.unit.delivery.facts import at, deployed, event, incident

LATER = at(100)
DEFAULT = Policy()


def judged(*events: Event, policy: Policy = DEFAULT, now: datetime = LATER) -> dict[str, Judgement]:
    found = judge(fold("shop", events), policy, now).judged
    return {one.deployment.key.removeprefix("deployment/"): one for one in found}


def states(found: dict[str, Judgement]) -> dict[str, str]:
    return {name: f"{one.state.value}:{one.evidence}" for name, one in found.items()}


def test_a_deployment_that_nothing_speaks_against_is_sound_once_it_served_long_enough() -> None:
    assert judged(*deployed("v1", at(1)))["v1"].state is Judged.SOUND
    young = judged(*deployed("v1", at(1)), now=at(1, 23))
    assert young["v1"].state is Judged.PENDING


def test_an_incident_that_names_its_cause_is_believed_however_late() -> None:
    found = judged(
        *deployed("v1", at(1)),
        *deployed("v2", at(5)),
        incident("i", at(9), at(9, 1), caused_by="v1"),
    )
    assert states(found) == {"v1": "failed:explicit", "v2": "sound:None"}
    assert found["v1"].restored_at == at(9, 1)


def test_an_incident_that_names_a_version_deployed_twice_means_the_last_one_before_it() -> None:
    found = judged(
        *deployed("a", at(1), version="v1"),
        *deployed("b", at(3), version="v2"),
        *deployed("c", at(5), version="v1", rollback=False),
        incident("i", at(6), at(7), caused_by="v1"),
    )
    assert states(found) == {"a": "sound:None", "b": "sound:None", "c": "failed:explicit"}


def test_an_incident_that_names_what_was_never_deployed_is_nobodys() -> None:
    history = fold("shop", [*deployed("v1", at(1)), incident("i", at(1, 2), caused_by="v9")])
    found = judge(history, Policy(), LATER)
    assert found.judged[0].state is Judged.SOUND
    assert [one.key for one in found.unattributed] == ["incident/i"]


def test_bringing_an_earlier_version_back_says_that_what_came_after_it_failed() -> None:
    found = judged(
        *deployed("v1", at(1)),
        *deployed("v2", at(2)),
        *deployed("v3", at(3)),
        *deployed("again", at(4), version="v1"),
    )
    assert states(found)["v2"] == "failed:rollback"
    assert states(found)["v3"] == "sound:None"
    assert found["v2"].restored_at == at(4)


def test_the_same_version_again_is_no_rollback() -> None:
    found = judged(*deployed("v1", at(1)), *deployed("again", at(2), version="v1"))
    assert set(states(found).values()) == {"sound:None"}


def test_a_rollback_to_a_version_before_our_time_condemns_the_one_before_it() -> None:
    found = judged(*deployed("v2", at(1)), *deployed("back", at(2), version="v1", rollback=True))
    assert states(found) == {"v2": "failed:rollback", "back": "sound:None"}


def test_a_commit_that_takes_back_another_condemns_the_deployment_that_brought_it() -> None:
    brought = facts.DeploymentChangesBody(deployment="deployment/v1", commit_shas=("bad",))
    mended = facts.DeploymentChangesBody(deployment="deployment/v3", commit_shas=("good",))
    change = facts.ChangeBody(commit_sha="good", committed_at=at(2), reverts=("bad",))
    bad = facts.ChangeBody(commit_sha="bad", committed_at=at(0, 1))
    found = judged(
        *deployed("v1", at(1)),
        *deployed("v2", at(2)),
        *deployed("v3", at(3)),
        *(event(body, at(3)) for body in (brought, mended, change, bad)),
    )
    assert states(found) == {"v1": "failed:revert", "v2": "sound:None", "v3": "sound:None"}


def test_rework_condemns_what_it_mends_and_never_the_rollback_in_between() -> None:
    found = judged(
        *deployed("v1", at(1)),
        *deployed("v2", at(2)),
        *deployed("back", at(2, 1), version="v1"),
        *deployed("v3", at(3), rework=True),
    )
    assert states(found) == {
        "v1": "sound:None",
        "v2": "failed:rollback",
        "back": "sound:None",
        "v3": "sound:None",
    }


def test_an_incident_of_nobody_is_the_last_deployments_within_the_window() -> None:
    events = [*deployed("v1", at(1)), *deployed("v2", at(2))]
    near = judged(*events, incident("i", at(2, 23), at(3)))
    assert states(near) == {"v1": "sound:None", "v2": "failed:incident"}
    far = judge(fold("shop", [*events, incident("i", at(3, 1), at(4))]), Policy(), LATER)
    assert [one.state for one in far.judged] == [Judged.SOUND, Judged.SOUND]
    assert len(far.unattributed) == 1


def test_an_incident_during_the_roll_out_is_the_new_ones() -> None:
    took = timedelta(minutes=10)
    events = [*deployed("v1", at(1)), *deployed("v2", at(2), took=took)]
    during = at(2) - timedelta(minutes=2)
    assert states(judged(*events, incident("i", during, at(2, 1))))["v2"] == "failed:incident"
    named = judged(*events, incident("i", during, at(2, 1), caused_by="v2"))
    assert states(named) == {"v1": "sound:None", "v2": "failed:explicit"}
    assert states(judged(*events, incident("i", at(2), at(3))))["v2"] == "failed:incident"


def test_an_incident_of_a_deployment_that_never_served_condemns_none_that_did() -> None:
    failed = deployed("v2", at(1, 3), state=DeploymentState.FAILED)
    for cause in (None, "v2"):
        found = judge(
            fold("shop", [*deployed("v1", at(1)), *failed, incident("i", at(1, 4), at(1, 5), caused_by=cause)]),
            Policy(), LATER,
        )  # fmt: skip
        assert [one.state for one in found.judged] == [Judged.SOUND]
        assert found.unattributed == ()


def test_an_empty_cause_names_nobody() -> None:
    body = facts.IncidentBody(incident="i", started_at=at(1, 1), caused_by=facts.Cause())
    assert states(judged(*deployed("v1", at(1)), event(body, at(1, 1))))["v1"] == "failed:incident"


def test_one_failure_with_an_incident_and_a_rollback_counts_once() -> None:
    found = judged(
        *deployed("v1", at(1)),
        *deployed("v2", at(5)),
        incident("i", at(5, 1), at(5, 3)),
        *deployed("back", at(5, 2), version="v1"),
    )
    assert states(found) == {"v1": "sound:None", "v2": "failed:rollback", "back": "sound:None"}
    assert found["v2"].restored_at == at(5, 3)
    assert len(found["v2"].incidents) == 1


def test_what_mends_a_failure_that_is_known_condemns_nothing_else() -> None:
    found = judged(
        *deployed("v1", at(1)),
        incident("i", at(2), at(4), caused_by="v1"),
        *deployed("v2", at(3)),
        *deployed("v3", at(3, 1), rework=True),
    )
    assert states(found) == {"v1": "failed:explicit", "v2": "sound:None", "v3": "sound:None"}
    assert found["v1"].remedy is not None
    assert found["v1"].remedy.version == "v3"


def test_regions_have_nothing_to_do_with_one_another() -> None:
    eu, us = "prod-eu", "prod-us"
    found = judged(
        *deployed("e1", at(1), version="v1", environment=eu),
        *deployed("e2", at(2), version="v2", environment=eu),
        *deployed("u1", at(3), version="v1", environment=us),
    )
    assert set(states(found).values()) == {"sound:None"}


def test_an_image_that_is_always_called_the_same_hides_no_rollback() -> None:
    found = judged(
        *(
            one
            for day, version in enumerate(("v1", "v2", "v1"), 1)
            for one in deployed(f"d{day}", at(day), version=version, artifact="shop:latest")
        )
    )
    assert states(found)["d2"] == "failed:rollback"


def test_the_same_version_again_is_no_rollback_even_if_it_is_called_one() -> None:
    found = judged(*deployed("v1", at(1)), *deployed("again", at(2), version="v1", rollback=True))
    assert set(states(found).values()) == {"sound:None"}


def test_while_an_incident_goes_on_nothing_has_mended_it() -> None:
    found = judged(*deployed("v1", at(1)), incident("i", at(1, 1)), *deployed("v2", at(20)))
    assert (found["v1"].remedy, found["v1"].restored_at) == (None, None)


def test_young_deployments_are_pending_whether_or_not_something_speaks_against_them() -> None:
    events = [*deployed("v1", at(1)), *deployed("v2", at(1, 2)), incident("i", at(1, 3), at(1, 4))]
    young = judged(*events, now=at(1, 5))
    assert states(young) == {"v1": "pending:None", "v2": "pending:incident"}


def test_nothing_is_sound_while_an_incident_could_still_be_blamed_on_it() -> None:
    policy = Policy(attribution=timedelta(days=7), observation=timedelta(hours=1))
    assert judged(*deployed("v1", at(1)), policy=policy, now=at(2))["v1"].state is Judged.PENDING


def test_trouble_that_came_from_outside_is_no_change_failure() -> None:
    found = judged(*deployed("v1", at(1)), incident("i", at(1, 1), at(1, 2), external_cause=True))
    assert states(found) == {"v1": "sound:None"}


def test_what_its_source_calls_failed_after_it_served_has_failed() -> None:
    failed = facts.DeploymentStatusBody(deployment="deployment/v1", state=DeploymentState.FAILED)
    found = judged(*deployed("v1", at(1)), event(failed, at(1, 1)), *deployed("v2", at(1, 3)))
    assert states(found)["v1"] == "failed:explicit"
    assert found["v1"].remedy is not None
    assert found["v1"].restored_at == at(1, 3)


def test_a_failure_with_an_open_incident_is_not_restored_by_a_deployment() -> None:
    found = judged(*deployed("v1", at(1)), incident("i", at(1, 1)), *deployed("v2", at(1, 2)))
    assert found["v1"].restored_at is None


# --- other tools' vectors -------------------------------------------------------------------


def devlake_deployments(name: str, file: str, app: dict[str, str]) -> list[Event]:
    found: list[Event] = []
    for row in vectors.rows(name, file):
        scope = app.get(row["cicd_scope_id"])
        if scope is None:
            continue
        finished = datetime.fromisoformat(row["finished_date"])
        state = DeploymentState.SUCCESS if row["result"] == "SUCCESS" else DeploymentState.FAILED
        found += deployed(
            row["id"],
            finished,
            state=state,
            took=finished - datetime.fromisoformat(row["started_date"]),
            environment=row["environment"],
            app=scope,
            artifact=row["cicd_deployment_id"],
            repository=row["repo_url"],
        )
    return found


def test_devlakes_incidents_meet_the_same_deployments() -> None:
    name = "02_devlake_incident_to_deployment"
    mapping = vectors.rows(name, "project_mapping.csv")
    project = {row["row_id"]: row["project_name"] for row in mapping}
    scopes = {row["row_id"]: row["project_name"] for row in mapping if "cicd" in row["row_id"]}
    events = devlake_deployments(name, "cicd_deployment_commits_after.csv", scopes)
    links = {}
    for row in vectors.rows(name, "incidents.csv"):
        app = project.get(row["scope_id"])
        created = datetime.fromisoformat(row["created_date"] + "+00:00")
        history = fold("any", [one for one in events if one.app_id == app])
        # any age: that tool has no attribution window
        found = last_before(history.production, created)
        if found is not None:
            links[row["id"]] = found.artifact
    expected = vectors.rows(name, "project_incident_deployment_relationships.csv")
    assert links == {row["id"]: row["deployment_id"] for row in expected}


def test_devlakes_previous_successful_deployments_are_ours() -> None:
    name, after = "03_devlake_prev_success_deployment", "cicd_deployment_commits_after.csv"
    scopes = {
        row["row_id"]: row["row_id"]
        for row in vectors.rows(name, "project_mapping.csv")
        if row["project_name"] == "project1" and row["table"] == "cicd_scopes"
    }
    expected = {
        row["id"]: row["prev_success_deployment_commit_id"] or None
        for row in vectors.rows(name, after)
        if row["cicd_scope_id"] in scopes and row["environment"]
    }
    found: dict[str, str | None] = dict.fromkeys(expected)
    events = devlake_deployments(name, after, scopes)
    repositories = {
        one.body.repository for one in events if isinstance(one.body, facts.DeploymentBody)
    }
    for scope in scopes:
        for repository in repositories:  # an app is one repository in one scope
            keys = {
                one.body.deployment
                for one in events
                if isinstance(one.body, facts.DeploymentBody)
                and one.body.repository == repository
                and one.app_id == scope
            }
            own = [one for one in events if getattr(one.body, "deployment", None) in keys]
            before = previous_successful(fold(scope, own).deployments)
            found.update(
                {
                    key.removeprefix("deployment/"): one.key.removeprefix("deployment/")
                    for key, one in before.items()
                    if key.removeprefix("deployment/") in expected
                }
            )
    assert found == expected


@pytest.mark.parametrize("window", [timedelta(hours=1), None])
def test_the_attribution_window_is_a_choice(window: timedelta | None) -> None:
    found = judged(
        *deployed("v1", at(1)), incident("i", at(2), at(3)), policy=Policy(attribution=window)
    )
    assert (found["v1"].state is Judged.FAILED) is (window is None)
