"""``pytest-dora import`` and ``export``: files of events, ours and other tools'.

Exit status 1 when something was refused; whatever was not is stored.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_dora.delivery.commands.common import (
    OK,
    REFUSED,
    CommandError,
    a_time,
    add_store,
    append,
    complain,
    opened,
    say,
    told,
)
from pytest_dora.model.events import Event

if TYPE_CHECKING:
    from pytest_dora.delivery.exchange import Refused


def add_import(commands: Any) -> None:
    """Add ``import FILE…``."""
    parser = commands.add_parser(
        "import", help="read events from files: JSON Lines, CDEvents, webhooks of other tools"
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="- is standard input")
    parser.add_argument(
        "--format", metavar="NAME", help="a format (default: told by each document)"
    )
    parser.add_argument("--app", metavar="ID", help="whose events are that name no app")
    parser.add_argument("--environment", metavar="NAME", help="of events that name none")
    add_store(parser)
    parser.set_defaults(act=_import)


def add_export(commands: Any) -> None:
    """Add ``export``."""
    parser = commands.add_parser("export", help="write events as JSON Lines or CDEvents")
    parser.add_argument("--format", metavar="NAME", default="jsonl")
    parser.add_argument("--app", action="append", metavar="ID", help="only this app's; repeatable")
    parser.add_argument("--since", type=a_time, metavar="TIME", help="only from then on")
    parser.add_argument("--until", type=a_time, metavar="TIME", help="only before then")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    add_store(parser)
    parser.set_defaults(act=_export)


def _import(chosen: argparse.Namespace) -> int:
    from pytest_dora.delivery.exchange import UnknownFormat
    from pytest_dora.delivery.store import Appended

    for name in chosen.files:
        if name != "-" and not Path(name).is_file():
            raise CommandError(f"{name}: no such file; name files of events, or - for input")
    unusable, done = 0, Appended()

    def usable(found: Iterable[Event | Refused]) -> Iterator[Event]:
        nonlocal unusable
        for one in found:
            if isinstance(one, Event):
                yield _owned(one, chosen.app, chosen.environment)
            else:
                unusable += 1
                complain(str(one))

    try:
        readings = [_reading(name, chosen.format) for name in chosen.files]
    except UnknownFormat as error:
        raise CommandError(str(error)) from error
    with opened(chosen.store) as store:
        for reading in readings:
            done += append(store, usable(reading))
        shown = store.shown
    rest = f", {unusable} refused: see above" if unusable else ""
    say(f"{told(done)}{rest}: {shown}")
    return REFUSED if unusable or done.refused else OK


def _reading(name: str, format_name: str | None) -> Iterator[Event | Refused]:
    from pytest_dora.delivery.exchange import read_events

    if name == "-":
        return read_events(sys.stdin.buffer, format_name, name="standard input")
    return read_events(name, format_name)


def _owned(event: Event, app_id: str | None, environment: str | None) -> Event:
    """The event with the app and the environment that it does not name itself."""
    more = {}
    if app_id is not None and event.app_id is None:
        more["app_id"] = app_id
    if environment is not None and event.environment is None:
        more["environment"] = environment
    return type(event).model_validate({**dict(event), **more}) if more else event


def _export(chosen: argparse.Namespace) -> int:
    with opened(chosen.store, create=False) as store:
        events = store.read(apps=chosen.app, since=chosen.since, until=chosen.until)
        if chosen.output is None:
            return _write(events, sys.stdout, chosen.format)
        with chosen.output.open("w", encoding="utf-8") as stream:
            return _write(events, stream, chosen.format)


def _write(events: Iterable[Event], stream: IO[str], format_name: str) -> int:
    from pytest_dora.delivery.exchange import UnknownFormat, write_events

    try:
        written = write_events(events, stream, format_name)
    except UnknownFormat as error:
        raise CommandError(str(error)) from error
    for refused in written.refused:
        complain(str(refused))
    lines = "line" if written.lines == 1 else "lines"
    complain(f"{written.lines} {lines} written, {len(written.refused)} events refused")
    return REFUSED if written.refused else OK
