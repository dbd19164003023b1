"""What the commands share: where the store is, times that are typed, and how they speak."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_dora.model.base import utc_now
from pytest_dora.model.events import Event

if TYPE_CHECKING:
    from pytest_dora.delivery.store import Appended, Store

OK, REFUSED = 0, 1
DEFAULT_STORE = Path(".dora", "events.db")
VARIABLE = "PYTEST_DORA_STORE"


class CommandError(Exception):
    """What was typed cannot be done; one line with the way out."""


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        metavar="URL",
        help=f"a file or a database (default: ${VARIABLE}, else {DEFAULT_STORE})",
    )


def a_time(text: str) -> datetime:
    """The type of an argument that is a time: ``now``, or ISO 8601 with a zone."""
    from pytest_dora.delivery.recording import RecordError, moment

    try:
        return moment(text, utc_now())
    except RecordError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@contextmanager
def opened(typed: str | None, *, create: bool = True) -> Iterator[Store]:
    """The store that was named, else that of the environment, else the one of this folder.

    Raises CommandError for one that cannot be used, also while it is used.
    """
    from pytest_dora.delivery.store import Store, StoreError

    named = typed or os.environ.get(VARIABLE)
    if named is None and create:
        DEFAULT_STORE.parent.mkdir(exist_ok=True)
    elif named is None and not DEFAULT_STORE.exists():
        raise CommandError(f"{DEFAULT_STORE}: there is no store: record or collect something first")
    try:
        with Store.open(named or DEFAULT_STORE, create=create) as store:
            for notice in store.notices:
                complain(notice)
            yield store
    except StoreError as error:
        raise CommandError(str(error)) from error


def append(store: Store, events: Iterable[Event]) -> Appended:
    """Store events, and say which of them the store refuses and why."""
    before = {(one.key, one.event): one.times for one in store.refused_events()}
    done = store.append(events)
    if done.refused:
        for one in store.refused_events():
            if before.get((one.key, one.event)) != one.times:
                complain(f"{one.key}: {one.message}")
    return done


def told(done: Appended) -> str:
    """``2 events new, 1 known, 1 refused (conflicting_duplicate 1)``."""
    text = f"{done.new} {'event' if done.new == 1 else 'events'} new, {done.known} known"
    if done.refused:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(done.refused.items()))
        text += f", {sum(done.refused.values())} refused by the store ({reasons})"
    return text


def say(line: str) -> None:
    sys.stdout.write(_printable(line) + "\n")


def complain(line: str) -> None:
    sys.stderr.write(_printable(line) + "\n")


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
