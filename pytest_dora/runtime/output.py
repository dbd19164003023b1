"""What untrusted programs print: cleaned, capped, kept."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from pathlib import Path

TAIL_BYTES = 64 * 1024
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    # OSC and friends: titles, links. One that is never ended must not hide the lines after it
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b(?:[ -/]+[0-~]|[@-Z\\-_78=>c])"
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_RETURN_TO_LINE = bytes.maketrans(b"\r", b"\n")
_BYTE_CONTROLS = bytes(one for one in range(32) if one not in b"\t\n\r") + b"\x7f"
_SMALL = 4096


def clean(text: str) -> str:
    """Text without escape sequences, control characters and direction overrides."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def decode(data: bytes) -> str:
    """Bytes of unknown origin as clean text."""
    return clean(data.decode("utf-8", "replace"))


class Log:
    """A file that keeps the first and the last half of ``limit`` bytes of one command's output.

    The file holds no control characters, so that nobody's terminal obeys a program by showing it.
    Fed from a pipe by a thread of its own, so that a program that prints is never held up.
    ``on_flood`` is called once when more than ``flood`` bytes were printed.
    """

    def __init__(self, path: Path | None, limit: int, flood: int = 512 * 2**20) -> None:
        self._limit = limit
        self._flood = flood
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._first = b""
        self._head_left = limit // 2
        self._total = 0
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0) if path is not None else None
        self._thread: threading.Thread | None = None
        self.flooded = False

    def open_pipe(self) -> int:
        """The write end of a pipe whose bytes end up here; the caller closes it."""
        read, write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._pump, args=(read,), daemon=True)
        self._thread.start()
        return write

    def _pump(self, read: int) -> None:
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                self.write(data)

    def write(self, data: bytes) -> None:
        with self._lock:
            self._total += len(data)
            self.flooded = self._total > self._flood
            head, rest = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            if head and self._file is not None:
                _write_all(self._file.fileno(), head)
            if len(self._first) < TAIL_BYTES // 2:
                self._first += data[: TAIL_BYTES // 2 - len(self._first)]
            if self._tail and len(self._tail[-1]) < _SMALL:
                last = self._tail.pop()  # a program may print one byte at a time
                self._tail_bytes -= len(last)
                data = last + data
            self._tail.append(data)
            self._tail_bytes += len(data)
            keep = max(self._limit // 2, TAIL_BYTES) if rest or self._head_left == 0 else TAIL_BYTES
            while self._tail and self._tail_bytes - len(self._tail[0]) >= keep:
                self._tail_bytes -= len(self._tail.popleft())

    def tail(self, size: int = TAIL_BYTES) -> str:
        """The last bytes printed, as clean text."""
        with self._lock:
            return decode(b"".join(self._tail)[-size:])

    def excerpt(self) -> str:
        """The beginning and the end of what was printed, at most 64 KiB of it, as clean text."""
        with self._lock:
            kept = b"".join(self._tail)
            if self._total <= TAIL_BYTES:
                return decode(kept)
            data = self._first + b"\n[...]\n" + kept[-TAIL_BYTES // 2 :]
            return decode(data)

    @property
    def size(self) -> int:
        return self._total

    def close(self, timeout: float = 2.0) -> None:
        """Wait for what is still in the pipe, write the last part. A daemon that keeps the pipe
        open does not hold us up longer than ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        with self._lock:
            if self._file is None:
                return
            written = self._limit // 2 - self._head_left
            missing = self._total - written
            if missing > 0:
                kept = b"".join(self._tail)
                last = kept[max(0, len(kept) - min(missing, self._limit // 2)) :]
                if missing > len(last):
                    left_out = missing - len(last)
                    _write_all(self._file.fileno(), b"\n[... %d bytes left out]\n" % left_out)
                _write_all(self._file.fileno(), last)
            self._file.close()
            self._file = None


def _write_all(descriptor: int, data: bytes) -> None:
    """A full disk loses the log, and nothing else."""
    data = data.translate(_RETURN_TO_LINE, _BYTE_CONTROLS)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return
