"""Reading the files of an app that nobody trusts: regular files, beneath its root, capped."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pytest_dora.discovery import parse

MANIFEST_LIMIT = 1_000_000
"""Bytes of a manifest; larger ones are errors."""
SOURCE_LIMIT = 200_000
"""Bytes of a source file; larger ones are bundles or data and are not scanned."""
MAX_ENTRIES = 20_000
MAX_DEPTH = 12
MAX_LINK_HOPS = 8
MAX_OPEN_FOLDERS = 64

SKIPPED_FOLDERS = frozenset(
    {
        "__pycache__",
        "bower_components",
        "build",
        "coverage",
        "dist",
        "node_modules",
        "site-packages",
        "target",
        "vendor",
        "venv",
    }
)
"""Folders of dependencies and products; hidden folders are skipped as well."""
READ_HIDDEN_FOLDERS = frozenset({".streamlit"})

T = TypeVar("T")


def normalise(path: str) -> str | None:
    """A relative POSIX path without ``.`` and ``..``; None when it leaves its root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def join(folder: str, path: str) -> str | None:
    """``path`` as seen from ``folder``, both relative to the root; None when it leaves it."""
    if path.startswith("/") or "\0" in path:
        return None
    return normalise(f"{folder}/{path}")


class _Opener:
    """Opens files below one folder, component by component, without following any link.

    Descriptors of folders stay open for the next file of the same folder.
    """

    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd
        self._folders: OrderedDict[str, int] = OrderedDict()

    def close(self) -> None:
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()
        os.close(self.root_fd)

    def folder(self, path: str) -> int:
        """A descriptor of a real folder, ours to close; raises ``OSError``."""
        if path == ".":
            return self.root_fd
        if path in self._folders:
            self._folders.move_to_end(path)
            return self._folders[path]
        parent, _, name = path.rpartition("/")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self.folder(parent or "."))
        self._folders[path] = descriptor
        if len(self._folders) > MAX_OPEN_FOLDERS:
            _, oldest = self._folders.popitem(last=False)
            os.close(oldest)
        return descriptor

    def file(self, path: str, hops: int = MAX_LINK_HOPS) -> int | None:
        """A descriptor of a regular file, the caller's to close; None when there is none."""
        safe = normalise(path)
        if safe is None or safe == "." or path.startswith("/") or "\0" in path:
            return None
        parent, _, name = safe.rpartition("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            folder = self.folder(parent or ".")
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError as problem:
            if problem.errno != errno.ELOOP or hops == 0:
                return None
            return self._linked(parent, name, hops - 1)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def read(self, path: str, limit: int) -> bytes | None:
        """The content of a regular file; None without one, ``ValueError`` above ``limit``."""
        descriptor = self.file(path)
        if descriptor is None:
            return None
        try:
            if os.fstat(descriptor).st_size > limit:
                raise ValueError(f"larger than {limit} bytes")
            parts: list[bytes] = []
            left = limit
            while left > 0 and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
            return b"".join(parts)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _linked(self, parent: str, name: str, hops: int) -> int | None:
        try:
            target = os.readlink(name, dir_fd=self.folder(parent or "."))
        except OSError:
            return None
        inside = join(parent or ".", target)
        return self.file(inside, hops) if inside else None


class Tree:
    """The regular files of one app, each read and parsed at most once.

    What cannot be read or parsed is collected in ``errors`` as ``path:line: message``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.files: tuple[str, ...] = ()
        self.folders: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._texts: dict[str, str | None] = {}
        self._parsed: dict[tuple[str, str], Any] = {}
        self._opener: _Opener | None = None

    def __enter__(self) -> Self:
        try:
            root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as problem:
            self.errors.append(f".:1: folder cannot be read: {problem.strerror}")
        else:
            self._opener = _Opener(root_fd)
            self._walk(self._opener)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opener is not None:
            self._opener.close()
            self._opener = None

    def has(self, path: str) -> bool:
        """Whether a regular file (or a link to one) was found at ``path``."""
        return path in self._names

    def first(self, folder: str, *names: str) -> str | None:
        """The first of the named files that exists in ``folder``."""
        prefix = "" if folder == "." else f"{folder}/"
        for name in names:
            path = f"{prefix}{name}"
            if path in self._names:
                return path
            if name.startswith("./") or "/." in path:
                clean = join(folder, name)
                if clean and clean in self._names:
                    return clean
        return None

    def below(self, folder: str) -> tuple[str, ...]:
        """The files of a folder and of the folders in it."""
        if folder == ".":
            return self.files
        prefix = f"{folder}/"
        return tuple(path for path in self.files if path.startswith(prefix))

    def text(self, path: str, limit: int = MANIFEST_LIMIT) -> str | None:
        """The decoded content; None when absent, an error is noted when it is not readable."""
        if path not in self._texts:
            self._texts[path] = self._read(path, limit, strict=True)
        return self._texts[path]

    def source(self, path: str) -> str:
        """A source file's text, with odd bytes replaced; empty when absent or too large."""
        if path not in self._texts:
            self._texts[path] = self._read(path, SOURCE_LIMIT, strict=False)
        return self._texts[path] or ""

    def json(self, path: str) -> Mapping[str, Any]:
        """A JSON file with or without comments, as a table; empty when absent or broken."""
        return self._table(path, "json", parse.parse_json)

    def is_json(self, path: str) -> bool:
        """Whether the file holds a JSON object, be it an empty one."""
        self.json(path)
        return self.has(path) and not any(one.startswith(f"{path}:") for one in self.errors)

    def toml(self, path: str) -> Mapping[str, Any]:
        """A TOML file as a table; empty when absent or broken."""
        return self._table(path, "toml", parse.parse_toml)

    def yaml(self, path: str) -> Mapping[str, Any]:
        """The first document of a YAML file as a table; empty when absent or broken."""
        return self._table(path, "yaml", parse.parse_yaml)

    def ini(self, path: str) -> Mapping[str, Mapping[str, str]]:
        """An INI file: sections of names and values; empty when absent."""
        return self._table(path, "ini", parse.parse_ini)

    def remember(self, kind: str, path: str, compute: Callable[[], T]) -> T:
        """What ``compute`` says, computed once for a file of this tree."""
        key = (kind, path)
        if key not in self._parsed:
            self._parsed[key] = compute()
        value: T = self._parsed[key]
        return value

    def error(self, path: str, line: int, message: str) -> None:
        """Note a broken file once."""
        entry = f"{path}:{line}: {message}"
        if entry not in self.errors:
            self.errors.append(entry)

    def note(self, message: str) -> None:
        """Note once what a reader should know."""
        if message not in self.notes:
            self.notes.append(message)

    def _table(
        self, path: str, kind: str, parser: Callable[[str], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        key = (kind, path)
        if key not in self._parsed:
            self._parsed[key] = {}
            text = self.text(path)
            if text is not None:
                try:
                    self._parsed[key] = parser(text)
                except parse.BrokenFile as problem:
                    self.error(path, problem.line, problem.message)
        value: Mapping[str, Any] = self._parsed[key]
        return value

    def _read(self, path: str, limit: int, *, strict: bool) -> str | None:
        if self._opener is None or path not in self._names:
            return None
        try:
            content = self._opener.read(path, limit)
        except ValueError as problem:
            if strict:
                self.error(path, 1, str(problem))
            return None
        if content is None:
            if strict:
                self.error(path, 1, "cannot be read")
            return None
        content = content.removeprefix(b"\xef\xbb\xbf")
        try:
            return content.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as problem:
            if strict:
                line = content.count(b"\n", 0, problem.start) + 1
                self.error(path, line, "is not UTF-8")
                return None
            return content.decode("utf-8", errors="replace").replace("\r\n", "\n")

    def _walk(self, opener: _Opener) -> None:
        """List regular files breadth first, so that a cap cuts deep folders and not manifests."""
        files: list[str] = []
        folders: set[str] = {"."}
        queue: deque[str] = deque(["."])
        seen = 0
        while queue and seen <= MAX_ENTRIES:
            here = queue.popleft()
            try:
                with os.scandir(opener.folder(here)) as entries:
                    listing = sorted(islice(entries, MAX_ENTRIES), key=lambda entry: entry.name)
            except OSError as problem:
                self.error(here, 1, f"folder cannot be read: {problem.strerror}")
                continue
            seen += len(listing)
            prefix = "" if here == "." else f"{here}/"
            inner: list[str] = []
            for entry in listing:
                self._sort_entry(opener, entry, prefix, files, inner)
            if any(entry.name == "pyvenv.cfg" for entry in listing):
                continue
            folders.update(inner)
            queue.extend(path for path in inner if path.count("/") < MAX_DEPTH)
        if seen > MAX_ENTRIES:
            self.note(f"only the first {seen} entries of the folder were looked at")
        self.files = tuple(files)
        self._names = frozenset(files)
        self.folders = frozenset(folders)

    def _sort_entry(
        self,
        opener: _Opener,
        entry: os.DirEntry[str],
        prefix: str,
        files: list[str],
        inner: list[str],
    ) -> None:
        path = f"{prefix}{entry.name}"
        if not entry.name.isprintable():
            readable = path.encode("ascii", "backslashreplace").decode()
            self.note(f"{readable}: unreadable name, ignored")
        elif entry.is_symlink():
            descriptor = opener.file(path)
            if descriptor is None:
                self.note(f"{path}: symbolic link not followed")
            else:
                os.close(descriptor)
                files.append(path)
        elif entry.is_dir(follow_symlinks=False):
            hidden = entry.name.startswith(".") and entry.name not in READ_HIDDEN_FOLDERS
            if not hidden and entry.name not in SKIPPED_FOLDERS:
                inner.append(path)
        elif entry.is_file(follow_symlinks=False):
            files.append(path)
