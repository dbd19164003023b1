"""Copies of an app in which its commands may write: sources are never changed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pathspec

DEPENDENCY_FOLDERS = frozenset(
    {"node_modules", ".venv", "venv", "__pycache__", ".git", ".hg", ".svn", "bower_components"}
)
_OUTPUT_FOLDERS = frozenset(
    {"dist", "build", "out", ".next", ".nuxt", ".svelte-kit", ".turbo", "coverage", "target"}
)
"""Left out where the app's own .gitignore names them: a clean copy has no build output."""


class WorkspaceFull(Exception):
    """The copy does not fit: over the limit, or no space left on the disk."""


@dataclass
class CopyReport:
    """What a clean copy left out and why, for the evidence."""

    files: int = 0
    bytes: int = 0
    skipped: list[str] = field(default_factory=list)


def clean_copy(source: Path, target: Path, limit: int) -> CopyReport:
    """Copy the regular files of an app as a fresh checkout would have them.

    Dependencies and ignored build output stay behind, as does all that is no regular file;
    symbolic links are kept when they stay inside the app. Raises WorkspaceFull.
    """
    report = CopyReport()
    ignored = _ignored(source)
    target.mkdir(parents=True, exist_ok=True)
    stack = [(source, target, "")]
    while stack:
        folder, into, prefix = stack.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            report.skipped.append(f"{prefix or '.'}: {error.strerror}")
            continue
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name in DEPENDENCY_FOLDERS:
                    continue
                if entry.name in _OUTPUT_FOLDERS and ignored.match_file(name + "/"):
                    report.skipped.append(f"{name}: ignored build output")
                    continue
                (into / entry.name).mkdir(exist_ok=True)
                stack.append((Path(entry.path), into / entry.name, name + "/"))
            else:
                _copy_entry(entry, into / entry.name, name, source, report, limit)
    return report


def _copy_entry(
    entry: os.DirEntry[str],
    into: Path,
    name: str,
    root: Path,
    report: CopyReport,
    limit: int,
) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            where = Path(entry.path).resolve()
            if os.path.isabs(os.readlink(entry.path)) or not where.is_relative_to(root.resolve()):
                report.skipped.append(f"{name}: link out of the app")
            else:
                os.symlink(os.readlink(entry.path), into)
        elif not stat.S_ISREG(status.st_mode):
            report.skipped.append(f"{name}: no regular file")
        else:
            report.files += 1
            report.bytes += status.st_size
            if report.bytes > limit:
                raise WorkspaceFull(f"the app is larger than {limit // 2**20} MiB (at {name})")
            shutil.copyfile(entry.path, into, follow_symlinks=False)
            into.chmod(stat.S_IMODE(status.st_mode) | 0o600)
            os.utime(into, ns=(status.st_atime_ns, status.st_mtime_ns))
    except RuntimeError:
        report.skipped.append(f"{name}: link loop")
    except OSError as error:
        if error.errno in _FULL:
            raise WorkspaceFull(f"no space left for a copy of {name}") from error
        report.skipped.append(f"{name}: {error.strerror}")


_FULL = frozenset({28, 122})  # ENOSPC, EDQUOT


def _ignored(source: Path) -> pathspec.GitIgnoreSpec:
    try:
        lines = (source / ".gitignore").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return pathspec.GitIgnoreSpec.from_lines(lines)


def tree_copy(source: Path, target: Path) -> None:
    """Copy a workspace of ours with owners and modes, sharing blocks where the disk can.

    Raises WorkspaceFull with what ``cp`` said.
    """
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["cp", "-a", "--reflink=auto", "--", f"{source}/.", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WorkspaceFull(f"copying the workspace failed: {done.stderr.strip()[-300:]}")


def give_to(path: Path, uid: int | None) -> None:
    """Make an unprivileged uid the owner of a tree (a no-op when we are not root)."""
    if uid is not None:
        subprocess.run(["chown", "-hR", f"{uid}:{uid}", "--", str(path)], check=True)


def remove(path: Path) -> None:
    """Remove a tree whatever modes its owner gave it."""

    def make_writable(_function: object, name: str, _error: BaseException) -> None:
        parent = os.path.dirname(name)
        for each in (parent, name):
            try:
                if not os.path.islink(each):
                    os.chmod(each, 0o700)
            except OSError:
                continue
        try:
            os.unlink(name)
        except IsADirectoryError:
            shutil.rmtree(name, ignore_errors=True)
        except OSError:
            return

    if path.exists():
        shutil.rmtree(path, onerror=lambda f, n, e: make_writable(f, n, e[1]))
