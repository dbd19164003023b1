"""Reading what untrusted code left on disk."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.runtime.files import marks, printable, read_regular, write_new

SECRET = b"not for you"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a file in a folder, beside a folder that is none of its business."""
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder/file").write_bytes(b"content")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(SECRET)
    return tree


@pytest.mark.parametrize("name", ["folder/file", "./folder/file", "folder//file", "folder/./file"])
def test_a_regular_file_beneath_the_root_is_read(root: Path, name: str) -> None:
    assert read_regular(root, name, 100) == b"content"


def test_no_more_than_the_limit_is_read(root: Path) -> None:
    with (root / "large").open("wb") as large:
        large.truncate(2**40)
    assert read_regular(root, "large", 5) == b"\0" * 5


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/",
        "folder",
        "folder/",
        "missing",
        "folder/file/deeper",
        "..",
        "../outside/secret",
        "folder/../../outside/secret",
        "folder/../folder/file",
        "a\0b",
        "folder/file\0.txt",
        "\ud800",
        "x" * 300,
        "/".join(["d"] * 3000),
    ],
)
def test_what_is_no_file_beneath_the_root_is_none(root: Path, name: str) -> None:
    assert read_regular(root, name, 100) is None


@pytest.mark.parametrize("prefix", ["", "/"])
def test_an_absolute_path_is_none(root: Path, prefix: str) -> None:
    secret = root.parent / "outside/secret"
    assert secret.read_bytes() == SECRET
    assert read_regular(root, f"{prefix}{secret}", 100) is None


def test_no_link_is_followed_wherever_it_stands_and_leads(root: Path) -> None:
    outside = root.parent / "outside"
    (root / "file-link").symlink_to(outside / "secret")
    (root / "folder-link").symlink_to(outside)
    (root / "folder/deep-link").symlink_to("../../outside")
    (root / "inside-link").symlink_to("folder/file")
    (root / "loop").symlink_to("loop")
    for name in (
        "file-link",
        "folder-link/secret",
        "folder/deep-link/secret",
        "inside-link",
        "loop",
    ):
        assert read_regular(root, name, 100) is None, name


def test_fifos_sockets_and_devices_are_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        assert read_regular(root, "fifo", 100) is None
        assert read_regular(root, "socket", 100) is None
    assert read_regular(Path("/dev"), "zero", 100) is None


def test_an_absent_root_is_none(tmp_path: Path) -> None:
    assert read_regular(tmp_path / "missing", "file", 100) is None
    (tmp_path / "file").touch()
    assert read_regular(tmp_path / "file", "x", 100) is None


def test_no_descriptor_stays_open(root: Path) -> None:
    (root / "link").symlink_to("folder")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("folder/file", "folder", "link/file", "folder/missing/x", "a\0b", "missing"):
        read_regular(root, name, 10)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("left", ["nothing", "file", "link", "dangling", "fifo"])
def test_a_new_file_takes_the_place_of_whatever_was_left(root: Path, left: str) -> None:
    secret = root.parent / "outside/secret"
    match left:
        case "file":
            (root / "name").write_bytes(b"old and longer")
        case "link":
            (root / "name").symlink_to(secret)
        case "dangling":
            (root / "name").symlink_to(root.parent / "outside/made")
        case "fifo":
            os.mkfifo(root / "name")
    write_new(root, "name", b"new")
    assert (root / "name").read_bytes() == b"new"
    assert not (root / "name").is_symlink()
    assert secret.read_bytes() == SECRET
    assert not (root.parent / "outside/made").exists()


def test_a_folder_in_the_way_of_a_new_file_is_an_error(root: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        write_new(root, "folder", b"new")


def test_marks_tell_new_and_changed_files(root: Path) -> None:
    before = marks(root, "folder")
    assert [(Path(path).name, size) for path, size, _ in before] == [("file", 7)]
    assert marks(root, "folder/file") == before
    (root / "folder/file").write_bytes(b"changed it")
    assert marks(root, "folder") != before
    assert marks(root, "missing") == []


@pytest.mark.timeout(20)
def test_marks_look_at_nothing_outside(root: Path) -> None:
    (root / "whole").symlink_to("/")
    (root / "folder/host").symlink_to("/usr")
    (root / "folder/secret").symlink_to(root.parent / "outside/secret")
    os.mkfifo(root / "folder/fifo")
    assert marks(root, "whole") == marks(root, "whole/etc") == marks(root, "../outside") == []
    assert marks(root, "/etc") == marks(root, "folder/secret") == []
    assert [Path(path).name for path, _, _ in marks(root, "folder")] == ["file"]


def test_no_more_files_than_the_limit_are_marked(root: Path) -> None:
    for number in range(50):
        (root / f"folder/{number}").touch()
    assert len(marks(root, ".", limit=10)) == 10


def test_a_name_of_any_bytes_becomes_text_that_json_and_terminals_carry() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m\xe2\x80\xaeevil")
    assert printable(name) == r"caf\xe9\n\x1b[31m\u202eevil"
    assert printable("grüße 漢字.txt") == "grüße 漢字.txt"


@given(st.binary(min_size=1, max_size=60))
def test_printable_names_have_no_control_characters(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown.isprintable()
    assert json.loads(json.dumps(shown).encode()) == shown
