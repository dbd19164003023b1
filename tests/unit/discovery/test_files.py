from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_dora.discovery import discover, files
from pytest_dora.discovery.files import Tree, join, normalise


def test_only_regular_files_are_listed_and_folders_of_dependencies_are_not_entered(
    tmp_path: Path,
) -> None:
    for name in ("a.txt", "node_modules/x/package.json", "dist/a.js", ".git/config", "src/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "package.json")
    with Tree(tmp_path) as tree:
        assert tree.files == ("a.txt", "src/b.py")
        assert tree.text("package.json") is None


def test_a_virtual_environment_of_any_name_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "my-env/lib").mkdir(parents=True)
    (tmp_path / "my-env/pyvenv.cfg").write_text("home = /usr")
    (tmp_path / "my-env/lib/main.py").write_text("x")
    with Tree(tmp_path) as tree:
        assert "my-env/lib/main.py" not in tree.files


def test_links_are_read_inside_the_app_and_never_out_of_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    root = tmp_path / "app"
    (root / "deep").mkdir(parents=True)
    (root / "real.txt").write_text("inside")
    (root / "deep/good").symlink_to("../real.txt")
    (root / "bad").symlink_to("../secret")
    (root / "absolute").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    with Tree(root) as tree:
        assert set(tree.files) == {"real.txt", "deep/good"}
        assert tree.text("deep/good") == "inside"
        assert any("bad: symbolic link not followed" in note for note in tree.notes)


def test_a_link_loop_of_folders_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/again").symlink_to("..", target_is_directory=True)
    with Tree(tmp_path) as tree:
        assert tree.files == ()


def test_a_file_that_turns_into_a_link_after_the_listing_is_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    root = tmp_path / "app"
    root.mkdir()
    (root / "a.txt").write_text("x")
    with Tree(root) as tree:
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to(outside)
        assert tree.text("a.txt") is None


def test_a_folder_that_turns_into_a_link_after_the_listing_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text("secret")
    root = tmp_path / "app"
    (root / "src").mkdir(parents=True)
    (root / "src/a.txt").write_text("x")
    with Tree(root) as tree:
        tree._opener.close()  # type: ignore[union-attr]
        tree._opener = files._Opener(os.open(root, os.O_RDONLY))
        (root / "src").rename(tmp_path / "moved")
        (root / "src").symlink_to(tmp_path / "outside")
        assert tree.text("src/a.txt") is None


def test_a_manifest_above_the_limit_is_an_error_and_a_large_source_is_not(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b" " * (files.MANIFEST_LIMIT + 1))
    (tmp_path / "bundle.js").write_bytes(b"x" * (files.SOURCE_LIMIT + 1))
    with Tree(tmp_path) as tree:
        assert tree.json("package.json") == {}
        assert tree.errors == [f"package.json:1: larger than {files.MANIFEST_LIMIT} bytes"]
        assert not tree.source("bundle.js")
        assert len(tree.errors) == 1


def test_text_that_is_not_utf8_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b'{\n"name": "\xff"}')
    plan = discover(tmp_path)
    assert "package.json:2: is not UTF-8" in plan.errors


@pytest.mark.parametrize("make", ["absent", "file"])
def test_a_root_that_is_no_folder_is_an_error_of_the_plan(tmp_path: Path, make: str) -> None:
    root = tmp_path / "app"
    if make == "file":
        root.write_text("x")
    plan = discover(root)
    assert not plan.recognised
    assert len(plan.errors) == 1
    assert plan.errors[0].startswith(".:1: folder cannot be read")


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.py")).write_text("x")
    (tmp_path / "line\nbreak.py").write_text("x")
    plan = discover(tmp_path)
    assert len(plan.notes) == 2
    assert all("unreadable name" in note for note in plan.notes)


def test_the_number_of_entries_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ENTRIES", 10)
    for number in range(20):
        (tmp_path / f"d{number:02}").mkdir()
        (tmp_path / f"d{number:02}/f.txt").write_text("x")
    with Tree(tmp_path) as tree:
        assert len(tree.files) < 20
        assert any("entries" in note for note in tree.notes)


def test_many_folders_stay_readable_although_few_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_OPEN_FOLDERS", 2)
    for number in range(9):
        (tmp_path / f"a/b{number}/c").mkdir(parents=True)
        (tmp_path / f"a/b{number}/c/f.txt").write_text(str(number))
    with Tree(tmp_path) as tree:
        texts = [tree.text(f"a/b{number}/c/f.txt") for number in range(9)]
    assert texts == [str(number) for number in range(9)]


def test_every_descriptor_is_closed(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    discover(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/./b", "a/b"),
        ("a/../b", "b"),
        ("../a", None),
        ("", "."),
        ("a/b/../..", "."),
    ],
)
def test_normalise_never_leaves_the_root(path: str, expected: str | None) -> None:
    assert normalise(path) == expected


def test_join_refuses_absolute_paths_and_nul() -> None:
    assert join("a", "/etc/passwd") is None
    assert join("a", "b\0c") is None
    assert join("a/b", "../c") == "a/c"
