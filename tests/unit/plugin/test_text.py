from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.plugin.text import node_name, one_line, quoted

_SAFE = frozenset("_.-/~+@=%")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_node_name_has_nothing_that_ends_an_id_or_upsets_a_shell(text: str) -> None:
    assert all(char.isalnum() or char in _SAFE for char in node_name(text))


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_different_ids_have_different_names(one: str, other: str) -> None:
    assert (node_name(one) == node_name(other)) == (one == other)


def test_ordinary_ids_stay_as_they_are() -> None:
    assert node_name("group/shop-2_a.b") == "group/shop-2_a.b"
    assert node_name("übung") == "übung"
    assert node_name("a::b [1]") == "a%3A%3Ab%20%5B1%5D"


@given(st.text())
def test_a_quoted_text_starts_no_line_with_a_command(text: str) -> None:
    shown = quoted(text)
    assert all(line.startswith("  | ") for line in shown.splitlines() if shown)
    assert "##[" not in shown


@given(st.text())
def test_one_line_is_one_line_of_visible_text(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs"}
    assert len(shown) <= 300


def test_commands_hidden_behind_invisible_characters_do_not_appear() -> None:
    assert "##[" not in one_line("#\u200b#[error]x")
    assert "##[" not in one_line("#\x1b[0m#[error]x")
    assert "##vso[" not in one_line("##vso[task.setvariable]x")
    assert "##teamcity[" not in one_line("##teamcity[buildStop]")


def test_long_texts_are_cut() -> None:
    assert one_line("x" * 400).endswith("…")
    assert quoted("a\n" * 30, 2) == "  | a\n  | a\n  | … 28 more lines"
