"""Looking through an app's tree is bounded and stays inside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_dora.checks.tree import installed, is_test_file, own_path, sources, up_from
from tests.unit.checks.bench import write

TS = frozenset({".ts"})


def test_sources_leave_out_dependencies_and_build_output(tmp_path: Path) -> None:
    write(
        tmp_path,
        dict.fromkeys(("src/a.ts", "node_modules/x/b.ts", "dist/c.ts", ".git/d.ts", "e.js"), "x"),
    )
    assert [one.path for one in sources(tmp_path, ".", TS)] == ["src/a.ts"]


def test_sources_are_not_read_through_links(tmp_path: Path) -> None:
    app = tmp_path / "app"
    write(tmp_path, {"host/secret.ts": "host", "app/a.ts": "own"})
    os.symlink(tmp_path / "host", app / "linked")
    os.symlink(tmp_path / "host/secret.ts", app / "secret.ts")
    assert [one.text for one in sources(app, ".", TS)] == ["own"]


def test_a_package_is_found_in_the_nearest_folder_above(tmp_path: Path) -> None:
    write(tmp_path, {"node_modules/.bin/tsc": "", "web/node_modules/.bin/vite": ""})
    assert installed(tmp_path, "web", ".bin/vite") == "node_modules/.bin/vite"
    assert installed(tmp_path, "web", ".bin/tsc") == "../node_modules/.bin/tsc"
    assert installed(tmp_path, "web", ".bin/jest") is None


def test_the_way_up_ends_at_the_root_of_the_app() -> None:
    assert up_from("a/b") == ["a/b", "a", "."]
    assert up_from(".") == ["."]
    assert up_from("../..") == ["."]


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("src/a.test.ts", True), ("src/a.spec.jsx", True), ("tests/helper.py", True),
        ("test_a.py", True), ("a_test.go", True), ("conftest.py", True), ("tests.py", True),
        ("src/__tests__/a.ts", True), ("tests/Unit/ATest.php", True),
        ("src/latest.ts", False), ("src/contest.py", False), ("app/testimonials.tsx", False),
    ],
)  # fmt: skip
def test_test_files_are_told_by_name_or_folder(path: str, is_test: bool) -> None:
    assert is_test_file(path) is is_test


@pytest.mark.parametrize(
    ("printed", "own"),
    [
        ("/app/src/a.ts", "src/a.ts"), ("src/a.ts", "web/src/a.ts"), ("../lib/a.ts", "lib/a.ts"),
        ("../../etc/passwd", None), ("/etc/passwd", None), ("/application/a.ts", None),
        ("file:///app/a.mjs", "a.mjs"),
    ],
)  # fmt: skip
def test_printed_paths_become_relative_to_the_app(printed: str, own: str | None) -> None:
    assert own_path(printed, "/app", "web") == own
