"""Pipelines that were deployments, by the rules and the rows of Apache DevLake."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.ci import Job, Pipeline, deployment_of
from pytest_dora.model.events import RunOutcome
from tests import vectors

VECTOR = "04_devlake_deployment_generation"
OUTCOMES = {
    "SUCCESS": RunOutcome.SUCCESS,
    "FAILURE": RunOutcome.FAILED,
    "SKIPPED": RunOutcome.SKIPPED,
}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def pipeline(**values: object) -> Pipeline:
    return Pipeline(**{"key": "run/1", "outcome": RunOutcome.SUCCESS, **values})


def test_pipelines_of_devlake_become_its_deployments() -> None:
    jobs: dict[str, list[Job]] = {}
    for row in vectors.rows(VECTOR, "cicd_tasks.csv"):
        job = Job(
            name=row["name"],
            deploys=row["type"] == "DEPLOYMENT",
            outcome=OUTCOMES[row["result"]],
            environment=row["environment"] or None,
        )
        jobs.setdefault(row["pipeline_id"], []).append(job)
    found = []
    for row in vectors.rows(VECTOR, "cicd_pipelines.csv"):
        one = deployment_of(
            Pipeline(
                key=row["id"],
                deploys=row["type"] == "DEPLOYMENT",
                outcome=OUTCOMES[row["result"]],
                environment=row["environment"] or None,
                finished_at=moment(row["finished_date"]),
                duration=float(row["duration_sec"]),
                jobs=tuple(jobs.get(row["id"], ())),
            )
        )
        if one is not None:
            found.append(
                (one.pipeline, one.outcome, one.environment, one.started_at, one.finished_at)
            )
    expected = [
        (
            row["cicd_deployment_id"],
            OUTCOMES[row["result"]],
            row["environment"] or None,
            moment(row["started_date"]),
            moment(row["finished_date"]),
        )
        for row in vectors.rows(VECTOR, "cicd_deployment_commits.csv")
    ]
    assert len(expected) == 6
    assert sorted(found) == sorted(expected)


def moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def test_a_pipeline_is_a_deployment_when_it_is_named_so() -> None:
    assert deployment_of(pipeline()) is None
    assert deployment_of(pipeline(jobs=(Job("build"),))) is None
    assert deployment_of(pipeline(deploys=True)) is not None
    by_job = deployment_of(pipeline(jobs=(Job("build"), Job("ship", deploys=True))))
    assert by_job is not None
    assert by_job.pipeline == "run/1"


def test_what_was_skipped_deployed_nothing_and_what_failed_is_a_failed_deployment() -> None:
    skipped = Job("ship", deploys=True, outcome=RunOutcome.SKIPPED)
    assert deployment_of(pipeline(deploys=True, outcome=RunOutcome.SKIPPED)) is None
    assert deployment_of(pipeline(jobs=(skipped,))) is None
    shipped = Job("ship", deploys=True, outcome=RunOutcome.SUCCESS)
    failed = deployment_of(pipeline(outcome=RunOutcome.FAILED, jobs=(shipped,)))
    assert failed is not None
    assert failed.outcome is RunOutcome.FAILED


@pytest.mark.parametrize(
    ("own", "of_jobs", "expected"),
    [
        ("blue", ("production",), "blue"),
        (None, ("testing", "staging", "live"), "live"),
        (None, ("testing", "staging"), "staging"),
        (None, (None, "qa"), "qa"),
        (None, ("blue", "green"), "blue"),
        (None, ("blue", "test"), "test"),
        (None, (None,), None),
    ],
)
def test_the_environment_is_the_pipelines_else_the_most_important_of_its_jobs(
    own: str | None, of_jobs: tuple[str | None, ...], expected: str | None
) -> None:
    jobs = tuple(
        Job(f"ship{at}", deploys=True, environment=name) for at, name in enumerate(of_jobs)
    )
    elsewhere = Job("test", environment="production")
    unused = Job("no", deploys=True, outcome=RunOutcome.SKIPPED, environment="production")
    found = deployment_of(pipeline(environment=own, jobs=(elsewhere, unused, *jobs)))
    assert found is not None
    assert found.environment == expected


@given(duration=st.floats(0, 1e7))
def test_a_missing_start_is_the_finish_less_the_duration(duration: float) -> None:
    derived = deployment_of(pipeline(deploys=True, finished_at=NOON, duration=duration))
    assert derived is not None
    assert derived.started_at is not None
    assert (NOON - derived.started_at).total_seconds() == pytest.approx(duration, abs=1e-6)
    known = deployment_of(
        pipeline(deploys=True, started_at=NOON, finished_at=NOON, duration=duration)
    )
    assert known is not None
    assert known.started_at == NOON


def test_an_unknown_start_stays_unknown() -> None:
    for values in ({"finished_at": NOON}, {"duration": 3.0}, {}):
        found = deployment_of(pipeline(deploys=True, **values))
        assert found is not None
        assert found.started_at is None
