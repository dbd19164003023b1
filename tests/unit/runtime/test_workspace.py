"""Copies of hostile trees, on a real file system."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dora.runtime.workspace import (
    CopyReport,
    WorkspaceFull,
    clean_copy,
    remove,
    tree_copy,
)

GIB = 2**30


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=1000", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def without_root(script: str, *arguments: Path) -> str:
    """What a script that imports us prints, run without root's right to open everything."""
    argv = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    if os.geteuid() == 0:
        argv = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", *argv]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_files_keep_contents_times_and_permissions(app: Path, copy: Path) -> None:
    (app / "bin").mkdir()
    (app / "bin/run.sh").write_text("#!/bin/sh\n")
    (app / "bin/run.sh").chmod(0o755)
    (app / "locked").write_text("x")
    (app / "locked").chmod(0o000)
    os.utime(app / "bin/run.sh", (1_000_000_000, 1_000_000_000))
    report = clean_copy(app, copy, GIB)
    assert (report.files, report.bytes, report.skipped) == (
        (2, 11, []) if os.geteuid() == 0 else (1, 10, ["locked: Permission denied"])
    )
    copied = (copy / "bin/run.sh").stat()
    assert (stat.S_IMODE(copied.st_mode), copied.st_mtime) == (0o755, 1_000_000_000)
    if os.geteuid() == 0:
        assert stat.S_IMODE((copy / "locked").stat().st_mode) == 0o600  # its owner must read it


def test_no_copy_runs_with_its_owners_rights(app: Path, copy: Path) -> None:
    (app / "program").write_text("x")
    (app / "program").chmod(0o6755)
    clean_copy(app, copy, GIB)
    assert stat.S_IMODE((copy / "program").stat().st_mode) == 0o755


def test_a_copy_shares_no_file_with_its_source(app: Path, copy: Path) -> None:
    (app / "one").write_text("source")
    (app / "two").hardlink_to(app / "one")
    clean_copy(app, copy, GIB)
    (copy / "one").write_text("changed")
    assert (app / "one").read_text() == (copy / "two").read_text() == "source"


def test_dependencies_stay_behind_at_any_depth(app: Path, copy: Path) -> None:
    for name in ("node_modules/left-pad", "client/node_modules/.bin", ".venv/bin", ".git/hooks"):
        (app / name).mkdir(parents=True)
        (app / name / "file").touch()
    (app / "client/src").mkdir()
    clean_copy(app, copy, GIB)
    assert names(copy) == ["client", "client/src"]


def test_build_output_stays_behind_only_where_the_app_ignores_it(app: Path, copy: Path) -> None:
    for name in ("dist", "client/dist", "build"):
        (app / name).mkdir(parents=True)
        (app / name / "kept").touch()
    (app / ".gitignore").write_text("!\n/dist\n[\n")
    report = clean_copy(app, copy, GIB)
    assert report.skipped == ["dist: ignored build output"]
    assert (copy / "client/dist/kept").exists()
    assert (copy / "build/kept").exists()


@pytest.mark.timeout(20)
def test_a_gitignore_that_is_no_file_is_not_read(app: Path, copy: Path) -> None:
    os.mkfifo(app / ".gitignore")
    assert clean_copy(app, copy, GIB).skipped == [".gitignore: no regular file"]
    (app / ".gitignore").unlink()
    (app / ".gitignore").symlink_to("/dev/zero")
    assert clean_copy(app, copy, GIB).skipped == [".gitignore: link out of the app"]


def test_links_inside_are_kept_and_links_out_are_not(app: Path, copy: Path) -> None:
    (app / "folder").mkdir()
    (app / "folder/file").write_text("x")
    kept = {
        "inside": "folder/file",
        "folder/up": "../folder/file",
        "dangling": "no/such/file",
        "whole-folder": "folder",
    }
    out = {
        "absolute": "/etc/passwd",
        "absolute-inside": str(app / "folder/file"),
        "up": "../outside",
        "folder/far-up": "../../outside",
        "out-and-back": f"../{app.name}/folder/file",
        "parent": "..",
        "through": "whole-folder/../../outside",
    }
    for name, target in {**kept, **out}.items():
        (app / name).symlink_to(target)
    report = clean_copy(app, copy, GIB)
    assert sorted(report.skipped) == sorted(f"{name}: link out of the app" for name in out)
    assert {name: os.readlink(copy / name) for name in kept} == kept


def test_a_chain_of_links_that_ends_outside_is_cut(app: Path, copy: Path) -> None:
    (app / "second").symlink_to("/etc")
    (app / "first").symlink_to("second/passwd")
    clean_copy(app, copy, GIB)
    assert names(copy) == []


@pytest.mark.timeout(20)
def test_loops_fifos_and_sockets_hold_nothing_up(app: Path, copy: Path) -> None:
    (app / "loop").symlink_to("loop")
    (app / "one").symlink_to("two")
    (app / "two").symlink_to("one")
    (app / "folder").mkdir()
    (app / "folder/again").symlink_to(".")
    (app / "folder/above").symlink_to("..")
    os.mkfifo(app / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(app / "socket"))
        report = clean_copy(app, copy, GIB)
    assert sorted(report.skipped) == ["fifo: no regular file", "socket: no regular file"]
    assert report.files == 0


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline",
        b"'quotes\"",
        "ümläut 漢字 🎉".encode(),
        b"-rf",
        b".hidden",
        b" space ",
        b"$(touch x)",
        b"caf\xe9-latin",
        b"\xff\xfe",
        b"\x1b[31m",
        b"x" * 255,
        b"%00",
        b"back\\slash",
        b"*?[!]",
    ],
)
def test_any_name_that_a_disk_holds_is_copied_twice_and_removed(
    app: Path, copy: Path, tmp_path: Path, name: bytes
) -> None:
    inner = os.path.join(os.fsencode(app), name)
    os.mkdir(inner)
    with open(os.path.join(inner, name), "wb") as file:
        file.write(name)
    assert clean_copy(app, copy, GIB).skipped == []
    tree_copy(copy, tmp_path / "again")
    with open(os.path.join(os.fsencode(tmp_path / "again"), name, name), "rb") as file:
        assert file.read() == name
    remove(copy)
    assert not copy.exists()


def test_what_is_left_out_is_named_in_text_that_a_report_can_carry(app: Path, copy: Path) -> None:
    os.symlink(b"/etc", os.path.join(os.fsencode(app), b"caf\xe9\n::error::"))
    report = clean_copy(app, copy, GIB)
    assert report.skipped == [r"caf\xe9\n::error::: link out of the app"]
    assert json.loads(json.dumps(report.skipped).encode()) == report.skipped


def test_the_list_of_what_is_left_out_is_short() -> None:
    report = CopyReport()
    for number in range(5000):
        report.skip(f"file{number}", "no regular file")
    assert len(report.skipped) == 1000


def test_unreadable_folders_are_named_and_left_out(app: Path, copy: Path) -> None:
    (app / "open").mkdir()
    (app / "open/file").write_text("x")
    (app / "closed").mkdir()
    (app / "secret").write_text("x")
    (app / "closed").chmod(0o000)
    (app / "secret").chmod(0o000)
    printed = without_root(
        """
        import sys
        from pathlib import Path
        from pytest_dora.runtime.workspace import clean_copy
        print(*sorted(clean_copy(Path(sys.argv[1]), Path(sys.argv[2]), 2**30).skipped), sep="\\n")
        """,
        app,
        copy,
    )
    (app / "closed").chmod(0o700)
    assert printed.splitlines() == ["closed/: Permission denied", "secret: Permission denied"]
    assert (copy / "open/file").read_text() == "x"


def test_an_app_that_locks_its_own_files_is_still_copied_and_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/b/c/file").write_text("x")
    for name in ("a/b/c/file", "a/b/c", "a/b", "a"):
        (tree / name).chmod(0o000)
    without_root(
        """
        import sys
        from pathlib import Path
        from pytest_dora.runtime.workspace import remove, tree_copy
        tree, again = map(Path, sys.argv[1:])
        tree_copy(tree, again)
        assert (again / "a/b/c/file").read_text() == "x"
        for name in ("a/b/c", "a/b", "a"):
            (tree / name).chmod(0)
        remove(tree)
        assert not tree.exists()
        """,
        tree,
        tmp_path / "again",
    )


def test_a_sparse_file_stays_sparse(app: Path, copy: Path) -> None:
    with (app / "sparse").open("wb") as file:
        file.write(b"head")
        file.seek(GIB // 2)
        file.write(b"middle")
        file.truncate(GIB)
    if (app / "sparse").stat().st_blocks * 512 > GIB // 4:
        pytest.skip("this file system has no sparse files")
    report = clean_copy(app, copy, 2 * GIB)
    copied = (copy / "sparse").stat()
    assert (copied.st_size, report.bytes) == (GIB, GIB)
    assert copied.st_blocks * 512 < GIB // 100
    with (copy / "sparse").open("rb") as file:
        assert file.read(5) == b"head\0"
        file.seek(GIB // 2)
        assert file.read(7) == b"middle\0"


def test_a_file_that_is_one_hole_is_copied_as_one(app: Path, copy: Path) -> None:
    with (app / "hole").open("wb") as file:
        file.truncate(GIB)
    clean_copy(app, copy, 2 * GIB)
    assert (copy / "hole").stat().st_size == GIB


def test_the_limit_counts_what_files_say_they_are_long(app: Path, copy: Path) -> None:
    (app / "a").write_bytes(b"x" * 1000)
    with (app / "b").open("wb") as file:
        file.truncate(GIB)
    with pytest.raises(WorkspaceFull, match=r"larger than 1 MiB \(at b\)"):
        clean_copy(app, copy, 2**20)
    assert clean_copy(app, copy.with_name("exact"), GIB + 1000).bytes == GIB + 1000


def test_a_full_disk_is_said_so(app: Path, small_disk: Path) -> None:
    (app / "large").write_bytes(b"x" * 3 * 2**20)
    with pytest.raises(WorkspaceFull, match="no space left for a copy of large"):
        clean_copy(app, small_disk / "copy", GIB)


def test_a_disk_filled_by_folders_is_said_so(app: Path, small_disk: Path) -> None:
    for number in range(2000):
        (app / f"{number:04}").mkdir()
    with pytest.raises(WorkspaceFull, match="no space left"):
        clean_copy(app, small_disk / "copy", GIB)


def test_a_workspace_that_does_not_fit_a_second_time_is_said_so(
    app: Path, small_disk: Path
) -> None:
    os.rename(app, app.with_name(os.fsdecode(b"caf\xe9")))
    source = app.with_name(os.fsdecode(b"caf\xe9"))
    (source / os.fsdecode(b"\xff-large")).write_bytes(b"x" * 3 * 2**20)
    with pytest.raises(WorkspaceFull, match="No space left on device"):
        tree_copy(source, small_disk / "copy")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A tree deeper than any path; it goes also when the test fails, as pytest cannot remove it."""
    folder = tmp_path / "deep"
    folder.mkdir()
    make_deep(folder / "app", 1500)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def make_deep(folder: Path, levels: int) -> None:
    folder.mkdir()
    script = f"""
import os, sys
os.chdir(sys.argv[1])
for _ in range({levels}):
    os.mkdir("d" * 50)
    os.chdir("d" * 50)
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)


def test_a_tree_deeper_than_any_path_is_copied_as_far_as_names_go_and_removed(
    deep: Path,
) -> None:
    app, copy = deep / "app", deep / "copy"
    report = clean_copy(app, copy, GIB)
    assert len(report.skipped) == 1
    assert "File name too long" in report.skipped[0]
    with pytest.raises(WorkspaceFull, match="File name too long"):
        tree_copy(app, deep / "again")
    for tree in (app, copy, deep / "again"):
        remove(tree)
        assert not tree.exists()


def test_remove_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    remove(tmp_path / "tree")
    remove(tmp_path / "link")
    remove(tmp_path / "missing")
    assert names(tmp_path) == ["outside", "outside/file"]
