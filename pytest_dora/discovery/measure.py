"""The size and the fingerprint of one app's tree, read once and in chunks."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPENDENCY_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".venv", "__pycache__", "bower_components", "node_modules", "venv"}
)
"""Never part of an app: a clean copy leaves them behind."""
GENERATED_FOLDERS = frozenset(
    {
        ".mypy_cache", ".next", ".nuxt", ".output", ".pytest_cache", ".ruff_cache", ".svelte-kit",
        ".tox", ".turbo", "build", "coverage", "dist", "out", "site-packages", "target", "vendor",
    }
)  # fmt: skip
"""Hashed as all else is, but nobody wrote their code."""
SOURCE_SUFFIXES = frozenset(
    {
        ".cjs", ".cs", ".css", ".go", ".html", ".java", ".js", ".jsx", ".mjs", ".php", ".py", ".rb",
        ".rs", ".scss", ".sql", ".svelte", ".ts", ".tsx", ".vue",
    }
)  # fmt: skip
_CHUNK = 1 << 20
_SOURCE_LIMIT = 4 << 20
"""Bytes of a source file; larger ones are data or bundles and no lines of code."""
_LONGEST_MEAN_LINE = 1000
"""Bytes per line on average, above which a file was made by a tool."""


@dataclass(frozen=True)
class Measure:
    """What one tree holds.

    ``fingerprint`` is the SHA-256 over path and content of every regular file and the target of
    every link, dependencies left out; ``loc`` counts the lines of source files, generated ones
    left out; ``files`` counts regular files.
    """

    fingerprint: str
    loc: int
    files: int


def measure(root: Path) -> Measure:
    """Read one tree: regular files only, never through links, never whole files at once.

    Never raises for what an app holds: a file that cannot be read is hashed as unreadable.
    """
    digest = hashlib.sha256()
    loc = files = 0
    for relative, generated in _walk(root):
        path = os.path.join(os.fsencode(root), relative)
        kind, content, lines, size = _read(path)
        if kind == b"other":
            continue
        digest.update(b"%s %d %s %s\n" % (kind, len(relative), relative, content))
        if kind != b"file":
            continue
        files += 1
        if not generated and _is_source(relative) and size <= _SOURCE_LIMIT:
            loc += lines if size <= lines * _LONGEST_MEAN_LINE else 0
    return Measure(fingerprint=digest.hexdigest(), loc=loc, files=files)


def _walk(root: Path) -> Iterator[tuple[bytes, bool]]:
    """Relative paths of all that is no folder in byte order, and whether it was generated."""
    found: list[tuple[bytes, bool]] = []
    stack: list[tuple[bytes, bool]] = [(b"", False)]
    dependencies = {os.fsencode(name) for name in DEPENDENCY_FOLDERS}
    made = {os.fsencode(name) for name in GENERATED_FOLDERS}
    while stack:
        prefix, generated = stack.pop()
        try:
            entries = list(os.scandir(os.path.join(os.fsencode(root), prefix)))
        except OSError:
            continue
        for entry in entries:
            name = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                found.append((name, generated))
            elif entry.name not in dependencies:
                stack.append((name + b"/", generated or entry.name in made))
    return iter(sorted(found))


def _read(path: bytes) -> tuple[bytes, bytes, int, int]:
    """Kind, digest of the content, lines and bytes of what lies at a path."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return b"link", hashlib.sha256(os.readlink(path)).digest(), 0, 0
        if not stat.S_ISREG(mode):
            return b"other", b"", 0, 0
        # What was a regular file a moment ago may be a FIFO now: never wait in open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"unreadable", b"", 0, 0
    digest = hashlib.sha256()
    lines = size = 0
    last = b"\n"
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b"other", b"", 0, 0
        try:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                lines += chunk.count(b"\n")
                size += len(chunk)
                last = chunk[-1:]
        except OSError:
            return b"unreadable", b"", 0, 0
    return b"file", digest.digest(), lines + (last != b"\n"), size


def _is_source(relative: bytes) -> bool:
    name = os.fsdecode(relative).rpartition("/")[2].lower()
    stem, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix}" in SOURCE_SUFFIXES and not stem.endswith((".min", ".bundle"))
