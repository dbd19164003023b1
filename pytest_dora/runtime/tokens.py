"""A jobserver in the run's folder: who may use the processors now.

A token is an advisory lock on a file, so the kernel gives it back however its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_POLL_SECONDS = 0.02
_ALL = -1


class Grant(NamedTuple):
    """What holding a token was like: seconds waited for it, and whether others computed too."""

    waited: float
    contended: bool


class Tokens:
    """``count`` CPU tokens shared by every process that names the same folder.

    A thread that holds a token may ask again: it is granted the one it has, for two threads that
    each wait for a second token would wait for ever.
    """

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._gate = folder / "gate"
        self._files = [folder / f"cpu{number}" for number in range(max(1, count))]
        self._start = os.getpid() % len(self._files)
        self._mine = threading.local()

    @contextmanager
    def cpu(self) -> Iterator[Grant]:
        """Hold one token."""
        held: int | None = getattr(self._mine, "descriptor", None)
        if held is not None:
            yield Grant(0.0, held != _ALL and self._others_hold(held))
            return
        clock = time.perf_counter()
        descriptor = self._take_any()
        self._mine.descriptor = descriptor
        try:
            yield Grant(time.perf_counter() - clock, self._others_hold(descriptor))
        finally:
            self._mine.descriptor = None
            os.close(descriptor)

    @contextmanager
    def exclusive(self) -> Iterator[Grant]:
        """Hold every token, so that nothing else computes.

        Raises RuntimeError in a thread that holds a token: it would wait for itself.
        """
        if getattr(self._mine, "descriptor", None) is not None:
            raise RuntimeError("this thread holds a token already")
        clock = time.perf_counter()
        held: list[int] = []
        try:
            # the gate keeps newcomers from taking tokens while we collect them all
            held.append(_lock(self._gate, fcntl.LOCK_EX))
            held.extend(_lock(path, fcntl.LOCK_EX) for path in self._files)
            self._mine.descriptor = _ALL
            yield Grant(time.perf_counter() - clock, contended=False)
        finally:
            self._mine.descriptor = None
            for descriptor in held:
                os.close(descriptor)

    def _take_any(self) -> int:
        while True:
            os.close(_lock(self._gate, fcntl.LOCK_SH))
            for offset in range(len(self._files)):
                path = self._files[(self._start + offset) % len(self._files)]
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(descriptor)
                else:
                    return descriptor
            time.sleep(_POLL_SECONDS)

    def _others_hold(self, own: int) -> bool:
        mine = os.fstat(own).st_ino
        for path in self._files:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(descriptor).st_ino != mine:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            finally:
                os.close(descriptor)
        return False


def _lock(path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, kind)
    return descriptor
