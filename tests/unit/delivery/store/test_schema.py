"""The version of the schema: made, brought forward, and refused when it is newer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from pytest_dora.delivery.store import Progress, Store, StoreError, schema
from tests.unit.delivery.store.facts import deployment

_LATER = (
    "ALTER TABLE events ADD COLUMN received_by {text}",
    "CREATE INDEX events_by_kind ON events (kind)",
    "UPDATE events SET received_by = 'someone'",
)


def test_the_steps_make_the_tables_that_the_queries_expect(place: str) -> None:
    Store.open(place).close()
    engine = create_engine(place.replace("postgresql://", "postgresql+psycopg://"))
    look = inspect(engine)
    assert set(look.get_table_names()) == set(schema.metadata.tables)
    for name, table in schema.metadata.tables.items():
        made = {one["name"]: bool(one["nullable"]) for one in look.get_columns(name)}
        assert made == {column.name: bool(column.nullable) for column in table.columns}, name
        assert look.get_pk_constraint(name)["constrained_columns"] == [
            column.name for column in table.primary_key
        ]
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT name, value FROM meta")).all()
    engine.dispose()
    assert stored == [("schema_version", str(len(schema.MIGRATIONS)))]


def test_an_older_store_is_brought_forward_with_all_it_holds(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [deployment(number) for number in range(20)]
    with Store.open(place) as store:
        store.append([*given, deployment(1, "v2")], Progress("fly", "shop", {"n": 1}))
        before = list(store.read())
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, _LATER))
    for _ in range(2):  # the second time there is nothing left to do
        with Store.open(place, create=False) as store:
            assert list(store.read()) == before
            assert store.refusals() == {"conflicting_duplicate": 1}
            assert store.progress("fly", "shop") is not None
            with store._reading() as connection:
                assert schema.version(connection, "") == len(schema.MIGRATIONS)
                found = connection.execute(text("SELECT DISTINCT received_by FROM events")).all()
            assert found == [("someone",)]


def test_a_newer_store_is_refused_and_left_as_it_is(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, _LATER))
        with Store.open(place) as store:
            store.append([deployment(1)])
    with pytest.raises(StoreError, match=r"version 2 .* knows 1 at most: upgrade pytest-dora"):
        Store.open(place)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, _LATER))
    with Store.open(place) as store:
        assert store.count() == 1


def test_a_step_that_fails_changes_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(place) as store:
        store.append([deployment(1)])
    broken = (*_LATER, "UPDATE nowhere SET a = 1")
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(StoreError, match="nowhere"):
            Store.open(place)
    with Store.open(place) as store:
        assert store.append([deployment(1), deployment(2)]).new == 1
        with store._reading() as connection:
            columns = [one["name"] for one in inspect(connection).get_columns("events")]
    assert "received_by" not in columns


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE meta (id INTEGER)",
        "CREATE TABLE meta (name TEXT, value TEXT)",
        "CREATE TABLE meta AS SELECT 'schema_version' AS name, 'x' AS value",
    ],
)
def test_another_table_of_that_name_is_not_taken_for_ours(
    tmp_path: Path, database: Callable[[], str], statement: str
) -> None:
    with sqlite3.connect(tmp_path / "x.db") as raw:
        raw.execute(statement)
    raw.close()
    address = database()
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    for place in (str(tmp_path / "x.db"), address):
        with pytest.raises(StoreError, match="'meta' that is not ours"):
            Store.open(place)
