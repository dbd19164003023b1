"""One store, one process: what is appended, refused, read and remembered, in both databases."""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_dora.delivery.store import Appended, Progress, Reason, Store, StoreError
from pytest_dora.delivery.store import store as store_module
from pytest_dora.model.events import Cause, ChangeBody, DeploymentBody, Event, IncidentBody
from tests.unit.delivery.store.facts import NOON, deployment


def keys(store: Store, **wanted: Any) -> list[str]:
    return [event.key.rpartition("/")[2] for event in store.read(**wanted)]


def change(number: int, **fields: Any) -> Event:
    body = ChangeBody(commit_sha=f"{number:040x}", reverts=("a", "b"))
    return deployment(number, body=body, **fields)


# --- append and read ------------------------------------------------------------------------


def test_events_come_back_equal_in_the_order_of_time_and_key(place: str) -> None:
    same_moment = [
        deployment(number, key=key, occurred_at=NOON)
        for number, key in enumerate(("b", "a", "ä", "B", "Z~", "€", "\U0001f680", "\uffff", "a-b"))
    ]
    given = [deployment(number) for number in range(1, 50)] + same_moment
    with Store.open(place) as store:
        assert store.append(given) == Appended(len(given), 0)
        read = list(store.read())
        assert store.count() == len(given)
    assert read == sorted(given, key=lambda event: (event.occurred_at, event.key))


def test_every_field_survives(place: str) -> None:
    body = IncidentBody(
        incident="pd:1",
        title="quotes \" ' \\ and %s :name {x} \0 \x1b[31m ÄÖ \U0001f680",
        started_at=datetime(1, 1, 1, tzinfo=UTC),
        resolved_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        caused_by=Cause(version="v1"),
        external_cause=False,
    )
    zone = timezone(timedelta(hours=-11))
    event = deployment(
        1, body=body, app_id="shop\nfront", occurred_at=datetime(2026, 1, 31, 1, 2, 3, 4, zone)
    )
    with Store.open(place) as store:
        store.append([event])
        assert list(store.read()) == [event]
        assert store.owners() == [("shop\nfront", "fly:shop")]


def test_what_is_stored_is_there_when_it_is_opened_again(place: str) -> None:
    with Store.open(place) as store:
        store.append([deployment(1)])
    with Store.open(place, create=False) as store:
        assert keys(store) == ["1"]


def test_an_equal_event_is_known_whenever_it_was_observed(place: str) -> None:
    later = deployment(1, observed_at=NOON + timedelta(days=9))
    with Store.open(place) as store:
        assert store.append([deployment(1), later, deployment(2)]) == Appended(2, 1)
        assert store.append([later, deployment(2), deployment(3)]) == Appended(1, 2)
        assert list(store.read()) == sorted(
            map(deployment, (1, 2, 3)), key=lambda event: event.occurred_at
        )
        assert store.refusals() == {}


def test_events_of_many_transactions_are_all_there(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CHUNK", 10)
    given = [deployment(number % 90, "v1" if number < 95 else "v2") for number in range(100)]
    with Store.open(place) as store:
        done = store.append(iter(given), Progress("fly", "shop", {"page": 3}))
        assert done == Appended(90, 5, {Reason.CONFLICTING_DUPLICATE: 5})
        assert store.count() == 90
        assert store.progress("fly", "shop") is not None


def test_an_append_that_breaks_off_keeps_whole_transactions_and_no_progress(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CHUNK", 10)

    def broken() -> object:
        yield from map(deployment, range(25))
        raise ConnectionError

    with Store.open(place) as store:
        with pytest.raises(ConnectionError):
            store.append(broken(), Progress("fly", "shop", {}))  # type: ignore[arg-type]
        assert store.count() == 10
        assert store.progress("fly", "shop") is None
        assert store.append([deployment(number) for number in range(25)]) == Appended(15, 10)


def test_events_are_found_by_owner_kind_and_time(place: str) -> None:
    given = [
        deployment(1, app_id="shop", service=None, occurred_at=NOON),
        deployment(2, app_id="blog", service=None, occurred_at=NOON + timedelta(seconds=1)),
        deployment(3, service="fly:shop", occurred_at=NOON + timedelta(seconds=2)),
        change(4, service="github:o/blog", occurred_at=NOON + timedelta(seconds=3)),
    ]
    with Store.open(place) as store:
        store.append(given)
        assert keys(store, apps=["shop"]) == ["1"]
        assert keys(store, apps={"shop", "blog"}, services=["fly:shop"]) == ["1", "2", "3"]
        assert keys(store, services=["github:o/blog", "nobody"]) == ["4"]
        assert keys(store, apps=[]) == []
        assert keys(store, kinds=["change"]) == ["4"]
        assert keys(store, kinds=["deployment"], apps=["blog"]) == ["2"]
        second = NOON + timedelta(seconds=1)
        zone = timezone(timedelta(hours=5, minutes=30))
        assert keys(store, since=second) == ["2", "3", "4"]
        assert keys(store, since=second.astimezone(zone), until=given[3].occurred_at) == ["2", "3"]
        assert keys(store, until=NOON) == []


def test_a_time_without_a_zone_is_refused_when_reading_is_asked_for(place: str) -> None:
    with Store.open(place) as store:
        with pytest.raises(ValueError, match="no zone"):
            store.read(since=datetime(2026, 1, 1))  # noqa: DTZ001
        with pytest.raises(ValueError, match="no zone"):
            store.read_by_app(lambda app, _: app, until=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_reader_sees_one_moment_while_others_append(place: str) -> None:
    with Store.open(place) as store, Store.open(place) as other:
        store.append([deployment(number) for number in range(2000)])
        reading = store.read()
        first = next(reading)
        by_app = store.read_by_app(lambda _, service: service)
        app, _ = next(by_app)
        early = deployment(5000, occurred_at=NOON - timedelta(days=1))
        late = deployment(5001, service="fly:zoo", occurred_at=NOON + timedelta(days=1))
        assert other.append([early, late]).new == 2
        assert [first, *reading] == [*other.read(since=NOON, until=NOON + timedelta(hours=1))]
        assert (app, list(by_app)) == ("fly:shop", [])
        assert store.count() == 2002


def test_reading_holds_a_page_and_not_the_store(tmp_path: Path) -> None:
    with Store.open(tmp_path / "dora.db") as store:
        store.append(deployment(number) for number in range(20_000))
        sum(1 for _ in store.read(kinds=["change"]))  # what is only made once
        tracemalloc.start()
        read = sum(1 for _ in store.read())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert read == 20_000
    assert peak < 3 * 2**20  # all of them are more than 20 MiB


def test_many_threads_may_use_one_store(place: str) -> None:
    done: list[Appended] = []
    with Store.open(place) as store:

        def work(first: int) -> None:
            done.append(store.append(map(deployment, range(first, first + 100))))
            assert len(list(store.read(services=["fly:shop"]))) >= 100

        threads = [threading.Thread(target=work, args=(number * 50,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(one.new for one in done) == store.count() == 450
        assert sum(one.known for one in done) == 350


def at_once(number: int, work: Callable[[int], object]) -> None:
    """Do the same in some threads that begin together; what one raises is raised."""
    begin = threading.Barrier(number)

    def one(which: int) -> object:
        begin.wait(30)
        return work(which)

    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(one, which) for which in range(number)]:
            done.result(120)


def test_many_may_make_a_store_at_once(tmp_path: Path, database: Callable[[], str]) -> None:
    places = [database(), *(str(tmp_path / f"{number}.db") for number in range(10))]
    for place in places:
        at_once(8, lambda which, at=place: put(at, [deployment(which)]))  # type: ignore[misc]
        with Store.open(place) as store:
            assert store.count() == 8


def test_two_who_append_the_same_in_opposite_order_do_not_block_each_other(place: str) -> None:
    for start in (0, 0, 500, 500):  # what is new, then what is refused once more
        given = [deployment(number) for number in range(start, start + 500)]
        refused = [deployment(number, "v2") for number in range(start, start + 500)]
        orders = (given + refused, given[::-1] + refused[::-1])
        at_once(2, lambda which, orders=orders: put(place, orders[which]))  # type: ignore[misc]
    with Store.open(place) as store:
        assert store.count() == 1000
        assert store.refusals() == {"conflicting_duplicate": 1000}
        assert {one.times for one in store.refused_events()} == {4}


def put(place: str, events: Sequence[Event]) -> None:
    with Store.open(place) as store:
        store.append(events, Progress("fly", "shop", {}))


# --- apps -----------------------------------------------------------------------------------


def test_events_are_grouped_by_the_app_that_owns_them(place: str) -> None:
    given = [
        deployment(1, app_id="shop", service=None),
        deployment(2, app_id="shop", service="fly:shop"),
        deployment(3, service="fly:shop"),
        change(4, service="github:o/shop"),
        deployment(5, app_id="blog", service=None),
        deployment(6, app_id=None, service=None),
        deployment(7, service="fly:unknown"),
    ]
    fleet = {"fly:shop": "shop", "github:o/shop": "shop"}
    with Store.open(place) as store:
        store.append(given)
        assert store.owners() == [
            ("blog", None),
            ("shop", "fly:shop"),
            ("shop", None),
            (None, "fly:shop"),
            (None, "fly:unknown"),
            (None, "github:o/shop"),
            (None, None),
        ]
        grouped = list(store.read_by_app(lambda app, service: app or fleet.get(service or "")))
        changes = store.read_by_app(lambda app, service: app or service, kinds=["change"])
        assert [app for app, _ in changes] == ["github:o/shop"]

    assert [app for app, _ in grouped] == ["blog", "shop", None]
    assert Counter(event.key for _, events in grouped for event in events) == Counter(
        event.key for event in given
    )
    for app, events in grouped:
        assert events == sorted(events, key=lambda event: (event.occurred_at, event.key)), app
    assert {event.key[-1] for event in grouped[1][1]} == {"1", "2", "3", "4"}


# --- refusals -------------------------------------------------------------------------------


def test_a_contradicting_duplicate_is_refused_and_the_first_one_stays(place: str) -> None:
    other = deployment(1, "v2", environment="staging")
    with Store.open(place) as store:
        assert store.append([deployment(1), other]) == Appended(
            1, 0, {Reason.CONFLICTING_DUPLICATE: 1}
        )
        assert store.append([other, deployment(1), deployment(1, "v3")]) == Appended(
            0, 1, {Reason.CONFLICTING_DUPLICATE: 2}
        )
        assert list(store.read()) == [deployment(1)]
        assert store.refusals() == {"conflicting_duplicate": 2}
        refused = {Event.model_validate_json(one.event): one for one in store.refused_events()}
    assert refused.keys() == {other, deployment(1, "v3")}
    assert refused[other].times == 2
    assert refused[other].seen_at == other.observed_at
    assert refused[other].source == "fly"
    assert refused[other].message.endswith(": environment, body.version")


@pytest.mark.parametrize(
    ("ahead", "stored"),
    [(timedelta(minutes=5), 1), (timedelta(minutes=5, microseconds=1), 0), (timedelta(0), 1)],
)
def test_an_event_from_the_future_is_refused(place: str, ahead: timedelta, stored: int) -> None:
    event = deployment(1, observed_at=NOON, occurred_at=NOON + ahead)
    with Store.open(place) as store:
        done = store.append([event])
        assert (done.new, store.count()) == (stored, stored)
        assert (
            dict(done.refused)
            == store.refusals()
            == ({} if stored else {Reason.FROM_THE_FUTURE: 1})
        )


def test_a_refusal_that_was_mended_is_none_any_more(place: str) -> None:
    early = deployment(1, observed_at=NOON - timedelta(days=1))
    with Store.open(place) as store:
        store.append([early, deployment(2, observed_at=NOON - timedelta(days=1))])
        assert store.refusals() == {"from_the_future": 2}
        assert store.append([deployment(1)]).new == 1
        assert store.refusals() == {"from_the_future": 1}
        assert [one.key for one in store.refused_events()] == [deployment(2).key]


def test_a_name_with_a_nul_is_refused_by_both_databases(place: str) -> None:
    events = [
        deployment(1, app_id="a\0b"),
        deployment(2, service="a\0"),
        deployment(3, environment="\0"),
    ]
    with Store.open(place) as store:
        assert store.append(events) == Appended(0, 0, {Reason.NUL_CHARACTER: 3})
        assert store.refusals() == {"nul_character": 3}
        assert store.owners() == []


def test_a_digest_made_by_another_release_is_no_contradiction(tmp_path: Path) -> None:
    with Store.open(tmp_path / "dora.db") as store:
        store.append([deployment(1)])
        with sqlite3.connect(tmp_path / "dora.db") as raw:
            raw.execute("UPDATE events SET digest = 'another'")
        raw.close()
        assert store.append([deployment(1), deployment(1, "v2")]) == Appended(
            0, 1, {Reason.CONFLICTING_DUPLICATE: 1}
        )


# --- progress -------------------------------------------------------------------------------


def test_progress_is_kept_by_collector_and_scope(place: str) -> None:
    cursor: dict[str, Any] = {
        "page": 3,
        "since": "2026-01-31",
        "ids": [1, None, "ä\0"],
        "deep": {"x": 0.5},
    }
    before = datetime.now(UTC)
    with Store.open(place) as store:
        assert store.progress("github", "o/r") is None
        store.append([], Progress("github", "o/r", cursor, NOON))
        store.append([deployment(1)], Progress("fly", "shop", {}))
        one = store.progress("github", "o/r")
        assert one is not None
        assert (one.cursor, one.data_through) == (cursor, NOON)
        assert one.updated_at is not None
        assert before <= one.updated_at <= datetime.now(UTC)
        assert [(each.collector, each.scope) for each in store.all_progress()] == [
            ("fly", "shop"),
            ("github", "o/r"),
        ]


def test_what_is_known_up_to_never_goes_back(place: str) -> None:
    steps = [
        (None, None),
        (NOON, NOON),
        (None, NOON),
        (NOON - timedelta(days=1), NOON),
        (NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=1)),
    ]
    with Store.open(place) as store:
        for number, (given, known) in enumerate(steps):
            store.append([], Progress("fly", "shop", {"n": number}, given))
            stored = store.progress("fly", "shop")
            assert stored is not None
            assert (stored.cursor, stored.data_through) == ({"n": number}, known)


def test_progress_is_not_stored_without_its_events(place: str) -> None:
    with Store.open(place) as store:
        cannot = Progress("fly", "shop", {"x": object()})  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            store.append([deployment(1)], cannot)
        assert store.count() == 0


# --- damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "key: Field required"),
        ("no json", "Invalid JSON"),
        (
            json.dumps(deployment(1).model_dump(mode="json") | {"colour": "red"}),
            "colour: Extra inputs are not permitted",
        ),
        (deployment(2).model_dump_json(), "holds the event 'fly:shop/release/2'"),
    ],
)
def test_an_event_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    with Store.open(tmp_path / "dora.db") as store:
        store.append([deployment(1)])
        with sqlite3.connect(tmp_path / "dora.db") as raw:
            raw.execute("UPDATE events SET event = ?", (text,))
        raw.close()
        with pytest.raises(StoreError, match=r"dora\.db.*'fly:shop/release/1'") as caught:
            list(store.read())
        assert said in str(caught.value)
        with pytest.raises(StoreError, match="'fly:shop/release/1'"):
            list(store.read_by_app(lambda app, _: app))


def test_columns_say_what_the_event_says(tmp_path: Path) -> None:
    with Store.open(tmp_path / "dora.db") as store:
        store.append([deployment(3, app_id="shop")])
    with sqlite3.connect(tmp_path / "dora.db") as raw:
        raw.row_factory = sqlite3.Row
        row = dict(raw.execute("SELECT * FROM events").fetchone())
    raw.close()
    event = deployment(3, app_id="shop")
    assert Event.model_validate_json(row.pop("event")) == event
    assert row == {
        "key": "fly:shop/release/3",
        "kind": "deployment",
        "app_id": "shop",
        "service": "fly:shop",
        "environment": "production",
        "source": "fly",
        "occurred_at": "2026-01-31T12:12:37.000000+00:00",
        "observed_at": "2026-01-31T12:13:37.000000+00:00",
        "digest": event.digest(),
    }


def test_a_body_is_read_as_its_own_kind(place: str) -> None:
    with Store.open(place) as store:
        store.append([change(1), deployment(2)])
        bodies = {type(event.body) for event in store.read()}
    assert bodies == {ChangeBody, DeploymentBody}


# --- trouble outside ------------------------------------------------------------------------


def test_a_file_that_another_program_holds_is_said_to_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_dora.delivery.store.engine._BUSY_SECONDS", 0.1)
    file = tmp_path / "dora.db"
    with Store.open(file) as store, closing(sqlite3.connect(file, isolation_level=None)) as other:
        store.append([deployment(1)])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"dora\.db: database is locked: another program"):
            store.append([deployment(2)])
        assert keys(store) == ["1"]
        other.execute("ROLLBACK")
        assert store.append([deployment(2)]).new == 1


def test_a_connection_that_the_server_ended_is_made_anew(database: Callable[[], str]) -> None:
    address = database()
    with Store.open(address) as store:
        store.append([deployment(1)])
        with psycopg.connect(address, autocommit=True) as other:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        assert ended == [(True,)]
        assert store.append([deployment(2)]).new == 1


def test_a_reader_whose_server_went_away_learns_it(database: Callable[[], str]) -> None:
    address = database()
    with Store.open(address) as store:
        store.append(map(deployment, range(2000)))
        reading = store.read()
        next(reading)
        with psycopg.connect(address, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreError, match="is the server up"):
            list(reading)
        gc.collect()  # a cursor left open would be told now, as an error of this test


def test_a_reading_that_is_given_up_leaves_nothing_open(place: str) -> None:
    with Store.open(place) as store:
        store.append(map(deployment, range(2000)))
        for number in range(30):  # more than the pool would hold
            reading = store.read() if number % 2 else store.read_by_app(lambda app, _: app)
            next(reading)
            del reading
        gc.collect()
        assert store.count() == 2000
