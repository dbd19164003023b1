"""Connections and transactions, and what their failures mean to a person."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pytest_dora.delivery.store.place import Place, StoreError

_BUSY_SECONDS = 120.0
"""How long a writer waits for the others: each holds a SQLite file for a tenth of a second."""
_CONNECT_SECONDS = 10
_CACHE_KIB = 32 * 1024
_WRITES = "dora_writes"
_WAYS_OUT = (
    (r"database is locked", "another program holds it: end that one, and try again"),
    (r"readonly|unable to open", "may this user write the file and its folder?"),
    (r"not a database|malformed", "it is damaged, or no store: name another file"),
    (r"disk is full|No space left", "free some space, and try again"),
    (r"permission denied", "the user must own the schema, or be granted its use and its tables"),
    (
        r"connection .*failed|could not connect|closed|terminat",
        "is the server up, and are user, password and database right?",
    ),
)


def open_engine(place: Place) -> Engine:
    """An engine for a place. Raises StoreError when PostgreSQL's driver is not installed."""
    if place.file is not None:
        return _sqlite(place)
    asked = {"connect_timeout": _CONNECT_SECONDS, "application_name": "pytest-dora"}
    try:
        return create_engine(
            place.url,
            connect_args={
                name: value for name, value in asked.items() if name not in place.url.query
            },
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ImportError as error:
        raise StoreError(
            f"{place.shown} needs psycopg: pip install 'pytest-dora[postgres]'"
        ) from error


def _sqlite(place: Place) -> Engine:
    engine = create_engine(
        place.url,
        # the driver begins no transaction of its own: the listener below does
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a reader that turned writer would fail at once if another wrote in between
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def opening(place: Place) -> Iterator[None]:
    """Only one process opens the files of a folder at a time: a new file becomes a store and is
    made ready for many writers in steps, of which SQLite lets others wait for some only."""
    if place.file is None:
        yield
        return
    try:
        folder = os.open(place.file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{place.shown}: {error}: name another file") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def share(engine: Engine, place: Place) -> None:
    """Make readers and the writer of a SQLite file independent of each other, for good (WAL)."""
    if place.file is None:
        return
    with told(place), closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        mode = cursor.execute("PRAGMA journal_mode").fetchone()
        if mode != ("wal",):
            mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        cursor.close()
    if mode != ("wal",):
        raise StoreError(f"{place.shown}: its disk cannot share a SQLite file: name another disk")


@contextmanager
def transaction(engine: Engine, place: Place, *, writes: bool) -> Iterator[Connection]:
    """One transaction; what is read in it is of one moment. Raises StoreError."""
    with told(place), engine.connect() as connection:
        if writes:
            connection.execution_options(**{_WRITES: True})
        elif place.file is None:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


@contextmanager
def told(place: Place) -> Iterator[None]:
    """Say what failed, where and how to go on, in place of a library's words."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        said = " ".join(str(getattr(error, "orig", error)).split())[:500]
        found = (way for pattern, way in _WAYS_OUT if re.search(pattern, said))
        way_out = next(found, "nothing of this transaction was stored")
        raise StoreError(f"{place.shown}: {said}: {way_out}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{place.shown}: {error}") from error
