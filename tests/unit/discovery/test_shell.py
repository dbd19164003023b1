from __future__ import annotations

import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.discovery.shell import (
    Command,
    argument_list,
    commands,
    expand,
    shell_script,
    unwrap,
)

WORDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
)


@given(WORDS)
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    words = ["run", *words]
    (found,) = commands(shlex.join(words).replace("'$'", "'$'"))
    assert found.argv == tuple(words)


@given(st.text(max_size=200))
def test_no_text_raises_or_loses_its_command(text: str) -> None:
    for command in commands(text):
        assert command.argv
        assert command.cwd


def argvs(text: str, **variables: str) -> list[tuple[str, ...]]:
    return [command.argv for command in commands(text, variables)]


def test_and_and_semicolons_separate_commands() -> None:
    assert argvs("flask db upgrade; python seed.py && gunicorn app:app") == [
        ("flask", "db", "upgrade"),
        ("python", "seed.py"),
        ("gunicorn", "app:app"),
    ]


def test_assignments_become_environment_and_cd_becomes_the_folder() -> None:
    (found,) = commands("cd server && NODE_ENV=production PORT=1 node index.js")
    assert (found.argv, found.cwd) == (("node", "index.js"), "server")
    assert found.env == {"NODE_ENV": "production", "PORT": "1"}


def test_cd_out_of_the_app_leaves_the_line_to_a_shell() -> None:
    (found,) = commands("cd ../.. && node x.js")
    assert found.argv == ("sh", "-c", "cd ../.. && node x.js")


@pytest.mark.parametrize(
    "text",
    [
        "yes | npx push",
        "a || b",
        "node x.js > log.txt 2>&1",
        "echo $(whoami)",
        "node $UNKNOWN",
        "ls *.js",
        "if true; then a; fi",
        "(a; b)",
        "node `pwd`/x.js",
        "cat <<EOF",
        "node 'unclosed",
    ],
)
def test_what_needs_a_shell_stays_one_text(text: str) -> None:
    assert commands(text)[-1].argv == ("sh", "-c", text)


@pytest.mark.parametrize(
    "text", ["serve -p $PORT", "serve -p ${PORT}", "serve -p ${PORT:-3000}", 'serve -p "$PORT"']
)
def test_the_port_variable_is_our_placeholder(text: str) -> None:
    assert argvs(text) == [("serve", "-p", "{port}")]


def test_variables_take_their_value_or_default() -> None:
    assert argvs("a $X ${Y:-two} ${X:-no}", X="one") == [("a", "one", "two", "one")]
    assert expand("${A:-b}c", {}) == "bc"
    assert expand("${A}", {}) is None
    assert expand("plain", {}) == "plain"


def test_single_quotes_keep_dollars() -> None:
    assert argvs("echo-args '$PORT'") == [("echo-args", "$PORT")]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("tini", "--", "node", "x"), ("node", "x")),
        (("dumb-init", "node", "x"), ("node", "x")),
        (("gosu", "app", "node", "x"), ("node", "x")),
        (("./wait-for-it.sh", "db:5432", "--", "node", "x"), ("node", "x")),
        (("exec", "node", "x"), ("node", "x")),
        (("env", "A=b", "node", "x"), ("node", "x")),
        (("node", "--", "x"), ("node", "--", "x")),
    ],
)
def test_wrappers_are_taken_off(argv: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert unwrap(Command(argv)).argv == expected


def test_noise_is_no_command() -> None:
    assert argvs("set -e; echo starting; source .venv/bin/activate; node x.js") == [
        ("node", "x.js")
    ]


def test_background_commands_are_marked() -> None:
    first, second = commands("node a.js & node b.js")
    assert first.background
    assert not second.background


def test_lists_are_no_shell_texts() -> None:
    assert argument_list(["node", "a;b", "$PORT"]).argv == ("node", "a;b", "{port}")
    assert shell_script(["bash", "-lc", "a b"]) == "a b"
    assert shell_script(["bash", "x.sh"]) is None


@pytest.mark.parametrize(
    "text", ["$" * 20_000, "${A:-" * 5_000, '"' * 19_999, "&" * 20_000, "\\" * 20_000]
)
def test_hostile_lines_cost_no_time(text: str) -> None:
    started = time.perf_counter()
    commands(text)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("text", ["echo no queue; exit 3", "exit 0"])
def test_a_word_that_only_a_shell_knows_keeps_the_line_whole(text: str) -> None:
    assert [one.argv for one in commands(text)] == [("sh", "-c", text)]
