"""Which formats there are, and reading and writing files in any of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pytest_dora.delivery.exchange import (
    alertmanager,
    cdevents,
    cdevents_out,
    devlake,
    github_webhook,
    jsonlines,
    opsgenie,
    pagerduty,
)
from pytest_dora.delivery.exchange.documents import documents
from pytest_dora.delivery.exchange.edge import (
    Payload,
    Reader,
    Refused,
    Single,
    Unusable,
    reason_of,
)
from pytest_dora.model.base import utc_now
from pytest_dora.model.events import Event

AUTO = "auto"
_GITHUB = "github"


@dataclass(frozen=True)
class _Format:
    recognises: Callable[[Payload], bool]
    reader: Callable[[], Reader]


def _single(
    recognises: Callable[[Payload], bool], events: Callable[[Payload, datetime], tuple[Event, ...]]
) -> _Format:
    return _Format(recognises, lambda: Single(events))


_READ: Mapping[str, _Format] = {
    "jsonl": _single(jsonlines.recognises, jsonlines.events),
    "cdevents": _Format(cdevents.recognises, cdevents.CdEventsReader),
    "devlake": _single(devlake.recognises, devlake.events),
    _GITHUB: _single(github_webhook.recognises, github_webhook.events),
    "alertmanager": _single(alertmanager.recognises, alertmanager.events),
    "pagerduty": _single(pagerduty.recognises, pagerduty.events),
    "opsgenie": _single(opsgenie.recognises, opsgenie.events),
}
READABLE = tuple(_READ)
_EDITIONS = {
    "cdevents": cdevents_out.EDITIONS["0.5"],
    **{f"cdevents-{name}": edition for name, edition in cdevents_out.EDITIONS.items()},
}
WRITABLE = ("jsonl", *_EDITIONS)


class UnknownFormat(ValueError):
    """No format has this name; the message lists those there are."""


@dataclass
class Written:
    """How many lines were written, and which events the format cannot say."""

    lines: int = 0
    refused: list[Refused] = field(default_factory=list)


def read_events(
    source: Path | str | IO[bytes],
    format: str | None = None,  # noqa: A002 - the word for it
    *,
    observed_at: datetime | None = None,
    name: str | None = None,
) -> Iterator[Event | Refused]:
    """The events of a file, each line or document of it; what is none is ``Refused``.

    ``format`` is one of ``READABLE``; None or ``auto`` looks at each document; ``github:TYPE``
    names the type of a GitHub webhook. ``name`` stands for a stream in places. Raises OSError for
    a file that cannot be read and UnknownFormat, both before the first event.
    """
    chosen = _chosen(format)
    observed_at = observed_at or utc_now()
    if isinstance(source, str | Path):
        stream: IO[bytes] = Path(source).open("rb")  # noqa: SIM115 - closed when all is read
        return _closing(stream, _read(stream, str(name or source), chosen, observed_at))
    called = name or str(getattr(source, "name", "stream"))
    return _read(source, called, chosen, observed_at)


def write_events(
    events: Iterable[Event],
    stream: IO[str],
    format: str = "jsonl",  # noqa: A002 - the word for it
) -> Written:
    """Write events as lines of JSON; ``format`` is one of ``WRITABLE``. Raises UnknownFormat."""
    if format not in WRITABLE:
        raise UnknownFormat(f"no format {format!r} is written; formats are {', '.join(WRITABLE)}")
    written = Written()
    writer = cdevents_out.CdEventsWriter(_EDITIONS[format]) if format in _EDITIONS else None
    for event in events:
        try:
            lines = (
                [jsonlines.line(event)]
                if writer is None
                else [json.dumps(one, ensure_ascii=False) for one in writer.write(event)]
            )
        except Unusable as error:
            written.refused.append(Refused(event.key, str(error)))
            continue
        for line in lines:
            stream.write(line + "\n")
        written.lines += len(lines)
    return written


def _closing(stream: IO[bytes], events: Iterator[Event | Refused]) -> Iterator[Event | Refused]:
    with stream:
        yield from events


def _chosen(named: str | None) -> Mapping[str, _Format]:
    if named is None or named == AUTO:
        return _READ
    if named in _READ:
        return {named: _READ[named]}
    kind, _, event_type = named.partition(":")
    if kind == _GITHUB and event_type in github_webhook.TYPES:
        return {named: _single(github_webhook.recognises, github_webhook.reading(event_type))}
    known = [*READABLE, *(f"{_GITHUB}:{one}" for one in github_webhook.TYPES)]
    raise UnknownFormat(f"no format {named!r}; formats are {AUTO}, {', '.join(known)}")


def _read(
    lines: Iterable[bytes], name: str, formats: Mapping[str, _Format], observed_at: datetime
) -> Iterator[Event | Refused]:
    readers: dict[str, Reader] = {}
    for found in documents(lines, name, by_line=tuple(formats) == ("jsonl",)):
        if isinstance(found, Refused):
            yield found
            continue
        which = _which(found.payload, formats)
        if which is None:
            yield Refused(found.place, f"is of no known format ({', '.join(formats)})")
            continue
        if which not in readers:
            readers[which] = formats[which].reader()
        try:
            yield from readers[which].read(found.payload, found.place, observed_at)
        except ValidationError as error:
            yield Refused(found.place, reason_of(error))
        except Unusable as error:
            yield Refused(found.place, str(error))
    for reader in readers.values():
        yield from reader.left()


def _which(payload: Payload, formats: Mapping[str, _Format]) -> str | None:
    """The format of a document: the only one that was asked for, else the first that knows it."""
    if len(formats) == 1:
        return next(iter(formats))
    return next((name for name, one in formats.items() if one.recognises(payload)), None)
