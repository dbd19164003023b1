from __future__ import annotations

import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.exchange import Refused, read_events, write_events
from pytest_dora.model.events import CostBody, Event
from tests.unit.delivery.exchange.samples import NOW, events, only, read_text, refusal

COST = Event(
    key="a/cost/1",
    source="record",
    app_id="a",
    occurred_at=NOW,
    observed_at=NOW,
    body=CostBody(category="build", usd=0.5),
)


def written(*told: Event) -> bytes:
    stream = io.StringIO()
    assert write_events(told, stream).refused == []
    return stream.getvalue().encode()


@settings(deadline=None)
@given(st.lists(events, max_size=5))
def test_events_come_back_as_they_went(told: list[Event]) -> None:
    found = list(read_events(io.BytesIO(written(*told)), "jsonl"))
    assert found == told
    assert [one.digest() for one in found if isinstance(one, Event)] == [
        one.digest() for one in told
    ]


def test_a_bad_line_is_refused_with_its_place_and_the_rest_goes_on() -> None:
    naive = json.loads(written(COST))
    naive["occurred_at"] = "2026-01-31T12:00:00"
    misspelt = {**json.loads(written(COST)), "enviroment": "production"}
    lines = [
        written(COST).strip(),
        b'{"key": "a", "sour',
        b"",
        json.dumps(naive).encode(),
        json.dumps(misspelt).encode(),
        b"\xff\xfe",
        b"[" * 100_000,
        b"3",
        written(COST).strip(),
    ]
    found = read_text(b"\n".join(lines))
    assert [one for one in found if isinstance(one, Event)] == [COST, COST]
    assert [str(one) for one in found if isinstance(one, Refused)] == [
        "file:2: is not JSON: Unterminated string starting at (column 14)",
        "file:4: occurred_at: a time needs a zone: write it in UTC, as 2026-01-31T12:00:00Z",
        "file:5: enviroment: Extra inputs are not permitted",
        "file:6: is not UTF-8",
        "file:7: is nested too deeply",
        "file:8: holds no JSON object",
    ]


def test_a_first_line_that_is_broken_is_refused_alone() -> None:
    found = read_text(b'{"key": \n' + written(COST) + written(COST))
    assert [str(one) for one in found if isinstance(one, Refused)] == [
        "file:1: is not JSON: Expecting value (column 9)"
    ]
    assert len(found) == 3


def test_an_event_without_its_observation_was_observed_when_it_is_read() -> None:
    said = json.loads(written(COST))
    del said["observed_at"]
    assert only(read_text(json.dumps(said).encode())) == COST


def test_a_time_that_no_calendar_has_is_refused() -> None:
    said = json.loads(written(COST)) | {"occurred_at": "0001-01-01T00:00:00+05:00"}
    assert refusal(read_text(json.dumps(said).encode())) == (
        "file:1: occurred_at: a time outside of the years 1 to 9999"
    )
