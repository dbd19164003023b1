"""The JSON documents of a file, each with its place: lines, a list, or one document.

A file whose first line is a whole document is JSON Lines and is read line by line, however long it
is; any other is read whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pytest_dora.delivery.exchange.edge import Payload, Refused

_WRAPPED = ("incidents", "data")
"""Where PagerDuty's and Opsgenie's answers keep their rows."""


class Document(NamedTuple):
    place: str
    payload: Payload


class _NotJson(Exception):
    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


def documents(lines: Iterable[bytes], name: str, *, by_line: bool) -> Iterator[Document | Refused]:
    """The objects of a file. ``by_line``: it is JSON Lines, and nothing else is tried."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if _holds_text(line))
    first = next(numbered, None)
    if first is None:
        return
    if by_line or _parses(first[1]):
        yield from _of_lines(itertools.chain([first], numbered), name)
        return
    rest = [first, *numbered]
    if any(_parses(line) and line.lstrip().startswith(b"{") for _, line in rest[1:]):
        yield from _of_lines(rest, name)  # JSON Lines whose first line is broken
        return
    start = first[0] - 1
    try:
        value = _parsed(b"\n" * start + _joined(rest))
    except _NotJson as error:
        yield Refused(f"{name}:{error.line}", str(error))
        return
    yield from _objects(value, name)


def _of_lines(numbered: Iterable[tuple[int, bytes]], name: str) -> Iterator[Document | Refused]:
    for number, line in numbered:
        place = f"{name}:{number}"
        try:
            value = _parsed(line.rstrip(b"\r\n"))
        except _NotJson as error:
            yield Refused(place, str(error))
        else:
            yield from _objects(value, place)


def _objects(value: Any, place: str) -> Iterator[Document | Refused]:
    """The objects in a value: itself, the items of a list, the rows of an answer."""
    if isinstance(value, dict):
        rows = _rows(value)
        if rows is None:
            yield Document(place, value)
            return
        value = rows
    if not isinstance(value, list):
        yield Refused(place, "holds no JSON object")
        return
    for number, item in enumerate(value, 1):
        spot = f"{place}: item {number}"
        if isinstance(item, dict):
            yield Document(spot, item)
        else:
            yield Refused(spot, "holds no JSON object")


def _rows(value: dict[str, Any]) -> list[Any] | None:
    for name in _WRAPPED:
        if isinstance(value.get(name), list) and "key" not in value:
            return list(value[name])
    return None


def _joined(numbered: list[tuple[int, bytes]]) -> bytes:
    """The lines with the empty ones between them, so that an error names the right line."""
    pieces, expected = [], numbered[0][0]
    for number, line in numbered:
        pieces.append(b"\n" * (number - expected) + line)
        expected = number + 1
    return b"".join(pieces)


def _holds_text(line: bytes) -> bool:
    return bool(line.removeprefix(b"\xef\xbb\xbf").strip())


def _parses(line: bytes) -> bool:
    try:
        _parsed(line)
    except _NotJson:
        return False
    return True


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _NotJson("is not UTF-8", text.count(b"\n", 0, error.start) + 1) from error
    except json.JSONDecodeError as error:
        raise _NotJson(f"is not JSON: {error.msg} (column {error.colno})", error.lineno) from error
    except RecursionError as error:
        raise _NotJson("is nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise _NotJson(f"is not JSON: {error}") from error
