"""Dockerfiles: stages, variables, copied paths, and the command of the final stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath

from pytest_dora.discovery import go
from pytest_dora.discovery.files import Tree, join, normalise
from pytest_dora.discovery.shell import expand

MAX_INSTRUCTIONS = 2_000
_INSTRUCTION = re.compile(r"([A-Za-z]+)\s+(.*)", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")
_FROM = re.compile(r"(?:--platform=\S+\s+)?(\S+)(?:\s+[Aa][Ss]\s+(\S+))?")
_PAIR = re.compile(r"""([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|'[^']*'|(?:[^\s\\]|\\.)*)""")
_GO_BUILD = re.compile(r"\bgo build\b([^&;|\n]{0,400})")
_FLAG = re.compile(r"--(\w[\w-]*)(?:=(\S+))?\s+")


@dataclass(frozen=True)
class Instruction:
    """One instruction with the line on which it starts."""

    keyword: str
    text: str
    line: int


@dataclass
class Run:
    """A ``RUN`` of the final stage or of a stage before it."""

    text: str
    workdir: str
    line: int
    stage: str


@dataclass
class Stage:
    """What a stage has become after its instructions."""

    name: str
    base: str
    workdir: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    """``ARG`` and ``ENV`` with known values."""
    env: dict[str, str] = field(default_factory=dict)
    env_names: list[tuple[str, int]] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    """Absolute paths in the image and what they are in the app, relative to its root."""
    runs: list[Run] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    entrypoint: tuple[list[str] | str, int] | None = None
    command: tuple[list[str] | str, int] | None = None
    health: str | None = None

    def relative(self, path: str) -> str | None:
        """What an absolute path of the image is in the app; the longest copied prefix wins."""
        best: str | None = None
        length = -1
        for image, app in self.copies:
            if path == image or path.startswith(image.rstrip("/") + "/"):
                rest = path[len(image) :].lstrip("/")
                found = join(app, rest) if rest else app
                if found is not None and len(image) >= length:
                    best, length = found, len(image)
        return best


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile, with continued lines and here-documents joined."""
    escape = "`" if re.match(r"(?i)\s*#\s*escape\s*=\s*`", text) else "\\"
    lines = text.split("\n")
    number = count = 0
    while number < len(lines) and count < MAX_INSTRUCTIONS:
        start = number
        line = lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        parts = [line]
        while parts[-1].endswith(escape) and number < len(lines):
            parts[-1] = parts[-1][:-1]
            while number < len(lines) and (
                lines[number].lstrip().startswith("#") or not lines[number].strip()
            ):
                number += 1
            if number < len(lines):
                parts.append(lines[number].strip())
                number += 1
        joined = " ".join(part.strip() for part in parts)
        heredoc = _HEREDOC.search(joined) if re.match(r"(?i)(?:RUN|COPY)\b", joined) else None
        if heredoc:
            body: list[str] = []
            while number < len(lines) and lines[number].strip() != heredoc[1]:
                body.append(lines[number])
                number += 1
            number += 1
            if joined.upper().startswith("RUN"):
                joined = "RUN " + "\n".join(body)
        match = _INSTRUCTION.fullmatch(joined)
        if match:
            count += 1
            yield Instruction(match[1].upper(), match[2].strip(), start + 1)


def stages(tree: Tree, path: str, context: str) -> dict[str, Stage]:
    """All stages of a Dockerfile by name and number, in order; the last one is the image.

    ``context`` is the folder that ``COPY`` reads from, relative to the app's root.
    """
    found: dict[str, Stage] = {}
    globals_: dict[str, str] = {}
    current: Stage | None = None
    for instruction in instructions(tree.text(path) or ""):
        if instruction.keyword == "FROM":
            match = _FROM.match(instruction.text)
            if match is None:
                continue
            base = expand(match[1], globals_) or match[1]
            current = _begin(found, base, match[2] or str(len(found)))
        elif current is None:
            if instruction.keyword == "ARG":
                globals_.update(_arguments(instruction.text, globals_))
        else:
            _apply(tree, current, instruction, found, globals_, context)
    return found


def form(text: str) -> list[str] | str:
    """A command in exec form as a list, in shell form as a text."""
    if text.startswith("["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return [one for one in value if "\0" not in one]
    return text


def _begin(found: dict[str, Stage], base: str, name: str) -> Stage:
    parent = found.get(base)
    workdir = "/home/bun/app" if base.partition(":")[0] == "oven/bun" else "/"
    stage = Stage(name=name, base=parent.base if parent else base, workdir=workdir)
    if parent:
        stage.workdir = parent.workdir
        stage.env = dict(parent.env)
        stage.env_names = list(parent.env_names)
        stage.variables = dict(parent.env)
        stage.copies = list(parent.copies)
        stage.runs = list(parent.runs)
        stage.ports = list(parent.ports)
        stage.entrypoint, stage.command, stage.health = (
            parent.entrypoint,
            parent.command,
            parent.health,
        )
    found[name] = stage
    return stage


def _apply(
    tree: Tree,
    stage: Stage,
    instruction: Instruction,
    found: Mapping[str, Stage],
    globals_: Mapping[str, str],
    context: str,
) -> None:
    text = instruction.text
    match instruction.keyword:
        case "ARG":
            stage.variables.update(_arguments(text, {**globals_, **stage.variables}, globals_))
        case "ENV":
            _environment(stage, instruction)
        case "WORKDIR":
            stage.workdir = _absolute(stage, expand(text.strip("\"'"), stage.variables) or "/app")
        case "COPY" | "ADD":
            _copy(tree, stage, text, found, context)
        case "RUN":
            flagless = re.sub(_FLAG, "", text) if text.startswith("--") else text
            stage.runs.append(Run(flagless, stage.workdir, instruction.line, stage.name))
            _go_programs(tree, stage, flagless)
        case "EXPOSE":
            for word in text.split():
                value = (expand(word, stage.variables) or "").partition("/")[0]
                if value.isdecimal() and 0 < int(value[:6]) < 65_536:
                    stage.ports.append(int(value))
        case "ENTRYPOINT":
            stage.entrypoint = (form(text), instruction.line)
            stage.command = None
        case "CMD":
            stage.command = (form(text), instruction.line)
        case "HEALTHCHECK":
            plain = re.sub(_FLAG, "", text).strip()
            stage.health = None if plain.upper() == "NONE" else plain
        case _:
            pass


def _arguments(
    text: str, known: Mapping[str, str], outer: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Names and default values of an ``ARG``."""
    values: dict[str, str] = {}
    for word in text.split():
        name, separator, default = word.partition("=")
        if separator:
            value = expand(default.strip("\"'"), known)
            if value is not None:
                values[name] = value
        elif outer and name in outer:
            values[name] = outer[name]
    return values


def _environment(stage: Stage, instruction: Instruction) -> None:
    """Both forms of ``ENV``; a value with an unknown variable is dropped, its name is kept."""
    text = instruction.text
    pairs = [(match[1], match[2]) for match in _PAIR.finditer(text)]
    if not re.match(r"[A-Za-z_]\w*=", text):
        name, _, value = text.partition(" ")
        pairs = [(name, value.strip())]
    for name, raw in pairs:
        plain = raw[1:-1] if raw[:1] in ("'", '"') and raw[-1:] == raw[:1] else raw
        plain = plain.replace("\\ ", " ").replace('\\"', '"')
        if not re.fullmatch(r"[A-Za-z_]\w{0,100}", name):
            continue
        stage.env_names.append((name, instruction.line))
        known = expand(plain, stage.variables)
        if known is None or "\0" in known:
            stage.env.pop(name, None)
            continue
        stage.env[name] = known
        stage.variables[name] = known


def _copy(tree: Tree, stage: Stage, text: str, found: Mapping[str, Stage], context: str) -> None:
    flags = {match[1]: match[2] for match in _FLAG.finditer(text)}
    plain = re.sub(_FLAG, "", text).strip()
    listed = form(plain)
    words = listed if isinstance(listed, list) else plain.split()
    words = [expand(word, stage.variables) or word for word in words]
    if len(words) < 2:
        return
    *sources, target = words
    into_folder = target.endswith("/") or len(sources) > 1 or target in (".", "./")
    place = normpath(target if target.startswith("/") else f"{stage.workdir}/{target}")
    place = "/" + place.lstrip("/")
    origin = found.get(flags.get("from") or "")
    for source in sources[:100]:
        if flags.get("from"):
            app = origin.relative(_absolute(origin, source)) if origin else None
        else:
            app = join(context, normalise(source.lstrip("/")) or ".")
        if app is None:
            continue
        if "*" in source:
            stage.copies.append((place, app.rpartition("/")[0] or context))
            continue
        is_file = tree.has(app)
        name = app.rsplit("/", 1)[-1]
        if is_file and (into_folder or place == stage.workdir):
            stage.copies.append((normpath(f"{place}/{name}"), app))
        else:
            stage.copies.append((place, app))


def _go_programs(tree: Tree, stage: Stage, text: str) -> None:
    """Programs that ``go build -o`` leaves in the image are those that our own build makes."""
    for match in _GO_BUILD.finditer(text):
        words = match[1].split()
        if "-o" not in words[:-1]:
            continue
        output = words[words.index("-o") + 1]
        target = words[-1] if words[-1].startswith(".") and words[-1] != output else "."
        here = stage.relative(stage.workdir)
        folder = join(here, target) if here is not None else None
        if folder is None:
            continue
        parts = folder.split("/") if folder != "." else []
        bases = ["/".join(parts[:length]) or "." for length in range(len(parts), -1, -1)]
        base = next((one for one in bases if tree.first(one, "go.mod")), None)
        if base is None:
            continue
        name = go.binary(tree, base, folder)
        image = _absolute(stage, f"{output}{name}" if output.endswith("/") else output)
        stage.copies.append((image, join(base, f"{go.OUTPUT}/{name}") or name))


def _absolute(stage: Stage, path: str) -> str:
    joined = normpath(path if path.startswith("/") else f"{stage.workdir}/{path}")
    return "/" + joined.lstrip("/")
