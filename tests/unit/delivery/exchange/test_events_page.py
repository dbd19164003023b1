"""The reference page of events says what the models, the formats and the commands have."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any, get_args

import pytest

from pytest_dora.delivery.commands.files import add_export, add_import
from pytest_dora.delivery.commands.record import add_record
from pytest_dora.delivery.exchange import READABLE, WRITABLE
from pytest_dora.model.events import Body, Event
from tests.meta.project import DOCS

_PAGE = (DOCS / "reference" / "events.md").read_text()
_MODELS = {model.model_fields["kind"].default: model for model in get_args(get_args(Body)[0])}


def _section(title: str) -> str:
    """From a heading to the next one of its rank or above."""
    rank = len(title.split(" ", 1)[0])
    rest = _PAGE.partition(f"\n{title}\n")[2]
    assert rest, f"no heading {title!r}"
    return re.split(rf"^#{{2,{rank}}} ", rest, flags=re.MULTILINE)[0]


def test_every_field_of_an_event_is_documented() -> None:
    named = re.findall(r"^\| `(\w+)` \|", _section("## Every event"), re.MULTILINE)
    assert named == list(Event.model_fields)


def test_every_kind_is_documented_and_no_other() -> None:
    kinds = re.findall(r"^### `(\w+)`$", _section("## Kinds"), re.MULTILINE)
    assert kinds == list(_MODELS)


@pytest.mark.parametrize("kind", _MODELS)
def test_every_field_and_word_of_a_kind_is_documented(kind: str) -> None:
    text = re.sub(r"^### .*$", "", _section(f"### `{kind}`"), flags=re.MULTILINE)
    schema = _MODELS[kind].model_json_schema()
    fields = [name for name in schema["properties"] if name != "kind"]
    words = {word for one in schema.get("$defs", {}).values() for word in one.get("enum", ())}
    for value in schema["properties"].values():
        words |= set(value.get("enum", ()))
    parts = {name for one in schema.get("$defs", {}).values() for name in one.get("properties", ())}
    assert set(re.findall(r"`(\w+)`", text)) == set(fields) | words | parts


def test_every_format_is_documented() -> None:
    files = _section("## Files")
    assert re.findall(r"^\| `(\w+)` \|", files.split("###")[0], re.MULTILINE) == list(READABLE)
    assert [name for name in WRITABLE if f"`{name}`" not in files] == []


def _commands() -> list[list[str]]:
    page = (DOCS / "how-to" / "record-deployments.md").read_text()
    blocks = "\n".join(re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"pytest-dora ((?:record|import|export) .*)$", blocks, re.MULTILINE)
    # what a shell or GitHub puts in place stands for any value
    typed = [re.sub(r"\$\{\{.*?\}\}|\"\$status\"", "success", line) for line in lines]
    times = [re.sub(r'"\$started"', "2026-01-31T12:00:00Z", line) for line in typed]
    return [shlex.split(line) for line in times]


def test_every_command_of_the_guide_can_be_typed() -> None:
    parser = argparse.ArgumentParser()
    commands: Any = parser.add_subparsers(required=True)
    for add in (add_record, add_import, add_export):
        add(commands)
    typed = _commands()
    assert len(typed) >= 7
    for line in typed:
        parser.parse_args(line)  # exits where it cannot
