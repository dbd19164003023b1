"""The published schema is that of the models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pytest_dora.report.schema import schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "report.schema.json"


def test_the_published_schema_is_current() -> None:
    assert PUBLISHED.read_bytes() == schema(), "run `python -m pytest_dora.report.schema`"


def test_every_key_is_required() -> None:
    content = json.loads(schema())
    assert set(content["required"]) == set(content["properties"])
    metrics = content["$defs"]["DoraMetrics"]
    assert set(metrics["required"]) == set(metrics["properties"])


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    subprocess.run([sys.executable, "-m", "pytest_dora.report.schema", str(path)], check=True)
    assert path.read_bytes() == schema()
