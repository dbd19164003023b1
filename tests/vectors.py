"""Where the input and expected output of other DORA tools lie, which are no part of this project."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

ABSENT = "PYTEST_DORA_VECTORS names no folder of vectors"
# read while tests are collected: a running test sees no option of ours in its environment
_NAMED = os.environ.get("PYTEST_DORA_VECTORS", "")


def folder(name: str) -> Path:
    """A folder of vectors; skips the test where they are not at hand."""
    found = Path(_NAMED, name)
    if not _NAMED or not found.is_dir():
        pytest.skip(ABSENT)
    return found


def rows(name: str, file: str) -> list[dict[str, str]]:
    """The rows of a CSV file of vectors."""
    with (folder(name) / file).open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def values(name: str, file: str) -> Any:
    return json.loads((folder(name) / file).read_text(encoding="utf-8"))
