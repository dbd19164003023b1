"""Shell command lines of untrusted origin, split into plain commands where that is safe.

Nothing is executed. What cannot be split without a shell becomes ``("sh", "-c", text)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pytest_dora.discovery.files import join

PORT_NAMES = frozenset({"PORT", "DATABRICKS_APP_PORT", "WEB_PORT", "HTTP_PORT", "APP_PORT"})
"""Variables that name the port to listen on; they become the placeholder ``{port}``."""

MAX_TEXT = 20_000

_VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?[-=])(?P<default>[^{}$`]*))?\})"
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset(
    "if then else elif fi for while until do done case esac function select { } ! [[ ]]".split()
)
_ONLY_IN_A_SHELL = frozenset("break continue eval exit read return shift unset".split())
"""Words that are no programs: what holds one of them cannot be taken apart."""
_NO_COMMAND = frozenset({"true", ":", "wait", "echo", "sleep", "set", "shopt", "trap", "ulimit"})
_WRAPPERS = frozenset({"tini", "dumb-init", "catatonit", "docker-init", "/sbin/tini", "/tini"})
_SWITCH_USER = frozenset({"gosu", "su-exec"})


class Ends(Enum):
    """What follows a piece of a command line."""

    AND = "&&"
    THEN = ";"
    BACKGROUND = "&"
    END = ""


@dataclass(frozen=True)
class Command:
    """One command without any shell in it, or ``sh -c`` around one that needs it."""

    argv: tuple[str, ...]
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    background: bool = False

    @property
    def program(self) -> str:
        """The name of the program, without the folder it lies in."""
        return self.argv[0].rsplit("/", 1)[-1]

    @property
    def text(self) -> str:
        """The command as one line, for comparing and searching."""
        return " ".join(self.argv)


@dataclass
class _Piece:
    words: list[str]
    raw: str
    needs_shell: bool
    ends: Ends
    grouped: bool = False
    """Holds a parenthesis, so that it may be only half of a group."""


def commands(
    text: str,
    variables: Mapping[str, str] | None = None,
    *,
    cwd: str = ".",
    locate: Callable[[str, str], str | None] = join,
) -> tuple[Command, ...]:
    """The commands of a line or of a simple script, in order; one ``sh -c`` when unsafe.

    ``locate(cwd, path)`` says where ``cd path`` leads, relative to the app's root.
    """
    text = text.strip()[:MAX_TEXT]
    start = cwd
    pieces = list(_pieces(text, variables or {}))
    whole = _KEYWORDS | _ONLY_IN_A_SHELL
    if any(one.grouped or (one.words and one.words[0] in whole) for one in pieces):
        return (Command(("sh", "-c", text), start),) if text else ()
    found: list[Command] = []
    exported: dict[str, str] = {}
    for piece in pieces:
        words = piece.words
        if not piece.needs_shell and words and words[0] == "cd" and len(words) == 2:
            moved = locate(cwd, words[1])
            if moved is None:
                return (Command(("sh", "-c", text), start),)
            cwd = moved
        elif not piece.needs_shell and words and words[0] == "export":
            exported.update(_assignments(words[1:])[0])
        else:
            command = _command(piece, cwd, exported)
            if command is not None:
                found.append(command)
    return tuple(found)


def argument_list(words: Sequence[str], variables: Mapping[str, str] | None = None) -> Command:
    """A command that is given as a list: no shell, but ``$PORT`` is still the port.

    Platforms such as Databricks expand variables in such lists themselves.
    """
    expanded = [_expand_word(word, variables or {}, quoted=False)[0] for word in words]
    return unwrap(Command(tuple(expanded)))


def unwrap(command: Command) -> Command:
    """The command inside ``tini --``, ``gosu user``, ``env A=b`` or ``wait-for-it … --``."""
    argv = list(command.argv)
    env = dict(command.env)
    for _ in range(5):
        name = argv[0].rsplit("/", 1)[-1] if argv else ""
        rest: list[str] | None = None
        if name in _WRAPPERS or name.startswith(("wait-for", "dockerize")):
            if "--" in argv:
                rest = argv[argv.index("--") + 1 :]
            elif name in _WRAPPERS:
                rest = [word for word in argv[1:] if not word.startswith("-")]
        elif name in _SWITCH_USER and len(argv) > 2:
            rest = argv[2:]
        elif name == "exec" and len(argv) > 1:
            rest = argv[1:]
        elif name == "env" and len(argv) > 1 and not argv[1].startswith("-"):
            inner, rest = _assignments(argv[1:])
            env.update(inner)
        if not rest:
            break
        argv = rest
    return Command(tuple(argv), command.cwd, env, command.background)


def shell_script(argv: Sequence[str]) -> str | None:
    """The text of ``sh -c text``; None when ``argv`` is something else."""
    if len(argv) >= 3 and argv[0].rsplit("/", 1)[-1] in ("sh", "bash", "ash", "dash"):
        flags = argv[1]
        if re.fullmatch(r"-[a-z]*c", flags):
            return argv[2]
    return None


def expand(text: str, variables: Mapping[str, str]) -> str | None:
    """``text`` with its variables replaced; None when one has neither a value nor a default."""
    value, complete = _expand_word(text, variables, quoted=True, ports=False)
    return value if complete else None


def _command(piece: _Piece, cwd: str, exported: Mapping[str, str]) -> Command | None:
    background = piece.ends is Ends.BACKGROUND
    if piece.needs_shell:
        return Command(("sh", "-c", piece.raw.strip()), cwd, dict(exported), background)
    env, argv = _assignments(piece.words)
    if not argv or argv[0] in _NO_COMMAND or _is_activation(argv):
        return None
    command = Command(tuple(argv), cwd, {**exported, **env}, background)
    return unwrap(command)


def _is_activation(argv: Sequence[str]) -> bool:
    return argv[0] in ("source", ".") and argv[-1].endswith(("/activate", ".env"))


def _assignments(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Leading ``NAME=value`` words, and what is left."""
    env: dict[str, str] = {}
    for index, word in enumerate(words):
        match = _ASSIGNMENT.fullmatch(word)
        if not match:
            return env, list(words[index:])
        env[match[1]] = match[2]
    return env, []


def _pieces(text: str, variables: Mapping[str, str]) -> Iterator[_Piece]:
    """Pieces between ``&&``, ``;``, ``&`` and line ends; pipes and ``||`` stay inside one."""
    scanner = _Scanner(text, variables)
    while scanner.position < len(text):
        piece = scanner.piece()
        if piece.words or piece.needs_shell:
            yield piece


class _Scanner:
    """A reader of shell words that knows quotes, and knows what it does not know."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self.text = text
        self.variables = variables
        self.position = 0

    def piece(self) -> _Piece:
        start = self.position
        words: list[str] = []
        needs_shell = grouped = False
        ends = Ends.END
        stop = len(self.text)
        while self.position < len(self.text):
            char = self.text[self.position]
            two = self.text[self.position : self.position + 2]
            stop = self.position
            if char in " \t" or two == "\\\n":
                self.position += 2 if two == "\\\n" else 1
            elif char == "#":
                self._skip_comment()
            elif two == "&&":
                self.position += 2
                ends = Ends.AND
                break
            elif two in ("||", "|&") or char in "|<>()" or two == "&>":
                needs_shell = True
                grouped = grouped or char in "()"
                self.position += 2 if two in ("||", "|&", "&>") else 1
                if char in "<>" and self.text[self.position : self.position + 1] == "&":
                    self.position += 1
            elif char in ";\n":
                self.position += 1
                ends = Ends.THEN
                break
            elif char == "&":
                self.position += 1
                ends = Ends.BACKGROUND
                break
            else:
                word, plain = self._word()
                words.append(word)
                needs_shell = needs_shell or not plain
            stop = self.position
        return _Piece(words, self.text[start:stop], needs_shell, ends, grouped)

    def _skip_comment(self) -> None:
        end = self.text.find("\n", self.position)
        self.position = end if end >= 0 else len(self.text)

    def _word(self) -> tuple[str, bool]:
        """One word without its quotes, and whether no shell is needed to read it."""
        parts: list[str] = []
        plain = True
        text = self.text
        while self.position < len(text):
            char = text[self.position]
            if char in " \t\n;&|<>()":
                break
            if char == "'":
                end = text.find("'", self.position + 1)
                plain = plain and end >= 0
                end = end if end >= 0 else len(text)
                parts.append(text[self.position + 1 : end])
                self.position = end + 1
            elif char == '"':
                inside, closed = self._double_quoted()
                value, known = _expand_word(inside, self.variables, quoted=True)
                parts.append(value)
                plain = plain and closed and known
            elif char == "\\":
                parts.append(text[self.position + 1 : self.position + 2])
                self.position += 2
            elif char == "$" and (match := _VARIABLE.match(text, self.position)):
                value, known = _expand_word(match[0], self.variables, quoted=False)
                parts.append(value)
                plain = plain and known
                self.position = match.end()
            else:
                plain = plain and char not in "*?[]`$" and not (char == "~" and not parts)
                parts.append(char)
                self.position += 1
        return "".join(parts), plain

    def _double_quoted(self) -> tuple[str, bool]:
        parts: list[str] = []
        self.position += 1
        while self.position < len(self.text):
            char = self.text[self.position]
            if char == '"':
                self.position += 1
                return "".join(parts), True
            if char == "\\" and self.text[self.position + 1 : self.position + 2] in ('"', "\\"):
                self.position += 1
                char = self.text[self.position]
            parts.append(char)
            self.position += 1
        return "".join(parts), False


def _expand_word(
    word: str, variables: Mapping[str, str], *, quoted: bool, ports: bool = True
) -> tuple[str, bool]:
    """A word with its variables replaced, and whether all of them were known."""
    known = True

    def replace(match: re.Match[str]) -> str:
        nonlocal known
        name = match["plain"] or match["name"]
        if ports and name in PORT_NAMES:
            return "{port}"
        if name in variables and (variables[name] or not match["how"]):
            return variables[name]
        if match["default"] is not None:
            return match["default"]
        known = False
        return match[0]

    value = _VARIABLE.sub(replace, word)
    if quoted and ("`" in word or "$(" in word):
        known = False
    return value, known
