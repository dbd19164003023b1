from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.discovery.parse import (
    BrokenFile,
    parse_dotenv,
    parse_ini,
    parse_json,
    parse_toml,
    parse_yaml,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_json_survives_comments_and_trailing_commas(value: dict[str, object]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    decorated = "// head\n" + text.replace("\n}", "\n /* end */\n}")
    assert parse_json(decorated) == value
    assert parse_json(text) == value


def test_jsonc_keeps_what_looks_like_a_comment_inside_strings() -> None:
    text = '{"a": "http://x/*y*/", /* c */ "b": [1, 2,], // tail\n}'
    assert parse_json(text) == {"a": "http://x/*y*/", "b": [1, 2]}


@pytest.mark.parametrize(
    ("parser", "text", "line"),
    [
        (parse_json, '{\n "a": 1\n "b": 2}', 3),
        (parse_toml, "a = 1\nb = \n", 2),
        (parse_yaml, "a: 1\nb: [1, 2\nc: 3\n", 3),
        (parse_json, "[1]", 1),
        (parse_yaml, "- 1", 1),
        (parse_yaml, "a: 2024-13-45", 1),
        (parse_json, '{"a": ' + "9" * 5_000 + "}", 1),
        (parse_json, '{"a": ' + "[" * 100_000, 1),
        (parse_toml, "a = " + "[" * 100_000, 1),
        (parse_yaml, "a: " + "[" * 100_000, 1),
        (parse_yaml, "- " * 50_000, 1),
    ],
)
def test_broken_text_says_its_line(
    parser: Callable[[str], Mapping[str, Any]], text: str, line: int
) -> None:
    with pytest.raises(BrokenFile) as caught:
        parser(text)
    assert caught.value.line == line
    assert "\n" not in caught.value.message


def test_lone_surrogates_do_not_pass() -> None:
    value = parse_json('{"a": "x\\ud800y", "\\udfff": ["\\ud801"]}')
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def test_merge_keys_cannot_multiply() -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [
        f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 10)}], k{number}: v}}"
        for number in range(1, 12)
    ]
    started = time.perf_counter()
    with suppress(BrokenFile):  # what older versions of the parser would multiply is refused
        assert len(parse_yaml("\n".join(lines))["a11"]) == 12
    assert time.perf_counter() - started < 5


def test_yaml_merge_keys_work_as_people_use_them() -> None:
    value = parse_yaml("base: &b {x: 1}\nservice:\n  <<: *b\n  y: 2\n")
    assert value["service"] == {"x": 1, "y": 2}


def test_yaml_tags_create_no_objects() -> None:
    with pytest.raises(BrokenFile):
        parse_yaml("a: !!python/object/apply:os.system [echo]")


def test_only_the_first_yaml_document_counts() -> None:
    assert parse_yaml("a: 1\n---\nb: 2\n") == {"a": 1}
    assert parse_yaml("") == {}


@pytest.mark.parametrize(
    "text", ["/*" * 200_000, '"' * 200_001, "{" + "," * 300_000, '{"a": "' + "\\" * 200_001]
)
def test_hostile_json_costs_no_time(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(BrokenFile):
        parse_json(text)
    assert time.perf_counter() - started < 5


def test_ini_knows_sections_continuations_and_comments() -> None:
    text = '; head\n[program:web]\ncommand=uvicorn app:app ; tail\nenvironment=A="1",\n  B="2"\n'
    assert parse_ini(text) == {
        "program:web": {"command": "uvicorn app:app", "environment": 'A="1",\nB="2"'}
    }


def test_dotenv_knows_quotes_comments_and_export() -> None:
    text = "# head\nA=1\nexport B='two # no comment'\nC=three # comment\nD=\nnot a line\n"
    assert list(parse_dotenv(text)) == [
        (2, "A", "1"),
        (3, "B", "two # no comment"),
        (4, "C", "three"),
        (5, "D", ""),
    ]


@given(st.text(max_size=300))
def test_no_text_does_anything_but_parse_or_break(text: str) -> None:
    for parser in (parse_json, parse_toml, parse_yaml):
        try:
            value = parser(text)
        except BrokenFile:
            continue
        assert isinstance(value, dict)
    parse_ini(text)
    list(parse_dotenv(text))
