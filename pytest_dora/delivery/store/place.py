"""Where a store is: what was typed, read as an address, and how it is named without its secrets."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(sqlite|postgres(ql)?)\b[^/]*:")
_WAYS = (
    "write a file (dora.db), sqlite:///dora.db or postgresql://user:password@host/database, "
    "with @ : / and ? in a password as %40 %3A %2F and %3F"
)
_FLEETING = {
    "tmpfs": "it is in memory",
    "ramfs": "it is in memory",
    "overlay": "it ends with its container",
}
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})


class StoreError(Exception):
    """A store cannot be used; the message says which, why, and what mends it. No secrets."""


@dataclass(frozen=True)
class Place:
    """An address that can be opened. ``file`` is None for a server."""

    url: URL = field(repr=False)
    shown: str
    """For messages: without password and options."""
    file: Path | None = None


def find_place(typed: str | Path) -> Place:
    """Read what was typed: a path, or the address of SQLite or PostgreSQL. Raises StoreError."""
    if isinstance(typed, Path) or not _ADDRESS.match(typed):
        if not str(typed).strip():
            raise StoreError(f"the store's address is empty: {_WAYS}")
        return _file(Path(typed))
    try:
        url = make_url(typed)
    except (ArgumentError, ValueError):  # whose words may repeat a part of a password
        raise StoreError(f"the store's address cannot be read: {_WAYS}") from None
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    if url.drivername not in _POSTGRESQL:
        raise StoreError(f"no store can be kept in {url.drivername}: {_WAYS}")
    if "@" in f"{url.host}{url.database}":  # the rest of a password that was not escaped
        raise StoreError(f"the store's address cannot be read: {_WAYS}")
    return Place(url.set(drivername="postgresql+psycopg"), _shown(url))


def _sqlite(url: URL) -> Place:
    if not url.database or url.database == ":memory:":
        raise StoreError("a SQLite store needs a file, as sqlite:///dora.db: memory keeps nothing")
    if url.query or url.host or url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError("a SQLite store has no host, driver or options: write sqlite:///dora.db")
    return _file(Path(url.database))


def _file(path: Path) -> Place:
    file = path.expanduser().absolute()
    if not file.parent.is_dir():
        raise StoreError(f"{file}: there is no folder {file.parent}: make it, or name another file")
    if file.is_dir():
        raise StoreError(f"{file} is a folder: name a file in it")
    return Place(URL.create("sqlite", database=str(file)), str(file), file)


def _shown(url: URL) -> str:
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{url.host or ''}{port}/{url.database or ''}"


def notices_of(place: Place) -> tuple[str, ...]:
    """Warnings of a file's place: that it does not last, or cannot be shared."""
    if place.file is None:
        return ()
    file = place.file.resolve()
    kind = _filesystem(file)
    why = _FLEETING.get(kind)
    for folder in _temporary_folders():
        if file.is_relative_to(folder):
            why = f"{folder} is emptied"
    found = []
    if why is not None:
        found.append(
            f"the store {place.shown} does not last: {why}; name a file on a disk that stays, "
            "or a PostgreSQL server"
        )
    if kind in _REMOTE:
        found.append(
            f"the store {place.shown} is on a network disk ({kind}), where SQLite cannot keep "
            "several writers apart; use a PostgreSQL server for a team"
        )
    return tuple(found)


def _temporary_folders() -> set[Path]:
    return {Path(one).resolve() for one in ("/tmp", "/dev/shm", tempfile.gettempdir())}


def _filesystem(file: Path) -> str:
    mounted = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    return next((mounted[folder] for folder in file.parents if folder in mounted), "")
