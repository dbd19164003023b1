"""Reading the files of an app that nobody trusts: regular files, beneath its root, capped."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_dora.discovery import parse

MANIFEST_LIMIT = 1_000_000
"""Bytes of a manifest; larger ones are errors."""
SOURCE_LIMIT = 200_000
"""Bytes of a source file; larger ones are bundles or data and are not scanned."""
MAX_ENTRIES = 20_000
MAX_DEPTH = 12
MAX_LINK_HOPS = 8

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


def read_beneath(root_fd: int, relative: str, limit: int) -> bytes | None:
    """The content of one regular file below an open folder; None when there is no such file.

    No symbolic link is followed out of the folder, nothing but a regular file is opened, and a
    file of more than ``limit`` bytes raises ``ValueError``.
    """
    descriptor = _open_file(root_fd, relative, MAX_LINK_HOPS)
    if descriptor is None:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


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


def _open_folder(root_fd: int, parts: list[str]) -> int:
    """A descriptor of a real folder, opened component by component; raises ``OSError``."""
    current = os.dup(root_fd)
    for part in parts:
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=current)
        finally:
            os.close(current)
        current = inner
    return current


def _open_file(root_fd: int, relative: str, hops: int) -> int | None:
    safe = normalise(relative)
    if safe is None or safe == "." or relative.startswith("/") or "\0" in relative:
        return None
    *folders, name = safe.split("/")
    try:
        folder = _open_folder(root_fd, folders)
    except OSError:
        return None
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=folder)
    except OSError as problem:
        if problem.errno != errno.ELOOP or hops == 0:
            return None
        try:
            target = os.readlink(name, dir_fd=folder)
        except OSError:
            return None
    finally:
        os.close(folder)
    inside = join("/".join(folders), target)
    return _open_file(root_fd, inside, hops - 1) if inside else None


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
        self._root_fd: int | None = None

    def __enter__(self) -> Tree:
        try:
            self._root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as problem:
            self.errors.append(f".:1: folder cannot be read: {problem.strerror}")
        else:
            self._walk(self._root_fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._root_fd is not None:
            os.close(self._root_fd)
            self._root_fd = None

    def has(self, path: str) -> bool:
        """Whether a regular file (or a link to one) was found at ``path``."""
        return path in self._names

    def first(self, folder: str, *names: str) -> str | None:
        """The first of the named files that exists in ``folder``."""
        for name in names:
            path = join(folder, name)
            if path and path in self._names:
                return path
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

    def toml(self, path: str) -> Mapping[str, Any]:
        """A TOML file as a table; empty when absent or broken."""
        return self._table(path, "toml", parse.parse_toml)

    def yaml(self, path: str) -> Mapping[str, Any]:
        """The first document of a YAML file as a table; empty when absent or broken."""
        return self._table(path, "yaml", parse.parse_yaml)

    def ini(self, path: str) -> Mapping[str, Mapping[str, str]]:
        """An INI file: sections of names and values; empty when absent."""
        return self._table(path, "ini", parse.parse_ini)

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
        if self._root_fd is None or path not in self._names:
            return None
        try:
            content = read_beneath(self._root_fd, path, limit)
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

    def _walk(self, root_fd: int) -> None:
        """List regular files breadth first, so that a cap cuts deep folders and not manifests."""
        files: list[str] = []
        folders: set[str] = {"."}
        queue: deque[list[str]] = deque([[]])
        seen = 0
        while queue:
            parts = queue.popleft()
            here = "/".join(parts) or "."
            try:
                descriptor = _open_folder(root_fd, parts)
            except OSError as problem:
                self.error(here, 1, f"folder cannot be read: {problem.strerror}")
                continue
            inner: list[str] = []
            try:
                with os.scandir(descriptor) as entries:
                    listing = sorted(entries, key=lambda entry: entry.name)
                seen += len(listing)
                for entry in listing:
                    self._sort_entry(entry, parts, files, inner)
                if not _is_virtual_environment(listing):
                    for name in inner:
                        folders.add("/".join([*parts, name]))
                        if len(parts) < MAX_DEPTH:
                            queue.append([*parts, name])
            except OSError as problem:
                self.error(here, 1, f"folder cannot be read: {problem.strerror}")
            finally:
                os.close(descriptor)
            if seen > MAX_ENTRIES:
                self.note(f"only the first {seen} entries of the folder were looked at")
                break
        self.files = tuple(files)
        self._names = frozenset(files)
        self.folders = frozenset(folders)

    def _sort_entry(
        self, entry: os.DirEntry[str], parts: list[str], files: list[str], inner: list[str]
    ) -> None:
        path = "/".join([*parts, entry.name])
        if not entry.name.isprintable():
            self.note(f"{path.encode('utf-8', 'replace').decode()!r}: unreadable name, ignored")
        elif entry.is_symlink():
            self._sort_link(path, files)
        elif entry.is_dir(follow_symlinks=False):
            hidden = entry.name.startswith(".") and entry.name not in READ_HIDDEN_FOLDERS
            if not hidden and entry.name not in SKIPPED_FOLDERS:
                inner.append(entry.name)
        elif entry.is_file(follow_symlinks=False):
            files.append(path)

    def _sort_link(self, path: str, files: list[str]) -> None:
        """A link counts as the file it names when that lies beneath the root."""
        if self._root_fd is None:
            return
        descriptor = _open_file(self._root_fd, path, MAX_LINK_HOPS)
        if descriptor is None:
            self.note(f"{path}: symbolic link not followed")
            return
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                files.append(path)
        finally:
            os.close(descriptor)


def _is_virtual_environment(listing: list[os.DirEntry[str]]) -> bool:
    return any(entry.name == "pyvenv.cfg" for entry in listing)
