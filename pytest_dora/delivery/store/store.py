"""The store: append, read, and how far the collectors have come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, or_, select

from pytest_dora.delivery.store import schema
from pytest_dora.delivery.store.engine import open_engine, opening, share, transaction
from pytest_dora.delivery.store.place import Place, StoreError, find_place, notices_of
from pytest_dora.delivery.store.records import (
    Appended,
    Progress,
    Reason,
    Refusal,
    read_event,
    read_progress,
    written,
)
from pytest_dora.delivery.store.writing import prepared, write
from pytest_dora.model.events import Event

_CHUNK = 5_000
"""Events in one transaction: a tenth of a second of a SQLite file's only writer."""
_PAGE = 500
Owner = tuple[str | None, str | None]
"""``app_id`` and ``service`` of an event."""


@dataclass(frozen=True)
class Store:
    """An open store; ``close`` it, or use it as a context manager.

    Any number of processes and threads may read and append at once. Every method raises
    StoreError when the store cannot be reached.
    """

    notices: tuple[str, ...]
    """What the evaluator should know of the place: that it does not last, or cannot be shared."""
    _engine: Engine
    _place: Place

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> Self:
        """Open a file, or the address of a SQLite file or a PostgreSQL database.

        An older store is brought to this version's schema. Raises StoreError when it cannot be
        opened, when a newer version wrote it, or when there is none and ``create`` is false.
        """
        place = find_place(url)
        if not create and place.file is not None and not place.file.exists():
            raise _absent(place)
        engine = open_engine(place)
        try:
            with opening(place):
                _prepare(engine, place, create=create)
                share(engine, place)
        except BaseException:
            engine.dispose()
            raise
        return cls(notices_of(place), engine, place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """The store's address without its secrets."""
        return self._place.shown

    # --- events -----------------------------------------------------------------------------

    def append(self, events: Iterable[Event], progress: Progress | None = None) -> Appended:
        """Store events, and with the last of them how far their collector has come.

        Up to 5,000 events are one transaction, more are several: the progress is stored together
        with the last events or not at all, and what is given again is known. An event is refused
        and counted (``refused_events``) when it contradicts the stored one of its key, or
        happened more than five minutes after it was observed.
        """
        done = Appended()
        iterator = iter(events)
        chunk = list(islice(iterator, _CHUNK))
        while chunk or progress is not None:
            following = list(islice(iterator, _CHUNK))
            candidates = prepared(chunk)
            with self._writing() as connection:
                last = None if following else progress
                done += write(connection, candidates, last, self.shown)
            if not following:
                break
            chunk = following
        return done

    def read(
        self,
        *,
        apps: Collection[str] | None = None,
        services: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Event]:
        """Events of one moment of the store, ordered by ``(occurred_at, key)``, a page at a time.

        ``apps`` and ``services`` together: what belongs to one of these apps or of these
        services. Times are from ``since`` to before ``until``. An event that cannot be read
        raises StoreError.
        """
        wanted = _span(kinds, since, until)
        owners = [
            column.in_(names)
            for column, names in (
                (schema.events.c.app_id, apps),
                (schema.events.c.service, services),
            )
            if names is not None
        ]
        if owners:
            wanted.append(or_(*owners))
        return self._stream(wanted)

    def read_by_app(
        self,
        owner: Callable[[str | None, str | None], str | None],
        *,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[tuple[str | None, list[Event]]]:
        """The events of one app after the other, all of one moment of the store.

        ``owner`` says whose the events of an ``app_id`` and a ``service`` are. Apps come by
        name, events that nobody owns (None) last; one app's are held at a time, ordered as in
        ``read``. An app without events in the span does not come.
        """
        span = _span(kinds, since, until)
        return self._stream_apps(owner, span)

    def owners(self) -> list[Owner]:
        """Every pair of ``app_id`` and ``service`` that an event names."""
        with self._reading() as connection:
            return _owners(connection)

    def count(self) -> int:
        """Number of events."""
        with self._reading() as connection:
            return connection.scalar(select(func.count()).select_from(schema.events)) or 0

    # --- progress and refusals --------------------------------------------------------------

    def progress(self, collector: str, scope: str) -> Progress | None:
        """How far a collector has come with a scope; None when it has not begun."""
        table = schema.progress
        mine = and_(table.c.collector == collector, table.c.scope == scope)
        with self._reading() as connection:
            row = connection.execute(select(table).where(mine)).mappings().one_or_none()
        return None if row is None else read_progress({**row}, self.shown)

    def all_progress(self) -> list[Progress]:
        """How far every collector has come, by collector and scope."""
        table = schema.progress
        query = select(table).order_by(table.c.collector, table.c.scope)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [read_progress({**row}, self.shown) for row in rows]

    def refusals(self) -> Mapping[Reason, int]:
        """How many events are not in the store, by reason.

        One that was refused often counts once; one that was accepted later does not count.
        """
        table = schema.refusals
        query = (
            select(table.c.reason, func.count()).where(_still_refused()).group_by(table.c.reason)
        )
        with self._reading() as connection:
            return {Reason(row[0]): row[1] for row in connection.execute(query)}

    def refused_events(self) -> Iterator[Refusal]:
        """What ``refusals`` counts, by key."""
        table = schema.refusals
        query = (
            select(table)
            .where(_still_refused())
            .order_by(table.c.key, table.c.reason, table.c.digest)
            .execution_options(yield_per=_PAGE)
        )
        with self._reading() as connection, connection.execute(query) as rows:
            for row in rows:
                yield Refusal(
                    row.key,
                    row.source,
                    Reason(row.reason),
                    row.message,
                    datetime.fromisoformat(row.seen_at),
                    row.times,
                    row.event,
                )

    # --- inside -----------------------------------------------------------------------------

    def _reading(self) -> AbstractContextManager[Connection]:
        return transaction(self._engine, self._place, writes=False)

    def _writing(self) -> AbstractContextManager[Connection]:
        return transaction(self._engine, self._place, writes=True)

    def _stream(self, wanted: Iterable[ColumnElement[bool]]) -> Iterator[Event]:
        with self._reading() as connection:
            yield from self._events(connection, wanted)

    def _events(
        self, connection: Connection, wanted: Iterable[ColumnElement[bool]]
    ) -> Iterator[Event]:
        table = schema.events
        query = (
            select(table.c.key, table.c.event)
            .where(*wanted)
            .order_by(table.c.occurred_at, table.c.key)
            .execution_options(yield_per=_PAGE)
        )
        with connection.execute(query) as rows:
            for key, text in rows:
                yield read_event(key, text, self.shown)

    def _stream_apps(
        self,
        owner: Callable[[str | None, str | None], str | None],
        span: list[ColumnElement[bool]],
    ) -> Iterator[tuple[str | None, list[Event]]]:
        columns = schema.events.c
        with self._reading() as connection:
            owned: dict[str | None, list[Owner]] = {}
            for pair in _owners(connection):
                owned.setdefault(owner(*pair), []).append(pair)
            for app in sorted(owned, key=lambda name: (name is None, name or "")):
                events: list[Event] = []
                for app_id, service in owned[app]:  # one query each, however many pairs there are
                    mine = (columns.app_id == app_id, columns.service == service)
                    events += self._events(connection, (*mine, *span))
                events.sort(key=lambda event: (event.occurred_at, event.key))
                if events:
                    yield app, events


def _prepare(engine: Engine, place: Place, *, create: bool) -> None:
    with transaction(engine, place, writes=False) as connection:
        version = schema.version(connection, place.shown)
    if version == 0 and not create:
        raise _absent(place)
    if version < len(schema.MIGRATIONS):
        with transaction(engine, place, writes=True) as connection:
            schema.migrate(connection, place.shown)


def _absent(place: Place) -> StoreError:
    return StoreError(f"{place.shown}: there is no store: record or collect something first")


def _owners(connection: Connection) -> list[Owner]:
    columns = schema.events.c
    pairs = connection.execute(select(columns.app_id, columns.service).distinct())
    return sorted(
        ((row[0], row[1]) for row in pairs),
        key=lambda pair: tuple((name is None, name or "") for name in pair),
    )


def _span(
    kinds: Collection[str] | None, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    columns = schema.events.c
    wanted: list[ColumnElement[bool]] = []
    if kinds is not None:
        wanted.append(columns.kind.in_(kinds))
    if since is not None:
        wanted.append(columns.occurred_at >= written(since))
    if until is not None:
        wanted.append(columns.occurred_at < written(until))
    return wanted


def _still_refused() -> ColumnElement[bool]:
    stored, refused = schema.events.c, schema.refusals.c
    return ~exists().where(stored.key == refused.key, stored.digest == refused.digest)
