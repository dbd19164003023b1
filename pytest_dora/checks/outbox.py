"""A folder beside a workspace in which tools leave their reports for us to read."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_dora.runtime.files import read_regular

if TYPE_CHECKING:
    from pytest_dora.runtime.view import WorkspaceView

_OUT = "/dora-out"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outbox:
    """A fresh, empty folder for one command: ``inside`` is its path as the command sees it.

    The surrounding folder belongs to the app, whose earlier commands may have left anything in
    it; so the name cannot be guessed, and nothing is followed or overwritten when we write.
    """

    def __init__(self, view: WorkspaceView) -> None:
        view.out.mkdir(parents=True, exist_ok=True)
        self.name = secrets.token_hex(8)
        self._out = view.out
        self._uid = view.uid
        own_namespace = view.workdir != str(view.root)
        self.inside = f"{_OUT if own_namespace else view.out}/{self.name}"
        with contextlib.ExitStack() as opened:
            self._folder(opened, self.name)

    def place(self, files: Mapping[str, bytes]) -> None:
        """Write helper files, given by paths relative to the folder. Raises OSError."""
        for relative, content in files.items():
            *folders, name = relative.split("/")
            with contextlib.ExitStack() as opened:
                here = self._folder(opened, self.name, *folders)
                with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=here), "wb") as file:
                    self._give(file.fileno())
                    file.write(content)

    def path(self, relative: str) -> str:
        """Where a file of the folder is, as commands see it."""
        return f"{self.inside}/{relative}"

    def read(self, relative: str, limit: int) -> bytes | None:
        """A whole report of at most ``limit`` bytes; None when absent, larger or no file."""
        data = read_regular(self._out, f"{self.name}/{relative}", limit + 1)
        return data if data is not None and len(data) <= limit else None

    def _folder(self, opened: contextlib.ExitStack, *names: str) -> int:
        """A descriptor of a folder beneath the app's, made where it is absent."""
        here = os.open(self._out, _FOLDER)
        opened.callback(os.close, here)
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=here)
            here = os.open(name, _FOLDER, dir_fd=here)
            opened.callback(os.close, here)
            self._give(here)
        return here

    def _give(self, descriptor: int) -> None:
        if self._uid is not None:
            os.fchown(descriptor, self._uid, self._uid)
