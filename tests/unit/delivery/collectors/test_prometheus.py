"""A month of history in a real Prometheus server, and what cannot be read of it."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_dora.delivery.collectors import Batch, CollectError, Scope
from pytest_dora.delivery.collectors.alerts import fingerprint_of
from pytest_dora.delivery.collectors.base import Cursor
from tests.unit.delivery.collectors.monitors import Quiet, Server, backfill, get, prometheus
from tests.unit.delivery.collectors.readings import (
    collected,
    digests,
    events_of,
    health,
    incidents,
)

SECOND = timedelta(seconds=1)

# --- a month of history ---------------------------------------------------------------------

MONTH = datetime(2025, 3, 1, tzinfo=UTC)
HOURS = 30 * 24
END = MONTH + timedelta(hours=HOURS)
SAMPLE = 300
HIDDEN = range(100, 106)
"""Hours in which nothing was measured."""
IDLE = range(200, 203)
"""Hours without a request."""
ALERTED = ((50, 3), (50 * 12 + 7, 1), (HOURS * 12 - 4, 4))
"""First sample and number of samples of each alert; the last one goes on."""
BUCKETS = (0.1, 0.2, 0.4, 0.8)


def down_samples(hour: int) -> int:
    """Of the twelve of an hour."""
    return 12 if hour % 97 == 5 else hour % 4 if hour % 11 == 0 else 0


def per_sample(hour: int) -> tuple[int, int]:
    """Requests between two samples: all of them, and those that fail."""
    return (0, 0) if hour in IDLE else (20 + hour % 7, hour % 3)


def bucket_of(hour: int) -> int:
    """Where all requests of an hour lie."""
    return 1 + hour % 3


def samples() -> str:
    lines: dict[str, list[str]] = {}
    good, bad, seen = 1000, 100, [10] * (len(BUCKETS) + 1)
    for number in range(HOURS * 12):
        hour, place = divmod(number, 12)
        if place:  # between two hours nothing happens
            asked, failed = per_sample(hour)
            good, bad = good + asked - failed, bad + failed
            for at in range(bucket_of(hour), len(seen)):
                seen[at] += asked
        if hour in HIDDEN:
            continue
        at = int(MONTH.timestamp()) + number * SAMPLE
        lines.setdefault("up", []).append(
            f'up{{job="shop"}} {int(place >= down_samples(hour))} {at}'
        )
        for code, value in (("200", good), ("503", bad)):
            lines.setdefault("requests" + code, []).append(
                f'http_requests_total{{job="shop",code="{code}"}} {value} {at}'
            )
        for le, value in zip((*BUCKETS, "+Inf"), seen, strict=True):
            lines.setdefault(f"bucket{le}", []).append(
                f'http_request_duration_seconds_bucket{{job="shop",le="{le}"}} {value} {at}'
            )
        if hour < 24:
            lines.setdefault("odd", []).append(f'up{{job="o\\"dd\'}} #"}} 1 {at}')
            lines.setdefault("silent", []).append(f'plain_total{{job="silent"}} {number} {at}')
    for first, count in ALERTED:
        for number in range(first, first + count):
            at = int(MONTH.timestamp()) + number * SAMPLE
            labels = 'alertname="Slow",job="shop"'
            lines.setdefault("alerts", []).append(f'ALERTS{{{labels},alertstate="firing"}} 1 {at}')
            lines.setdefault("states", []).append(
                f"ALERTS_FOR_STATE{{{labels}}} {int(MONTH.timestamp()) + first * SAMPLE - 600} {at}"
            )
    return "".join(f"{line}\n" for one in lines.values() for line in one)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("month")
    backfill(folder, samples())
    config = "global: {evaluation_interval: 5m}\n"
    with prometheus(folder, config) as server:
        yield server


def of_month(server: str, app_id: str = "shop", **options: Any) -> Scope:
    return Scope(server, app_id=app_id, options={"settle": 0, **options})


def test_every_period_of_a_month_is_as_it_was_made(month: str) -> None:
    batches = collected(of_month(month), None, END)
    found = {one.start: one for one in health(batches)}
    assert len(found) == HOURS - len(HIDDEN)
    for hour in set(range(HOURS)) - set(HIDDEN):
        one = found.pop(MONTH + timedelta(hours=hour))
        asked, failed = per_sample(hour)
        assert one.end - one.start == timedelta(hours=1)
        assert one.uptime == pytest.approx(1 - down_samples(hour) / 12), hour
        assert one.requests == pytest.approx(asked * 12), hour
        assert one.errors == pytest.approx(failed * 12), hour
        if hour in IDLE:
            assert (one.p50_ms, one.p99_ms) == (None, None)
            continue
        low, high = BUCKETS[bucket_of(hour) - 1], BUCKETS[bucket_of(hour)]
        assert one.p50_ms == pytest.approx(1000 * (low + (high - low) * 0.5)), hour
        assert one.p99_ms == pytest.approx(1000 * (low + (high - low) * 0.99)), hour
    assert found == {}
    assert [batch.data_through for batch in batches] == [
        *(MONTH + timedelta(days=days) for days in (7, 14, 21, 28, 30)), END
    ]  # fmt: skip


def test_alerts_of_the_past_have_their_start_and_their_end(month: str) -> None:
    told = incidents(collected(of_month(month), None, END))
    expected: list[tuple[str, datetime | None, datetime]] = []
    for first, count in ALERTED:
        fired = MONTH + timedelta(seconds=first * SAMPLE)
        until = fired + timedelta(seconds=count * SAMPLE)
        expected.append(("began", fired - timedelta(seconds=600), fired))
        expected += [("ended", None, until)] if until < END else []
    assert [
        ("ended", None, one.resolved_at)
        if one.resolved_at
        else ("began", one.started_at, one.detected_at)
        for one in told
    ] == expected
    assert {one.incident_kind for one in told} == {None}


def test_a_collection_goes_on_from_any_batch(month: str) -> None:
    scope = of_month(month)
    batches = collected(scope, None, END)
    whole = digests(batches)
    for number, batch in enumerate(batches):
        cursor = json.loads(json.dumps(batch.cursor))
        rest = collected(scope, cursor, END)
        told = digests([*batches[: number + 1], *rest])
        assert told == whole
        assert len(events_of(rest)) == sum(len(one.events) for one in batches[number + 1 :])


def test_collecting_day_by_day_tells_what_one_collection_tells(month: str) -> None:
    scope = of_month(month)
    batches: list[Batch] = []
    moment = MONTH + timedelta(days=1, minutes=7)
    cursor: Cursor | None = None
    while moment < END + timedelta(days=1):
        batches += collected(scope, cursor, min(moment, END))
        cursor, moment = batches[-1].cursor, moment + timedelta(hours=31)
    whole = digests(collected(scope, None, END))
    assert whole.items() <= digests(batches).items()
    assert min(one.start for one in health(batches)) < MONTH + timedelta(hours=1)


def test_more_points_than_the_server_gives_at_once_are_asked_for_in_parts(month: str) -> None:
    start, end = MONTH.timestamp(), END.timestamp()
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{month}/api/v1/query_range?query=up&start={start}&end={end}&step=60")
    assert refused.value.code == 400
    with refused.value as answer:
        assert "11,000" in answer.read().decode()
    batches = collected(of_month(month, step="1m", requests=None, p50_ms=None), None, END)
    assert len(batches) == 6
    # one sample in five minutes: four of five periods have none, and are no events
    assert len(health(batches)) == (HOURS - len(HIDDEN)) * 12


def test_an_alert_that_was_active_when_history_begins_has_its_true_start(month: str) -> None:
    first, count = ALERTED[0]
    fired = MONTH + timedelta(seconds=first * SAMPLE)
    late = fired + timedelta(seconds=(count - 1) * SAMPLE + 1)
    told = incidents(collected(of_month(month, step="1m", history="9m"), None, late))
    assert [(one.detected_at, one.resolved_at) for one in told] == [(fired, None)]
    # as long back again as the history, not further
    told = incidents(collected(of_month(month, step="1m", history="4m"), None, late))
    assert [one.detected_at for one in told] == [fired + timedelta(seconds=SAMPLE)]


def test_an_evaluator_can_say_what_a_server_adds_to_its_alerts(month: str) -> None:
    silent = of_month(month, external_labels={"cluster": "blue"}, evaluation_interval="5m")
    asked, said = (incidents(collected(one, None, END)) for one in (of_month(month), silent))
    assert [one.resolved_at for one in asked] == [one.resolved_at for one in said]
    assert {one.incident.split("/")[1] for one in asked} == {
        fingerprint_of({"alertname": "Slow", "job": "shop"})
    }
    assert {one.incident.split("/")[1] for one in said} == {
        fingerprint_of({"alertname": "Slow", "job": "shop", "cluster": "blue"})
    }


# --- what is not known ----------------------------------------------------------------------


def a_day(server: str, app_id: str = "shop", **options: Any) -> list[Batch]:
    scope = of_month(server, app_id, history="1d", **options)
    return collected(scope, None, MONTH + timedelta(days=1))


@pytest.mark.parametrize(
    "nothing", ["vector(NaN)", "vector(1) / 0", "-vector(1) / 0", "absent(up)"]
)
def test_what_is_no_finite_number_is_unknown(month: str, nothing: str) -> None:
    found = health(a_day(month, p50_ms=nothing, errors=nothing))
    assert len(found) == 24
    assert {(one.p50_ms, one.errors) for one in found} == {(None, None)}
    assert all(one.p99_ms and one.requests for one in found)


def test_a_span_without_data_has_no_events_and_is_passed(month: str) -> None:
    batches = a_day(month, "nobody")
    assert events_of(batches) == []
    assert batches[-1].data_through == MONTH + timedelta(days=1)


def test_an_app_that_counts_no_codes_has_no_known_errors(month: str) -> None:
    counted = "sum(increase(plain_total{job='$app'}[$step]))"
    found = health(a_day(month, "silent", requests=counted))
    assert len(found) == 24
    assert {one.errors for one in found} == {None}
    assert found[0].requests == pytest.approx(12)


def test_a_name_with_quotes_is_only_a_name(month: str) -> None:
    assert [one.uptime for one in health(a_day(month, "o\"dd'} #"))] == [1.0] * 24
    assert health(a_day(month, 'x"} or up{job="shop')) == []
    assert health(a_day(month, "x'} or up{job='shop", uptime="avg(up{job='$app'})")) == []


def test_failed_queries_are_told_where_the_evaluator_says_how_they_are_counted(month: str) -> None:
    failures = 'sum(increase(http_requests_total{job="$app",code="503"}[$step]))'
    queries = 'sum(increase(http_requests_total{job="$app"}[$step]))'
    batches = a_day(month, query_failures=failures, queries=queries)
    found = [one for one in events_of(batches) if one.body.kind == "query_failures"]
    assert [round(one.body.failures) for one in found] == [  # type: ignore[union-attr]
        per_sample(hour)[1] * 12 for hour in range(24)
    ]
    assert [round(one.body.queries or 0) for one in found] == [  # type: ignore[union-attr]
        per_sample(hour)[0] * 12 for hour in range(24)
    ]
    without = a_day(month, query_failures=failures)
    assert {
        one.body.queries for one in events_of(without) if one.body.kind == "query_failures"
    } == {None}
    assert not [one for one in events_of(a_day(month)) if one.body.kind == "query_failures"]


def test_only_periods_that_are_over_and_settled_are_told(month: str) -> None:
    late = MONTH + timedelta(hours=5, seconds=29)
    told = collected(of_month(month, settle="30s", history="3h"), None, late)
    assert [one.end for one in health(told)][-1] == MONTH + timedelta(hours=4)
    assert told[-1].data_through == MONTH + timedelta(hours=4)
    told = collected(of_month(month, settle="30s", history="3h"), None, late + SECOND)
    assert told[-1].data_through == MONTH + timedelta(hours=5)


# --- what cannot be read --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"uptime": "up{"}, "'uptime': up{"),
        ({"requests": "http_requests_total"}, "'requests' gives 2 series"),
        ({"uptime": "vector(99.5)"}, "'uptime' gives 99.5 .* not within 0 and 1"),
        ({"p99_ms": "vector(-1)"}, "'p99_ms' gives -1 "),
        ({"step": "soon"}, "step: .* 30s, 5m, 1h"),
        ({"uptim": "up"}, "uptim: Extra inputs"),
        ({"alerts": 'job="'}, "asked for 'alerts'"),
    ],
)
def test_what_an_evaluator_wrote_wrong_is_named(
    month: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CollectError, match=said):
        a_day(month, **options)


def test_a_scope_without_an_app_is_refused(month: str) -> None:
    with pytest.raises(CollectError, match="whose app is it"):
        collected(Scope(month))
    told = collected(Scope(month, options={"app": "shop", "settle": 0, "history": "1d"}), None, END)
    assert {one.service for one in events_of(told) if one.body.kind == "health"} == {
        "prometheus:shop"
    }


def test_a_foreign_cursor_is_refused(month: str) -> None:
    with pytest.raises(CollectError, match="cursor is not of this collector: health: Field req"):
        collected(of_month(month), {"page": 3})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("prometheus", "base address"),
        ("http://user:secret@127.0.0.1:1", "credentials"),
        ("http://[", "http://\\["),
    ],
)
def test_an_address_is_one_without_secrets(address: str, said: str) -> None:
    with pytest.raises(CollectError, match=said) as error:
        collected(Scope(address, app_id="shop"))
    assert "secret" not in str(error.value)


class Guarded(Quiet):
    """A server that wants a token, and warns that its answers are partial."""

    def do_POST(self) -> None:  # noqa: N802 - as the library calls it
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != "Bearer t0ken":
            self.answer(b"{}", status=401)
            return
        body = {
            "status": "success",
            "data": {"resultType": "matrix", "result": []},
            "warnings": ["one store did not answer"],
        }
        self.answer(json.dumps(body).encode(), "application/json")


def test_a_token_comes_from_the_environment_and_partial_answers_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(0, Guarded)
    monkeypatch.delenv("PROMETHEUS_TOKEN", raising=False)
    scope = Scope(server.url, app_id="shop")
    with pytest.raises(CollectError, match="is PROMETHEUS_TOKEN set"):
        collected(scope)
    monkeypatch.setenv("PROMETHEUS_TOKEN", "t0ken")
    with pytest.raises(CollectError, match="one store did not answer") as error:
        collected(scope)
    assert "t0ken" not in str(error.value)
    server.close()
