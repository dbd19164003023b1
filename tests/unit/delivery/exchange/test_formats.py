from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.exchange import (
    READABLE,
    Refused,
    UnknownFormat,
    read_events,
    write_events,
)
from pytest_dora.model.events import Event
from tests.unit.delivery.exchange.samples import NOW, read, read_text

_NAMES = st.sampled_from(
    "key body context subject content id source type timestamp specversion version data event "
    "event_type occurred_at repository full_name html_url deployment deployment_status issue "
    "workflow_run pull_request commits ref issueKey startedDate deploymentCommits pipeline_id "
    "incident_number tinyId impactedServices createdAt alerts groupKey status customData".split()
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4)
    | st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "4",
                       "dev.cdevents.service.deployed.0.3.0", "incident.resolved", "0.5.1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=8),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=10), st.sampled_from([None, *READABLE]))
def test_whatever_stands_in_a_document_it_is_told_and_never_a_crash(
    document: dict[str, Any], format_name: str | None
) -> None:
    found = read(document, {"key": 1}, format_name=format_name)
    assert all(isinstance(one, Event) or one.reason for one in found)
    assert isinstance(found[-1], Refused)


def test_each_document_of_a_file_may_be_of_another_format() -> None:
    deployment = {
        "id": "1",
        "startedDate": "2026-01-01T00:00:00Z",
        "finishedDate": "2026-01-01T00:01:00Z",
        "deploymentCommits": [{"repoUrl": "r", "commitSha": "c", "startedDate":
            "2026-01-01T00:00:00Z", "finishedDate": "2026-01-01T00:01:00Z"}],
    }  # fmt: skip
    merged = {
        "repository": {"full_name": "acme/shop", "html_url": "https://github.com/acme/shop"},
        "ref": "refs/heads/main",
        "commits": [{"id": "c" * 40, "timestamp": "2026-01-01T00:00:00+01:00"}],
    }
    found = read(deployment, merged, {"what": "ever"})
    assert [one.source for one in found if isinstance(one, Event)] == [
        "devlake", "devlake", "github",
    ]  # fmt: skip
    assert str(found[-1]) == f"file:3: is of no known format ({', '.join(READABLE)})"


def test_a_format_that_was_asked_for_says_what_it_misses() -> None:
    (refused,) = read({"what": "ever"}, format_name="devlake")
    assert "finishedDate: Field required" in str(refused)


def test_an_unknown_format_is_named_with_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text("{}")
    with pytest.raises(UnknownFormat, match=r"no format 'yaml'; formats are auto, jsonl, cdevents"):
        read_events(file, "yaml")
    with pytest.raises(UnknownFormat, match="no format 'devlake' is written; formats are jsonl"):
        write_events([], io.StringIO(), "devlake")


def test_a_file_that_is_not_there_is_told_before_the_first_event(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "absent.jsonl")


def test_a_file_is_named_in_the_places_of_what_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps({"key": "a", "body": {}}) + "\n")
    (refused,) = read_events(str(file), "jsonl", observed_at=NOW)
    assert str(refused).startswith(f"{file}:1: source: Field required")


def test_a_control_character_of_a_file_is_no_event() -> None:
    (refused,) = read_text(b'{"key": "a\\u0007", "source": "s", "body": {}}')
    assert isinstance(refused, Refused)
