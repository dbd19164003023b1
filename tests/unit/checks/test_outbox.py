"""Reports are read from, and helpers written to, a folder that belongs to hostile code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytest_dora.checks.outbox import Outbox
from tests.unit.checks.bench import View

if TYPE_CHECKING:
    from pytest_dora.runtime.view import WorkspaceView


@pytest.fixture
def view(tmp_path: Path) -> WorkspaceView:
    (tmp_path / "app").mkdir()
    return cast("WorkspaceView", View(tmp_path / "app", tmp_path / "out"))


def test_files_are_placed_and_read_back(view: WorkspaceView) -> None:
    box = Outbox(view)
    box.place({"a.txt": b"one", "lib/deep/b.txt": b"two"})
    assert box.read("a.txt", 10) == b"one"
    assert box.read("lib/deep/b.txt", 10) == b"two"
    assert Path(box.path("a.txt")).read_bytes() == b"one"


def test_each_command_has_a_folder_of_its_own(view: WorkspaceView) -> None:
    first, second = Outbox(view), Outbox(view)
    first.place({"report.json": b"old"})
    assert second.read("report.json", 10) is None


def test_nothing_is_read_through_a_link(view: WorkspaceView, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    box = Outbox(view)
    os.symlink(tmp_path / "secret", box.path("report.json"))
    assert box.read("report.json", 100) is None


def test_a_fifo_does_not_hang_the_reader(view: WorkspaceView) -> None:
    box = Outbox(view)
    os.mkfifo(box.path("report.json"))
    assert box.read("report.json", 100) is None


def test_a_report_over_the_limit_is_no_report(view: WorkspaceView) -> None:
    box = Outbox(view)
    box.place({"report.json": b"x" * 101})
    assert box.read("report.json", 100) is None
    assert box.read("report.json", 101) == b"x" * 101


def test_nothing_is_written_through_a_link(view: WorkspaceView, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    box = Outbox(view)
    os.symlink(victim, box.path("lib"))
    with pytest.raises(OSError, match=r"."):
        box.place({"lib/guest.py": b"evil"})
    os.symlink(victim / "new", box.path("guest.py"))
    with pytest.raises(FileExistsError):
        box.place({"guest.py": b"evil"})
    assert list(victim.iterdir()) == []


def test_paths_are_told_as_the_sandbox_sees_them(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    view = View(tmp_path / "app", tmp_path / "out")
    view.workdir = "/srv/app"
    box = Outbox(cast("WorkspaceView", view))
    assert box.path("x") == f"/dora-out/{box.name}/x"
