"""Looking things up in the tree of an app, bounded, without following links out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_dora.runtime.files import read_regular

MAX_FILES = 4000
MAX_FILE_BYTES = 512 * 1024
MAX_TOTAL_BYTES = 48 * 2**20
_MAX_DEPTH = 24

SKIPPED_FOLDERS = frozenset(
    [
        "node_modules",
        "bower_components",
        "vendor",
        "venv",
        "env",
        "site-packages",
        "__pycache__",
        "dist",
        "build",
        "out",
        "coverage",
        "target",
        "htmlcov",
        "storage",
        "public",
        "static",
    ]
)
"""Folders without sources of the app's own; hidden folders are skipped as well."""
BUILD_FOLDERS = ("dist", "build", "out", ".next", ".output", ".svelte-kit")

_TEST_FILE = re.compile(
    r"(^|/)(tests?|__tests__|spec|e2e|cypress|testing)/|(^|/)(test_[^/]*|[^/]*_tests?|tests|conftest)\.py$"
    r"|[._-](test|spec|tests)\.[cm]?[jt]sx?$|_test\.go$|Test\.php$",
)


@dataclass(frozen=True)
class Source:
    """A file of the app: its path relative to the app's root, and its text."""

    path: str
    text: str


def is_test_file(path: str) -> bool:
    """Whether a path is, by its name or folder, one of tests and not of the program."""
    return _TEST_FILE.search(path) is not None


def sources(root: Path, cwd: str, suffixes: frozenset[str]) -> Iterator[Source]:
    """The app's own source files beneath ``cwd``, in order, at most 48 MiB of them."""
    total = 0
    for path in source_paths(root, cwd, suffixes):
        data = read_regular(root, path, MAX_FILE_BYTES)
        if data is None or b"\0" in data[:4096]:
            continue
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            return
        yield Source(path, data.decode("utf-8", "replace"))


def source_paths(root: Path, cwd: str, suffixes: frozenset[str]) -> Iterator[str]:
    """Paths of the app's own source files beneath ``cwd``, relative to the app's root."""
    found = 0
    base = root / cwd
    for folder, folders, names in os.walk(base):
        depth = len(Path(folder).relative_to(base).parts)
        folders[:] = sorted(
            name
            for name in folders
            if depth < _MAX_DEPTH and name not in SKIPPED_FOLDERS and not name.startswith(".")
        )
        for name in sorted(names):
            if os.path.splitext(name)[1] in suffixes:
                found += 1
                if found > MAX_FILES:
                    return
                yield os.path.relpath(os.path.join(folder, name), root)


def installed(root: Path, cwd: str, name: str) -> str | None:
    """A path in the nearest ``node_modules`` of ``cwd`` or its parents, as Node looks it up.

    Relative to ``cwd``, so that it can be run there.
    """
    for up, folder in enumerate(up_from(cwd)):
        inner = f"node_modules/{name}"
        if os.path.lexists(root / folder / inner):
            return "/".join([*[".."] * up, inner])
    return None


def up_from(cwd: str) -> list[str]:
    """``cwd`` and its parents up to the app's root (``"."``), nearest first."""
    parts = [part for part in cwd.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[:depth]) or "." for depth in range(len(parts), -1, -1)]


def read_text(root: Path, relative: str, limit: int = MAX_FILE_BYTES) -> str:
    """The text of a file of the app, empty when there is none."""
    data = read_regular(root, relative, limit)
    return data.decode("utf-8", "replace") if data else ""


def join(cwd: str, name: str) -> str:
    """A path relative to the app's root from one relative to ``cwd``."""
    return os.path.normpath(os.path.join(cwd, name))


def own_path(name: str, workdir: str, cwd: str) -> str | None:
    """A path that a tool printed, relative to the app's root; None when it lies outside."""
    name = name.removeprefix("file://")
    if name.startswith("/"):
        prefix = workdir.rstrip("/") + "/"
        if not name.startswith(prefix):
            return None
        name = name[len(prefix) :]
    else:
        name = os.path.join(cwd, name)
    path = os.path.normpath(name)
    return None if path.startswith("..") or path == "." else path
