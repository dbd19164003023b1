"""Ends that nobody announces: the controller is killed, or the run is told to terminate."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType

EXIT_ORPHANED = 70


def watch_parent(pid: int, on_death: Callable[[], None]) -> None:
    """Call ``on_death`` and leave the process at once when its parent ``pid`` ends.

    Does nothing when ``pid`` is not the parent: a worker on another machine has nobody to watch.
    """
    if os.getppid() != pid:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, AttributeError):
        descriptor = None
    thread = threading.Thread(
        target=_wait, args=(pid, descriptor, on_death), name="dora-watch", daemon=True
    )
    thread.start()


def _wait(pid: int, descriptor: int | None, on_death: Callable[[], None]) -> None:
    if descriptor is not None:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.poll()
    else:
        pause = threading.Event()
        while os.getppid() == pid:
            pause.wait(0.02)
    try:
        on_death()
    finally:
        os._exit(EXIT_ORPHANED)


class Terminated(KeyboardInterrupt):
    """SIGTERM came. No ``Exception`` (as pytest's own Exit is): no check may take it for its own."""


class Termination:
    """Turns the first SIGTERM into an orderly end; what follows while we clean up is ignored."""

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | int | None = None
        self._installed = False
        self.ending = False

    def install(self) -> None:
        """Take SIGTERM over; only possible in the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._on_signal)
            self._installed = True

    def restore(self) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, self._previous or signal.SIG_DFL)
            self._installed = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.ending:
            return
        self.ending = True
        raise Terminated("terminated (SIGTERM)")
