"""The schemas of CDEvents, read where they lie; none of them is fetched."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from tests.vectors import folder

EDITIONS = {"0.4": "v0.4.1", "0.5": "v0.5.1"}


@cache
def _validators(edition: str) -> dict[str, Draft202012Validator]:
    """By type of event."""
    root = folder("13_cdevents") / EDITIONS[edition] / "schemas"
    schemas = [json.loads(path.read_text()) for path in sorted(root.rglob("*.json"))]
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    found = {}
    for schema in schemas:
        context = schema.get("properties", {}).get("context")
        if context is not None:
            (name,) = context["properties"]["type"]["enum"]
            found[name] = Draft202012Validator(
                schema, registry=registry, format_checker=FormatChecker()
            )
    return found


def faults(edition: str, event: dict[str, Any]) -> list[str]:
    """What the schema of its type has against an event; an unknown type is a fault."""
    validator = _validators(edition).get(event["context"]["type"])
    if validator is None:
        return [f"no schema for {event['context']['type']}"]
    return [error.message for error in validator.iter_errors(event)]


def conformance(edition: str) -> dict[str, dict[str, Any]]:
    """The events of the specification's own conformance tests, by file name."""
    root = folder("13_cdevents") / EDITIONS[edition] / "conformance"
    return {path.stem: json.loads(path.read_text()) for path in sorted(root.glob("*.json"))}
