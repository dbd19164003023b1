"""The fingerprint names a tree, and lines of code are lines."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_dora.discovery.measure import measure


def test_lines_of_source_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("a = 1\n\nb = 2")
    (tmp_path / "app.TSX").write_text("x\ny\n")
    (tmp_path / "package-lock.json").write_text("{\n}\n")
    (tmp_path / "README.md").write_text("no code\n")
    assert measure(tmp_path).loc == 5
    assert measure(tmp_path).files == 4


def test_what_tools_made_is_no_code(tmp_path: Path) -> None:
    for folder in ("dist", "vendor/lib", ".next/static", "node_modules/x"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.js").write_text("1\n2\n")
    (tmp_path / "jquery.min.js").write_text("1\n2\n")
    (tmp_path / "bundle.js").write_text("x" * 5000 + "\n")
    assert measure(tmp_path).loc == 0


def test_the_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = measure(tmp_path).fingerprint
    assert measure(tmp_path).fingerprint == first
    (tmp_path / "a.py").write_text("2")
    second = measure(tmp_path).fingerprint
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    third = measure(tmp_path).fingerprint
    assert len({first, second, third}) == 3


def test_moving_a_line_between_files_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("")
    first = measure(tmp_path).fingerprint
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("x")
    assert measure(tmp_path).fingerprint != first


@pytest.mark.parametrize("folder", [".git", "node_modules", ".venv", "venv", "__pycache__"])
def test_dependencies_are_no_part_of_the_tree(tmp_path: Path, folder: str) -> None:
    before = measure(tmp_path)
    (tmp_path / "sub" / folder).mkdir(parents=True)
    (tmp_path / "sub" / folder / "x.py").write_text("1\n")
    assert measure(tmp_path) == before


def test_links_are_hashed_as_their_target_text(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("one")
    app = tmp_path / "app"
    app.mkdir()
    (app / "link").symlink_to(outside)
    first = measure(app)
    outside.write_text("two")
    assert measure(app) == first
    (app / "link").unlink()
    (app / "link").symlink_to("elsewhere")
    assert measure(app).fingerprint != first.fingerprint


def test_links_to_folders_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "a.py").write_text("1\n")
    assert measure(tmp_path).files == 1


def test_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    empty = measure(tmp_path)
    os.mkfifo(tmp_path / "main.py")
    assert measure(tmp_path) == empty


def test_names_of_any_bytes_are_measured(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"\xff\n.py"), "w") as file:
        file.write("1\n")
    assert measure(tmp_path).loc == 1


def test_a_missing_folder_is_an_empty_tree(tmp_path: Path) -> None:
    assert measure(tmp_path / "gone").files == 0


def test_a_huge_file_is_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(1 << 30)
    code = "import sys; from pathlib import Path; from pytest_dora.discovery.measure import measure"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(measure(Path(sys.argv[1])).loc)", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20)),
    )
    assert done.stdout.strip() == "0", done.stderr
