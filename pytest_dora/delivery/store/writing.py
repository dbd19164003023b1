"""Appending: one transaction's worth of events, whatever other writers do meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from pytest_dora.delivery.store import schema
from pytest_dora.delivery.store.records import (
    Appended,
    Candidate,
    Progress,
    Reason,
    candidate,
    differences,
    objection,
    progress_row,
    read_event,
    refusal_row,
)
from pytest_dora.model.base import utc_now
from pytest_dora.model.events import Event

_ASKED = 500
"""Keys in one query: every database takes as many parameters."""
_T = TypeVar("_T")


def write(
    connection: Connection,
    candidates: Sequence[Candidate],
    progress: Progress | None,
    shown: str,
) -> Appended:
    """Store what is new, record what is refused, and how far the collector has come with it.

    Every writer takes its rows in the same order - events by key, refusals, progress - so that
    two of them never wait for each other.
    """
    acceptable = []
    refused = []
    for one in candidates:
        if (why := objection(one.event)) is None:
            acceptable.append(one)
        else:
            refused.append(refusal_row(one, *why))
    new, conflicts = _store(connection, acceptable, shown)
    refused += conflicts
    _refuse(connection, refused)
    if progress is not None:
        _go_on(connection, progress)
    reasons = Counter(Reason(row["reason"]) for row in refused)
    return Appended(new, len(acceptable) - new - len(conflicts), dict(reasons))


def prepared(events: Iterable[Event]) -> list[Candidate]:
    """The rows of events: made before the transaction, which holds others up."""
    return [candidate(event) for event in events]


def in_chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _store(
    connection: Connection, candidates: Sequence[Candidate], shown: str
) -> tuple[int, list[dict[str, Any]]]:
    """How many were new, and the refusals of those that contradict what is stored."""
    firsts: dict[str, Candidate] = {}
    for one in candidates:
        firsts.setdefault(one.key, one)
    new = _insert(connection, [firsts[key].row for key in sorted(firsts)])
    # what was not new was there before, or comes from a writer that ours has waited for
    stored = _column(connection, schema.events.c.digest, firsts) if new < len(firsts) else {}
    suspects = [
        one for one in candidates if one.digest != stored.get(one.key, firsts[one.key].digest)
    ]
    return new, list(_conflicts(connection, suspects, shown))


def _conflicts(
    connection: Connection, suspects: Sequence[Candidate], shown: str
) -> Iterator[dict[str, Any]]:
    """A digest that an older release made may differ where nothing else does, so look."""
    texts = _column(connection, schema.events.c.event, {one.key for one in suspects})
    for one in suspects:
        stored = read_event(one.key, texts[one.key], shown)
        if fields := ", ".join(differences(stored, one.event)):
            message = f"says otherwise than the stored event of this key: {fields}"
            yield refusal_row(one, Reason.CONFLICTING_DUPLICATE, message)


def _column(connection: Connection, column: Any, keys: Iterable[str]) -> dict[str, str]:
    """One column of the events of the given keys, as far as they are stored."""
    key = schema.events.c.key
    found: dict[str, str] = {}
    for some in in_chunks(keys, _ASKED):
        rows = connection.execute(select(key, column).where(key.in_(some)))
        found.update((row[0], row[1]) for row in rows)
    return found


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    if not rows:
        return 0
    statement = _inserting(connection, schema.events).on_conflict_do_nothing()
    done = connection.execute(statement, rows, execution_options={"preserve_rowcount": True})
    return done.rowcount


def _refuse(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = schema.refusals
    insert = _inserting(connection, table)
    again = insert.on_conflict_do_update(
        index_elements=[table.c.key, table.c.reason, table.c.digest],
        set_={"times": table.c.times + 1, "seen_at": insert.excluded.seen_at},
    )
    rows.sort(key=lambda row: (row["key"], row["reason"], row["digest"]))
    connection.execute(again, rows)


def _go_on(connection: Connection, progress: Progress) -> None:
    table = schema.progress
    insert = _inserting(connection, table)
    before, after = table.c.data_through, insert.excluded.data_through
    later = case((after > before, after), else_=func.coalesce(before, after))
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[table.c.collector, table.c.scope],
            set_={
                "cursor": insert.excluded.cursor,
                "data_through": later,
                "updated_at": insert.excluded.updated_at,
            },
        ),
        progress_row(progress, utc_now()),
    )


def _inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
