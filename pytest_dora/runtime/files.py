"""Reading what untrusted code left on disk: regular files beneath a root, never through links."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path, PurePosixPath


def read_regular(root: Path, relative: str, limit: int) -> bytes | None:
    """The first ``limit`` bytes of a regular file beneath ``root``, or None.

    No part of ``relative`` may be a symbolic link, so nothing outside of ``root`` is ever
    read; a FIFO or a device is not opened for reading, so nothing hangs.
    """
    parts = PurePosixPath(relative).parts
    if not parts or ".." in parts or parts[0].startswith("/") or not _is_file_name(relative):
        return None
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for part in parts[:-1]:
            deeper = os.open(part, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = deeper
        descriptor = os.open(parts[-1], flags, dir_fd=here)
    except OSError:
        return None
    finally:
        os.close(here)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def write_new(folder: Path, name: str, data: bytes) -> None:
    """Write a file into a folder that untrusted code may write to, in place of what it left.

    Nothing is written through a link. Raises OSError, also for a folder of that name.
    """
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=here)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o644, dir_fd=here), "wb") as file:
            file.write(data)
    finally:
        os.close(here)


def marks(
    root: Path, relative: str, limit: int = 5000, skip: Collection[str] = ()
) -> list[tuple[str, int, int]]:
    """Name, size and time of the regular files at or beneath a place, none through a link.

    What lies outside of ``root`` is never looked at; ``limit`` bounds the number of files, and
    folders named in ``skip`` are left out.
    """
    inside, start = os.path.realpath(root), os.path.realpath(root / relative)
    if os.path.commonpath([inside, start]) != inside:
        return []
    found: list[tuple[str, int, int]] = []
    places = ((start, [], [""]),) if os.path.isfile(start) else os.walk(start)
    for folder, folders, names in places:
        folders[:] = sorted(set(folders).difference(skip))
        for name in sorted(names):
            path = os.path.join(folder, name) if name else folder
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    found.append((path, status.st_size, status.st_mtime_ns))
        if len(found) >= limit:
            break
    return found[:limit]


def _is_file_name(text: str) -> bool:
    """Whether a file system could hold it: no null byte, and nothing that is no text."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def printable(name: str) -> str:
    """A file name of any bytes as text that JSON, logs and terminals can carry."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
