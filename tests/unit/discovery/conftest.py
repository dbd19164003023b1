"""Small app trees, written by the tests that read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_dora.discovery import discover
from pytest_dora.model.plan import Plan


def write_tree(root: Path, files: dict[str, Any]) -> Path:
    """Write texts as they are, tables as JSON and bytes as bytes."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(dedent(content).lstrip("\n"), encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def app(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes the files of an app and returns its folder."""

    def write(files: dict[str, Any]) -> Path:
        return write_tree(tmp_path / "app", files)

    (tmp_path / "app").mkdir()
    return write


@pytest.fixture
def plan(app: Callable[[dict[str, Any]], Path]) -> Callable[[dict[str, Any]], Plan]:
    """Writes the files of an app and returns its plan."""
    return lambda files: discover(app(files))
