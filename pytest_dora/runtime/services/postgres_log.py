"""What PostgreSQL logs of its clients: sessions and statements, read while they are written."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

_KEPT = 10_000
_TEXT = 10_000
_READ = 2**20
_INTERVAL = 1.0
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])')
_APPLICATION = 22
OURS = "pytest-dora"
"""The application name of our own sessions, which are left out."""
SETTINGS = {
    "logging_collector": "on",
    "log_destination": "csvlog",
    "log_directory": "log",
    "log_filename": "%Y%m%d-%H%M%S.log",
    "log_file_mode": "0600",
    "log_rotation_size": "16MB",
    "log_statement": "all",
    "log_connections": "on",
    "log_parameter_max_length": "200",
    "log_timezone": "UTC",
}
MARKS = "postgres"
"""The database in which our own statements are kept: they mark how far the log has come."""
Kind = Literal["connect", "statement", "error"]


@dataclass(frozen=True)
class Statement:
    """One line of a database's log: a login, a statement, or the refusal of one."""

    at: datetime
    user: str
    session: str
    kind: Kind
    text: str


class StatementLog:
    """Follows the log folder of a server, keeps the last of each known database.

    A thread of its own reads and removes what is read, so that a talkative app fills no disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, deque[Statement]] = {}
        self._lock = threading.Lock()
        self._current: Path | None = None
        self._offset = 0
        self._partial = b""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="dora-pg-log", daemon=True)
        self._thread.start()

    def watch(self, database: str) -> None:
        with self._lock:
            self._kept[database] = deque(maxlen=_KEPT)

    def forget(self, database: str) -> None:
        with self._lock:
            self._kept.pop(database, None)

    def of(self, database: str) -> tuple[Statement, ...]:
        """Everything kept of a database, oldest first, up to what is in the file by now."""
        with self._lock:
            self._collect()
            return tuple(self._kept.get(database, ()))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def _follow(self) -> None:
        while not self._ended.wait(_INTERVAL):
            with self._lock:
                self._collect()

    def _collect(self) -> None:
        for path in sorted(self._folder.glob("*.csv")):
            if self._current is not None and path != self._current:
                if path < self._current:
                    continue
                self._read()  # the last of a file that is complete now
                with contextlib.suppress(OSError):
                    self._current.unlink()
                    self._current.with_suffix(".log").unlink()
                self._offset, self._partial = 0, b""
            self._current = path
        self._read()

    def _read(self) -> None:
        if self._current is None:
            return
        try:
            descriptor = os.open(self._current, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as file:
            file.seek(self._offset)
            while data := file.read(_READ):
                self._offset += len(data)
                complete, self._partial = split_records(self._partial + data)
                for database, statement in parse(complete):
                    if database in self._kept:
                        self._kept[database].append(statement)


def split_records(data: bytes) -> tuple[bytes, bytes]:
    """Whole records, and the beginning of the next: a line's end inside quotes ends nothing."""
    end, quotes, start = 0, 0, 0
    while (stop := data.find(b"\n", start)) >= 0:
        quotes += data.count(b'"', start, stop)
        start = stop + 1
        if quotes % 2 == 0:
            end = start
    return data[:end], data[end:]


def parse(records: bytes) -> Iterator[tuple[str, Statement]]:
    """The database and the statement of every record that is a client's doing."""
    for row in _rows(records.decode("utf-8", "replace")):
        if len(row) <= _APPLICATION or not row[2]:
            continue
        ours = row[_APPLICATION] == OURS or row[13].endswith(f"application_name={OURS}")
        if ours and row[2] != MARKS:
            continue
        found = _kind(row[11], row[13])
        if found is not None:
            at = datetime.strptime(row[0], "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)
            yield row[2], Statement(at, row[1], row[5], found[0], found[1][:_TEXT])


def _rows(text: str) -> Iterator[list[str]]:
    """Like csv.reader, without its limit on a field's length: it holds for a whole process."""
    row: list[str] = []
    for field in _FIELD.finditer(text):
        row.append(field[2] if field[1] is None else field[1].replace('""', '"'))
        if field[3] == "\n":
            yield row
            row = []


def _kind(severity: str, message: str) -> tuple[Kind, str] | None:
    if severity in ("ERROR", "FATAL"):
        return "error", message
    if message.startswith("connection authorized"):
        return "connect", message
    head, _, text = message.partition(": ")
    if head == "statement" or head.startswith("execute "):
        return "statement", text
    return None
