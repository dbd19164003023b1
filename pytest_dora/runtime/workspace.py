"""Copies of an app in which its commands may write: sources are never changed."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pathspec

from pytest_dora.runtime.files import printable, read_regular

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
    """``name: why``, printable, the first thousand."""

    def skip(self, name: str, why: str | None) -> None:
        if len(self.skipped) < 1000:
            self.skipped.append(f"{printable(name)}: {why}")


def clean_copy(source: Path, target: Path, limit: int) -> CopyReport:
    """Copy the regular files of an app as a fresh checkout would have them.

    Dependencies and ignored build output stay behind, as does all that is no regular file;
    symbolic links are kept when they stay inside the app. ``limit`` is in bytes, counted as
    the files say they are long. Raises WorkspaceFull.
    """
    report = CopyReport()
    ignored = _ignored(source)
    target.mkdir(parents=True, exist_ok=True)
    stack = [(str(source), str(target), "")]
    while stack:
        folder, into, prefix = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            report.skip(prefix or ".", error.strerror)
            continue
        for entry in entries:
            name, place = f"{prefix}{entry.name}", f"{into}/{entry.name}"
            try:
                if not entry.is_dir(follow_symlinks=False):
                    _copy_entry(entry, place, _Place(name, source, limit), report)
                elif entry.name in _OUTPUT_FOLDERS and ignored.match_file(name + "/"):
                    report.skip(name, "ignored build output")
                elif entry.name not in DEPENDENCY_FOLDERS:
                    os.makedirs(place, exist_ok=True)
                    stack.append((entry.path, place, name + "/"))
            except OSError as error:
                if error.errno in _FULL:
                    raise WorkspaceFull(f"no space left for a copy of {printable(name)}") from error
                report.skip(name, error.strerror)
    return report


class _Place(NamedTuple):
    """Where an entry stands: its name under the app's root, and how large the copy may become."""

    name: str
    root: Path
    limit: int


def _copy_entry(entry: os.DirEntry[str], into: str, place: _Place, report: CopyReport) -> None:
    name, root, limit = place
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        leads_to = os.readlink(entry.path)
        if _stays_inside(leads_to, name, root):
            os.symlink(leads_to, into)
        else:
            report.skip(name, "link out of the app")
    elif not stat.S_ISREG(status.st_mode):
        report.skip(name, "no regular file")
    else:
        if report.bytes + status.st_size > limit:
            where = printable(name)
            raise WorkspaceFull(f"the app is larger than {limit / 2**20:g} MiB (at {where})")
        _copy_regular(entry.path, into, status)
        report.files += 1
        report.bytes += status.st_size


def _stays_inside(leads_to: str, name: str, root: Path) -> bool:
    """Whether a link is good in any place the tree is copied to: no way out, also not back in."""
    if os.path.isabs(leads_to):
        return False
    depth = name.count("/")
    for part in leads_to.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return False
    inside = os.path.realpath(root)
    return os.path.commonpath([inside, os.path.realpath(f"{root}/{name}")]) == inside


def _copy_regular(source: str, into: str, status: os.stat_result) -> None:
    """Copy contents, permissions and times; holes stay holes, so that no disk is filled by them."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        writer = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            holes = status.st_blocks * 512 < status.st_size
            os.ftruncate(writer, status.st_size if holes else 0)
            for start, end in (
                _data_ranges(reader, status.st_size) if holes else [(0, status.st_size)]
            ):
                _copy_range(reader, writer, start, end)
            os.fchmod(writer, status.st_mode & 0o777 | 0o600)
            os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole to the end
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, min(end, size)


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    os.lseek(writer, start, os.SEEK_SET)
    while start < end:
        sent = os.sendfile(writer, reader, start, end - start)
        if sent == 0:
            return  # it became shorter while we read it
        start += sent


_SCRIPT_BYTES = 2**20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_IGNORE_BYTES = 2**18


def _ignored(source: Path) -> pathspec.GitIgnoreSpec:
    raw = read_regular(source, ".gitignore", _IGNORE_BYTES) or b""
    good: list[str] = []
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue  # git overlooks what is no pattern, too
        good.append(line)
    return pathspec.GitIgnoreSpec.from_lines(good)


def tree_copy(source: Path, target: Path) -> None:
    """Copy a workspace of ours with owners and modes, sharing blocks where the disk can.

    Raises WorkspaceFull with what ``cp`` said.
    """
    target.mkdir(parents=True, exist_ok=True)
    copy = ("cp", "-a", "--reflink=auto", "--", f"{source}/.", str(target))
    done = subprocess.run(copy, capture_output=True, check=False)
    if done.returncode != 0 and b"Permission denied" in done.stderr:
        # the app locked its own files, and we have no more rights than it has
        _quietly("chmod", "-R", "u+rwX", "--", str(source), str(target))
        done = subprocess.run(copy, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise WorkspaceFull(f"copying the workspace failed: {said}")


def relocate(root: Path, old: Path) -> None:
    """Make the virtual environments of a copied tree name their new place instead of ``old``.

    Needed only where a tree is not mounted at one fixed place: a script of an environment holds
    the absolute path of its interpreter, an editable install that of the project.
    """
    for environment in root.rglob(".venv"):
        scripts = environment.glob("bin/*")
        for path in (*scripts, *environment.glob("lib/python*/site-packages/*.pth")):
            raw = None
            if not path.is_symlink():
                raw = read_regular(root, str(path.relative_to(root)), _SCRIPT_BYTES)
            if raw is not None and os.fsencode(old) in raw and b"\0" not in raw:
                path.write_bytes(raw.replace(os.fsencode(old), os.fsencode(root)))


def give_to(path: Path, uid: int | None) -> None:
    """Make an unprivileged uid the owner of a tree (a no-op when we are not root)."""
    if uid is not None:
        subprocess.run(["chown", "-hR", f"{uid}:{uid}", "--", str(path)], check=True)


def remove(path: Path) -> None:
    """Remove a tree, however deep it is and whatever modes its owner gave it.

    Never raises: what cannot be removed stays.
    """
    if not os.path.lexists(path):
        return
    # rm does not recurse on a stack of ours, and never follows a link
    if _quietly("rm", "-rf", "--", str(path)) and os.path.isdir(path):
        _quietly("chmod", "-R", "u+rwX", "--", str(path))
        _quietly("rm", "-rf", "--", str(path))


def _quietly(*argv: str) -> bool:
    """Whether a program of the system failed."""
    silent = subprocess.DEVNULL
    return subprocess.run(argv, stdout=silent, stderr=silent, check=False).returncode != 0
