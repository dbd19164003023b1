"""The JSON Schema of ``report.json``, from the models: ``python -m pytest_dora.report.schema``."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_dora.model.report import SCHEMA_VERSION, Report
from pytest_dora.report.files import to_json, write_atomically

DEFAULT = Path("docs/report.schema.json")


def schema() -> bytes:
    """The schema as the file holds it: every key is there, so every key is required."""
    made = Report.model_json_schema(mode="serialization")
    for model in (made, *made["$defs"].values()):
        if "properties" in model:
            model["required"] = list(model["properties"])
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["$id"] = f"pytest-dora:report:{SCHEMA_VERSION}"
    return to_json(made)


def main(arguments: list[str]) -> None:
    """Write the schema to the path given, or to its place in the repository."""
    write_atomically(Path(arguments[0]) if arguments else DEFAULT, schema())


if __name__ == "__main__":
    main(sys.argv[1:])
