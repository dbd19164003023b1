from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.lead_times import (
    change_lead_times,
    prompt_lead_times,
    pull_request_times,
)
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event, RunOutcome
from tests import vectors
from tests.unit.delivery.facts import at, deployed, event

MINUTE = 60.0


def generated(prompt: datetime, done: datetime | None, **more: object) -> Event:
    body = facts.GenerationBody.model_validate(
        {"prompt_at": prompt, "completed_at": done, "success": True, **more}
    )
    return event(body, prompt)


def commit(sha: str, moment: datetime | None, **more: object) -> Event:
    body = facts.ChangeBody.model_validate({"commit_sha": sha, "committed_at": moment, **more})
    return event(body, at(0))


def brought(name: str, *shas: str) -> Event:
    return event(
        facts.DeploymentChangesBody(deployment=f"deployment/{name}", commit_shas=shas), at(0)
    )


def test_every_instant_between_prompt_and_production_is_counted_once() -> None:
    """Prompt 0:00, generated 0:05, pipeline 0:10 to 0:30 with a build 0:12 to 0:20 in it, deployed
    from 0:25 to 0:40: five minutes lie between, in which nobody knows of anything."""
    invalid: Counter[str] = Counter()
    build = facts.BuildBody(
        started_at=at(0, 0, 12), finished_at=at(0, 0, 20), success=True, commit_sha="a"
    )
    run = facts.PipelineRunBody(
        run="run", started_at=at(0, 0, 10), finished_at=at(0, 0, 30), outcome=RunOutcome.SUCCESS,
        commit_sha="a",
    )  # fmt: skip
    (found,) = prompt_lead_times(
        fold(
            "shop",
            [
                generated(at(), at(0, 0, 5)),
                event(build, at(0, 0, 12)),
                event(run, at(0, 0, 30)),
                *deployed("v1", at(0, 0, 40), took=at(0, 0, 40) - at(0, 0, 25), commit_sha="a"),
            ],
        ),
        invalid,
    )
    assert found.seconds == 40 * MINUTE
    assert found.parts == {
        "generation": 5 * MINUTE,
        "build": 8 * MINUTE,
        "deploy": 15 * MINUTE,
        "pipeline": 7 * MINUTE,
    }
    assert found.unattributed == 5 * MINUTE
    assert not invalid


def test_the_tree_says_whose_deployment_it_is_and_else_the_time() -> None:
    events = [
        generated(at(0), at(0, 1), fingerprint="one"),
        generated(at(1), at(1, 1), fingerprint="two"),
        *deployed("v1", at(2), fingerprint="two"),
        *deployed("v2", at(3), fingerprint="one"),
    ]
    found = prompt_lead_times(fold("shop", events), Counter())
    assert [one.seconds / 86400 for one in found] == [3, 1]


def test_what_was_deployed_after_the_next_generation_is_not_the_earlier_ones() -> None:
    events = [generated(at(0), at(0, 1)), generated(at(1), at(1, 1)), *deployed("v1", at(2))]
    found = prompt_lead_times(fold("shop", events), Counter())
    assert [one.generation.prompt_at for one in found] == [at(1)]


def test_failed_generations_and_people_have_no_prompt_lead_time() -> None:
    events = [
        generated(at(0), at(0, 1), success=False),
        generated(at(0), at(0, 1), human=True),
        *deployed("v1", at(2)),
    ]
    assert prompt_lead_times(fold("shop", events), Counter()) == []


def test_commits_of_a_deployment_that_failed_are_the_next_ones() -> None:
    events = [
        commit("a", at(0)),
        commit("b", at(1)),
        commit("merge", at(1), is_merge=True),
        *deployed("v1", at(1, 1), state=DeploymentState.FAILED),
        *deployed("v2", at(2)),
        brought("v1", "a"),
        brought("v2", "b", "merge"),
    ]
    found = change_lead_times(fold("shop", events), Counter())
    assert {one.commit_sha: one.seconds / 86400 for one in found} == {"a": 2, "b": 1}
    assert all(one.first_deployment for one in found)


def test_a_commit_counts_at_the_first_deployment_that_served_it() -> None:
    events = [
        commit("a", at(0)),
        *deployed("v1", at(1)),
        *deployed("v2", at(5)),
        brought("v1", "a"),
        brought("v2", "a"),
    ]
    (found,) = change_lead_times(fold("shop", events), Counter())
    assert found.deployment == "deployment/v1"


def test_a_clock_that_is_wrong_makes_no_sample_and_is_counted() -> None:
    invalid: Counter[str] = Counter()
    events = [
        commit("late", at(9)),
        commit("timeless", None),
        *deployed("v1", at(1)),
        brought("v1", "late", "timeless"),
    ]
    assert change_lead_times(fold("shop", events), invalid) == []
    assert invalid == {"negative_lead_time": 1, "commit_without_time": 1}


def test_devlakes_parts_of_a_pull_request_where_they_mean_the_same() -> None:
    """The same: coding, and merged to deployed. Different on purpose: that tool leaves out what an
    app's first deployment brought (pr0), and adds the time to the first review apart."""
    name = "01_devlake_change_lead_time"
    requests = {row["id"]: row for row in vectors.rows(name, "pull_requests.csv")}
    events: list[Event] = []
    for row in vectors.rows(name, "pull_request_commits.csv"):
        request = requests[row["pull_request_id"]]
        events.append(
            commit(
                row["commit_sha"],
                None,
                authored_at=moment(row["commit_authored_date"]),
                opened_at=moment(request["created_date"]),
                merged_at=moment(request["merged_date"]),
                merge_sha=request["merge_commit_sha"],
                pull_request=request["id"],
            )
        )
    for row in vectors.rows(name, "cicd_deployment_commits.csv"):
        if row["_raw_data_remark"] == "project1":  # what belongs to the project
            finished = datetime.fromisoformat(row["finished_date"])
            events += deployed(row["id"], finished, environment=row["environment"])
    for row in vectors.rows(name, "commits_diffs.csv"):
        new = row["new_commit_sha"].removeprefix("commit")
        if row["old_commit_sha"]:
            events.append(brought(new, row["commit_sha"]))
    found = {one.pull_request: one for one in pull_request_times(fold("shop", events))}
    expected = {row["id"]: row for row in vectors.rows(name, "project_pr_metrics.csv")}
    assert found.keys() == expected.keys()
    for request, row in expected.items():
        ours = found[request]
        assert minutes(ours.coding) == row["pr_coding_time"], request
        assert minutes(ours.deploy) == row["pr_deploy_time"], request
        deployment = ours.deployment.removeprefix("deployment/") if ours.deployment else ""
        assert deployment == row["deployment_commit_id"], request
        if not row["pr_pickup_time"] and row["pr_review_time"] and not row["first_review_id"]:
            assert minutes(ours.review) == row["pr_review_time"], request


def moment(text: str) -> datetime | None:
    if not text:
        return None
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def minutes(seconds: float | None) -> str:
    """That tool rounds up to whole minutes."""
    return "" if seconds is None else str(-int(-seconds // 60))
