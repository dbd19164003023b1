from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.recording import (
    BuildRecord,
    ChangeRecord,
    CostRecord,
    DeploymentRecord,
    GenerationRecord,
    HealthRecord,
    IncidentRecord,
    RecordError,
    Subject,
    evaluated,
    moment,
    recorded,
)
from pytest_dora.model.events import Cause, DeploymentState, Event, IncidentKind
from tests.unit.report.samples import app, report, result

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def subject(id_: str = "1", at: datetime = NOW, **more: Any) -> Subject:
    return Subject("shop", at, id_, **{"environment": "production", **more})


def deployment(*told: tuple[Event, ...]) -> Any:
    (one,) = fold("shop", [event for events in told for event in events]).deployments
    return one


def incident(*told: tuple[Event, ...]) -> Any:
    (one,) = fold("shop", [event for events in told for event in events]).incidents
    return one


def test_a_deployment_that_is_recorded_when_it_is_done_served_then() -> None:
    events = recorded(subject(), DeploymentRecord(version="1", run_id="r", fingerprint="f"))
    assert [event.key for event in events] == [
        "record/shop/deployment/1/facts/success",
        "record/shop/deployment/1/status/success",
    ]
    found = deployment(events)
    assert found.served
    assert (found.finished_at, found.version, found.run_id, found.fingerprint) == (
        NOW, "1", "r", "f",
    )  # fmt: skip
    assert found.started_at is None


def test_a_deployment_that_is_recorded_in_steps_is_one_with_all_that_was_said() -> None:
    began = recorded(subject(), DeploymentRecord(state=DeploymentState.IN_PROGRESS, version="1"))
    ended = recorded(
        subject(at=NOW + 5 * MINUTE),
        DeploymentRecord(commit_sha="c", changes=("a", "b", "a"), rollback=False),
    )
    found = deployment(ended, began)
    assert (found.started_at, found.finished_at) == (NOW, NOW + 5 * MINUTE)
    assert (found.version, found.commit_sha, found.rollback) == ("1", "c", False)
    assert found.commit_shas == ("a", "b")


def test_a_deployment_that_failed_did_not_serve() -> None:
    found = deployment(recorded(subject(), DeploymentRecord(state=DeploymentState.FAILED)))
    assert (found.served, found.state) == (False, DeploymentState.FAILED)


def test_times_that_contradict_each_other_are_refused() -> None:
    backwards = DeploymentRecord(started_at=NOW, finished_at=NOW - MINUTE)
    with pytest.raises(RecordError, match=r"the finish .* is before the start"):
        recorded(subject(), backwards)
    ends = DeploymentRecord(state=DeploymentState.PENDING, finished_at=NOW)
    with pytest.raises(RecordError, match="pending has no finish"):
        recorded(subject(), ends)
    with pytest.raises(RecordError, match=r"the end .* is before the start"):
        recorded(subject(), HealthRecord(start=NOW, end=NOW - MINUTE))


def test_a_time_without_a_zone_is_refused_with_the_way_out() -> None:
    naive = datetime(2026, 6, 1, 11)  # noqa: DTZ001 - that is the point
    with pytest.raises(RecordError, match="needs a zone"):
        recorded(subject(), DeploymentRecord(started_at=naive))
    with pytest.raises(RecordError, match="needs a zone"):
        recorded(subject(), IncidentRecord(detected_at=naive))
    with pytest.raises(RecordError, match="needs a zone: write 2026-01-31T12:00:00Z"):
        moment("2026-06-01T11:00", NOW)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="is no time: write 2026-01-31T12:00:00Z or `now`"):
        moment(text, NOW)


def test_times_are_read_in_any_zone() -> None:
    assert moment("2026-06-01T14:00:00+02:00", NOW) == NOW
    assert moment(" NOW ", NOW) == NOW
    with pytest.raises(RecordError, match="outside of the years"):
        moment("0001-01-01T00:00:00+05:00", NOW)


def test_an_incident_is_opened_corrected_and_closed_by_its_id() -> None:
    opened = recorded(
        subject("I-1"), IncidentRecord(kind=IncidentKind.OUTAGE, detected_at=NOW, severity="low")
    )
    corrected = recorded(
        subject("I-1", NOW + 10 * MINUTE),
        IncidentRecord(detected_at=NOW - 20 * MINUTE, severity="high",
                       caused_by=Cause(version="1")),
    )  # fmt: skip
    closed = recorded(
        subject("I-1", NOW + 30 * MINUTE), IncidentRecord(resolved_at=NOW + 25 * MINUTE)
    )
    open_one = incident(opened)
    assert (open_one.kind, open_one.detected_at, open_one.resolved_at) == (
        IncidentKind.OUTAGE, NOW, None,
    )  # fmt: skip
    found = incident(closed, corrected, opened)
    assert (found.detected_at, found.severity) == (NOW - 20 * MINUTE, "high")
    assert (found.resolved_at, found.kind) == (NOW + 25 * MINUTE, IncidentKind.OUTAGE)
    assert found.caused_by == Cause(version="1")


def test_a_duplicate_names_the_incident_that_it_repeats_by_its_id() -> None:
    first = recorded(subject("I-1"), IncidentRecord(detected_at=NOW))
    second = recorded(subject("I-2"), IncidentRecord(detected_at=NOW, duplicate_of="I-1"))
    assert incident(first, second).key == "record/shop/incident/I-1"


RECORDS = (
    DeploymentRecord(version="1", changes=("a",)),
    IncidentRecord(detected_at=NOW),
    GenerationRecord(prompt_at=NOW, cost_usd=1.5),
    BuildRecord(started_at=NOW, success=True),
    CostRecord(category="other", usd=2),
    ChangeRecord(commit_sha="c", merged_at=NOW, reverts=("b",)),
    HealthRecord(start=NOW - MINUTE, end=NOW, requests=5, errors=0),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_with_an_id_is_the_same_whoever_repeats_it(record: Any) -> None:
    events = recorded(subject(), record)
    assert events == recorded(subject(), record)
    keys = [event.key for event in events]
    assert len(set(keys)) == len(keys)
    for other in (Subject("shop", NOW, "2"), Subject("other", NOW, "1"), Subject("shop", NOW)):
        assert not set(keys) & {event.key for event in recorded(other, record)}


def test_a_record_without_an_id_is_new_every_time() -> None:
    keys = {recorded(Subject("shop", NOW), CostRecord("other", 1))[0].key for _ in range(3)}
    assert len(keys) == 3


_PARTS = st.lists(st.sampled_from(["a", "deployment", "/", "%2F", " ", "b"]), min_size=1).map(
    "".join
)


@settings(deadline=None)
@given(_PARTS, _PARTS, _PARTS, _PARTS)
def test_no_two_apps_and_ids_share_a_key(app: str, id_: str, app_2: str, id_2: str) -> None:
    one = Subject(app, NOW, id_).entity("deployment")
    two = Subject(app_2, NOW, id_2).entity("deployment")
    assert (one == two) == ((app, id_) == (app_2, id_2))
    slashes = Subject("a/deployment/x", NOW, "y").entity("deployment")
    assert slashes != Subject("a", NOW, "x/deployment/y").entity("deployment")


def test_what_the_model_refuses_is_told_by_its_field() -> None:
    with pytest.raises(RecordError, match="usd: Input should be greater than or equal to 0"):
        recorded(subject(), CostRecord("other", -1))
    with pytest.raises(RecordError, match="uptime: Input should be less than or equal to 1"):
        recorded(subject(), HealthRecord(start=NOW, end=NOW, uptime=99))


def test_a_merge_that_is_not_said_is_not_denied() -> None:
    (said,) = recorded(subject(), ChangeRecord(commit_sha="c", merged_at=NOW))
    assert "is_merge" not in said.body.model_fields_set
    (merge,) = recorded(subject(), ChangeRecord(commit_sha="c", is_merge=True))
    assert merge.body.model_dump()["is_merge"] is True


def written(folder: Path, *names: str) -> Path:
    made = report([app(name) for name in names], [result(name, "build") for name in names])
    apps = [one.model_copy(update={"fingerprint": f"tree of {one.app_id}"}) for one in made.apps]
    path = folder / "report.json"
    path.write_text(made.model_copy(update={"apps": tuple(apps)}).model_dump_json())
    return path


def test_a_report_joins_a_deployment_to_its_verdict(tmp_path: Path) -> None:
    path = written(tmp_path, "shop", "blog")
    found = evaluated(path, "shop")
    assert (found.app_id, found.fingerprint) == ("shop", "tree of shop")
    assert found.run_id
    with pytest.raises(RecordError, match="no app 'sop'; it has blog, shop"):
        evaluated(path, "sop")
    with pytest.raises(RecordError, match="name one with --app; it has blog, shop"):
        evaluated(path, None)


def test_the_only_app_of_a_report_need_not_be_named(tmp_path: Path) -> None:
    assert evaluated(written(tmp_path, "shop"), None).app_id == "shop"


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    with pytest.raises(RecordError, match=r"report\.json: is no report of this version"):
        evaluated(path, "shop")
