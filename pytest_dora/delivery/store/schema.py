"""The tables, and the steps by which an older store becomes a current one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, inspect, select, text

from pytest_dora.delivery.store.place import StoreError

metadata = MetaData()
meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("app_id", Text),
    Column("service", Text),
    Column("environment", Text),
    Column("source", Text, nullable=False),
    Column("occurred_at", Text, nullable=False),
    Column("observed_at", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("event", Text, nullable=False),
)
progress = Table(
    "progress",
    metadata,
    Column("collector", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("cursor", Text, nullable=False),
    Column("data_through", Text),
    Column("updated_at", Text, nullable=False),
)
refusals = Table(
    "refusals",
    metadata,
    Column("key", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
)

# Times are text of one width in UTC, and texts compare by their bytes: so the order is the same
# in SQLite, in PostgreSQL and in Python.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            key {text} NOT NULL PRIMARY KEY,
            kind {text} NOT NULL,
            app_id {text},
            service {text},
            environment {text},
            source {text} NOT NULL,
            occurred_at {text} NOT NULL,
            observed_at {text} NOT NULL,
            digest {text} NOT NULL,
            event {text} NOT NULL)""",
        "CREATE INDEX events_by_time ON events (occurred_at)",
        "CREATE INDEX events_by_owner ON events (app_id, service)",
        """CREATE TABLE progress (
            collector {text} NOT NULL,
            scope {text} NOT NULL,
            cursor {text} NOT NULL,
            data_through {text},
            updated_at {text} NOT NULL,
            PRIMARY KEY (collector, scope))""",
        """CREATE TABLE refusals (
            key {text} NOT NULL,
            reason {text} NOT NULL,
            digest {text} NOT NULL,
            source {text} NOT NULL,
            message {text} NOT NULL,
            seen_at {text} NOT NULL,
            times BIGINT NOT NULL,
            event {text} NOT NULL,
            PRIMARY KEY (key, reason, digest))""",
    ),
)
"""``MIGRATIONS[n]`` makes version n + 1 of version n. A step that was released never changes."""

_META = "CREATE TABLE meta (name {text} NOT NULL PRIMARY KEY, value {text} NOT NULL)"
_VERSION = "schema_version"
_LOCK = 0x646F7261
"""Any number, as long as all of us name the same: who migrates a PostgreSQL store."""


def version(connection: Connection, shown: str) -> int:
    """The schema's version, 0 where no store is yet.

    Raises StoreError when a newer pytest-dora made it, or something else is in its place.
    """
    look = inspect(connection)
    if not look.has_table("meta"):
        return 0
    named = None
    if {one["name"] for one in look.get_columns("meta")} == {"name", "value"}:
        named = connection.scalar(select(meta.c.value).where(meta.c.name == _VERSION))
    if not isinstance(named, str) or not named.isdecimal():
        raise StoreError(f"{shown} has a table 'meta' that is not ours: name another store")
    if int(named) > len(MIGRATIONS):
        raise StoreError(
            f"{shown} has version {named} of the schema, and this pytest-dora knows "
            f"{len(MIGRATIONS)} at most: upgrade pytest-dora, or name another store"
        )
    return int(named)


def migrate(connection: Connection, shown: str) -> None:
    """Bring a store (or an empty place) to this version, in the writing transaction given.

    Raises StoreError where other tables are in the way.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    before = version(connection, shown)  # another process may have done it meanwhile
    if before == 0:
        _refuse_foreign(connection, shown)
        _run(connection, _META)
        connection.execute(meta.insert(), {"name": _VERSION, "value": "0"})
    for step in MIGRATIONS[before:]:
        for statement in step:
            _run(connection, statement)
    connection.execute(
        meta.update().where(meta.c.name == _VERSION), {"value": str(len(MIGRATIONS))}
    )


def _refuse_foreign(connection: Connection, shown: str) -> None:
    there = set(inspect(connection).get_table_names())
    # a server's database may be shared with others, a file is somebody's
    alien = there if connection.dialect.name == "sqlite" else there & set(metadata.tables)
    if alien:
        raise StoreError(
            f"{shown} holds something else (table {min(alien)!r}): name another file, database "
            "or schema"
        )


def _run(connection: Connection, statement: str) -> None:
    by_bytes = "TEXT" if connection.dialect.name == "sqlite" else 'TEXT COLLATE "C"'
    connection.exec_driver_sql(statement.replace("{text}", by_bytes))
