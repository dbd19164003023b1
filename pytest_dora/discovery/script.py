"""Entry scripts such as ``boot.sh``, read as a list of commands where that is possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.shell import Command, commands, expand, unwrap

MAX_STATEMENTS = 200
_OPENERS = re.compile(
    r"(?:^|[;&|]\s*|\bdo\s+|\bthen\s+|\belse\s+)(?:if|while|until|for|case|select)\b"
)
_CLOSERS = re.compile(r"(?:^|[;&|]\s*)(?:fi|done|esac)\b")
_FUNCTION = re.compile(r"^(?:function\s+)?[A-Za-z_][\w\-]*\s*\(\)")
_ASSIGNMENT = re.compile(r"^(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=(.*)$")
_DEFAULTED = re.compile(r"^:\s+\"?\$\{([A-Za-z_]\w*):?=([^}]*)\}\"?$")
_ALL_ARGUMENTS = re.compile(r"^(?:exec\s+)?(?:\S+\s+--\s+)?\"?\$(?:@|\{@\}|\*)\"?$")
_WAITS = re.compile(
    r"\bnc\s+-\w*z|pg_isready|/dev/tcp/|mysqladmin\s+ping|redis-cli|wait[-_]for|\bncat\b|\btelnet\b"
)
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})


def script_path(tree: Tree, command: Command) -> str | None:
    """The script that ``./boot.sh`` or ``bash boot.sh`` runs, when it lies in the tree."""
    words = list(command.argv)
    if command.program in _SHELLS and len(words) > 1:
        words = [word for word in words[1:] if not re.fullmatch(r"[-+][a-z]{1,5}", word)]
    if not words:
        return None
    path = join(command.cwd, words[0])
    if path is None or not tree.has(path):
        return None
    if path.endswith((".sh", ".bash")) or tree.source(path).startswith(
        ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash", "#!/usr/bin/env sh")
    ):
        return path
    return None


def follow(
    tree: Tree,
    path: str,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    cwd: str,
    locate: Callable[[str, str], str | None] = join,
) -> tuple[Command, ...] | None:
    """The commands of a script; None when it only makes sense as a whole.

    ``arguments`` take the place of ``"$@"``. Loops that wait for a database are left out,
    loops that retry a command become the command.
    """
    known = dict(variables)
    found: list[Command] = []
    statements = list(_statements(tree.source(path)))
    if len(statements) > MAX_STATEMENTS:
        return None
    for index, statement in enumerate(statements):
        last = index == len(statements) - 1
        if _FUNCTION.match(statement):
            return None
        if _OPENERS.match(statement):
            inner = _block(tree, path, statement, known, cwd, last=last)
            if inner is None:
                return None
            found.extend(inner)
        elif _ALL_ARGUMENTS.match(statement):
            if not arguments:
                return None
            found.append(unwrap(Command(tuple(arguments), cwd)))
        elif not _assigns(statement, known):
            if re.match(r"[A-Za-z_]\w*=[^ ]*(?:\$\(|`)", statement):
                return None
            parsed = commands(statement, known, cwd=cwd, locate=locate)
            moved = re.fullmatch(r"cd\s+[\"']?([^\s\"']{1,200})[\"']?", statement)
            if moved and not parsed:
                place = _script_folder(moved[1], path) or locate(cwd, moved[1])
                if place is None:
                    return None
                cwd = place
            found.extend(parsed)
    return tuple(found) or None


def _script_folder(target: str, path: str) -> str | None:
    """``cd "$(dirname "$0")"`` leads to the folder of the script."""
    return (path.rpartition("/")[0] or ".") if "dirname" in target and "$0" in target else None


def _assigns(statement: str, known: dict[str, str]) -> bool:
    """Take ``NAME=value`` and ``: ${NAME:=value}`` into ``known``."""
    defaulted = _DEFAULTED.match(statement)
    if defaulted:
        known.setdefault(defaulted[1], defaulted[2])
        return True
    match = _ASSIGNMENT.match(statement)
    if not match or re.search(r"[;&|`]|\$\(", match[2]):
        return False
    if not statement.startswith(("export ", "local ", "readonly ")) and re.search(
        r"\s", match[2].strip("\"' ")
    ):
        return False
    value = expand(match[2].strip().strip("\"'"), known)
    if value is not None:
        known[match[1]] = value
    return True


def _block(
    tree: Tree, path: str, text: str, known: Mapping[str, str], cwd: str, *, last: bool
) -> tuple[Command, ...] | None:
    """The commands that stand for a loop or a condition."""
    if text.startswith(("while", "until")):
        if _WAITS.search(text):
            tree.note(f"{path}: a loop that waits for a service is left out")
            return ()
        retried = _retried(text, known, cwd)
        if retried is not None:
            return retried
    if last:
        return None
    shebang = tree.source(path)[:60].partition("\n")[0]
    shell = "bash" if "bash" in shebang else "sh"
    return (Command((shell, "-c", text), cwd),)


def _retried(text: str, known: Mapping[str, str], cwd: str) -> tuple[Command, ...] | None:
    """The one command that a loop runs until it succeeds."""
    until = re.match(r"until\s+(.{1,300}?)\s*(?:;|\n)\s*do\b", text)
    if until:
        return commands(until[1], known, cwd=cwd)
    if not re.match(r"while\s+(?:true|:|\[ 1 \])\s*(?:;|\n)\s*do\b", text) or "break" not in text:
        return None
    body = re.split(r"\bdo\b", text, maxsplit=1)[1]
    for line in re.split(r"[;\n]", body):
        line = line.strip()
        if line and not re.match(r"(?:if|then|fi|else|echo|sleep|break|done|\[)", line):
            return commands(line, known, cwd=cwd)
    return None


def _statements(text: str) -> Iterator[str]:
    """Lines of a script without comments; blocks from ``if`` to ``fi`` stay together."""
    text = re.sub(r"\\\n\s*", " ", text)
    block: list[str] = []
    depth = 0
    for raw in text.split("\n"):
        line = (
            re.sub(r"(?:^|\s)#(?!!).*$", "", raw).strip()
            if "'" not in raw and '"' not in raw
            else raw.strip()
        )
        if not line or line.startswith("#"):
            continue
        depth += len(_OPENERS.findall(line)) - len(_CLOSERS.findall(line))
        block.append(line)
        if depth <= 0:
            yield "\n".join(block)
            block, depth = [], 0
    if block:
        yield "\n".join(block)
