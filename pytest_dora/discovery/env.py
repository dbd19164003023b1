"""Environment variables: which the sources read, with which defaults, and which are declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.parse import parse_dotenv
from pytest_dora.model.plan import EnvVar

SOURCE_ENDINGS = (
    ".py", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".go", ".php", ".vue",
    ".svelte", ".astro", ".prisma",
)  # fmt: skip
EXAMPLE_FILES = (".env.example", ".env.sample", ".env.template", "env.example", ".env.dist")
MAX_SOURCE_FILES = 1_500
MAX_TOTAL_BYTES = 12_000_000

_TESTS = re.compile(
    r"(?:^|/)(?:tests?|__tests__|__mocks__|e2e|cypress|spec|fixtures|examples?|docs?|rules|stories)/"
    r"|(?:^|/)(?:test_[^/]*|conftest)\.py$|[._](?:test|spec|stories|d)\.[cm]?[jt]sx?$|_test\.(?:go|py)$"
    r"|(?:^|/)tests\.py$|(?:^|/)(?:playwright|vitest|jest|cypress|wdio|eslint)[\w.]*\.config\.[cm]?[jt]s$"
)
_SCRIPTS = re.compile(r"(?:^|/)(?:scripts?|seeds?|tools|bin|notebooks|pipelines)/")
_NAME = r"[A-Z_][A-Z0-9_]{1,80}"
_READS = re.compile(
    rf"process\.env(?:\.(?P<dot>{_NAME})\b|\[\s*[\"'](?P<key>{_NAME})[\"']\s*\])"
    rf"|(?:Bun\.env|import\.meta\.env|Deno\.env)\.(?P<bun>{_NAME})\b"
    rf"|Deno\.env\.get\(\s*[\"'](?P<deno>{_NAME})[\"']"
    rf"|(?:os\.)?environ\[\s*[\"'](?P<strict>{_NAME})[\"']\s*\]"
    rf"|(?:os\.)?environ\.get\(\s*[\"'](?P<get>{_NAME})[\"']"
    rf"|(?:os\.)?environ\.setdefault\(\s*[\"'](?P<default>{_NAME})[\"']"
    rf"|\b(?:os\.)?getenv\(\s*[\"'](?P<getenv>{_NAME})[\"']"
    rf"|\b(?:os\.)(?:Getenv|LookupEnv)\(\s*\"(?P<go>{_NAME})\""
    rf"|(?<![\w.>$])(?:env|config)(?:\.(?:str|bool|int|list|db|url))?\(\s*[\"'](?P<env>{_NAME})[\"']"
)
_HINTS = re.compile(r"env|Env|config\(")
_DESTRUCTURED = re.compile(r"\{([^{}]{1,2000})\}\s*=\s*process\.env\b")
_SETTINGS_CLASS = re.compile(r"(?m)^class\s+\w+\([^)\n]*BaseSettings[^)\n]*\)\s*:")
_SETTINGS_FIELD = re.compile(
    r"(?m)^[ \t]+([A-Za-z_]\w{1,60})\s*:\s*([^=\n]{1,120}?)(?:\s*=\s*([^\n]{1,300}))?$"
)
_ENV_PREFIX = re.compile(r"env_prefix\s*=\s*[\"']([A-Za-z0-9_]{0,40})[\"']")
_ZOD_FIELD = re.compile(rf"(?m)^\s*({_NAME})\s*:\s*(z\.[^\n]{{1,300}})")
_ZOD_ENV = re.compile(r"(?:parse|safeParse)\(\s*process\.env\b|createEnv\(|runtimeEnv|envsafe\(")
_LITERAL = re.compile(
    r"\s*,?\s*(?:default\s*=\s*)?(?:\|\||\?\?|or|,)?\s*([\"'`])((?:(?!\1)[^\\\n]){0,300})\1"
)
_COMMENT = {"py": re.compile(r"(?m)(?:^|\s)#.*$")}
_SECRET = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY|APIKEY|CREDENTIALS?|SALT)(?:_|$)|_KEY$"
)
_PLATFORM = frozenset(
    "NODE_ENV PATH HOME USER PWD SHELL LANG TERM TZ CI DEBUG HOSTNAME VIRTUAL_ENV PYTHONPATH DEV PROD MODE SSR"
    " BASE_URL NO_COLOR NODE_OPTIONS REPL_ID TMPDIR PYTEST_CURRENT_TEST TEMP TMP npm_package_version".split()
)


@dataclass(frozen=True)
class Read:
    """One place where a variable is read."""

    name: str
    path: str
    line: int
    default: str | None
    required: bool
    """It fails there when the variable is not set."""
    statement: str
    """The text around, for what the value is used for."""

    @property
    def source(self) -> str:
        """``path:line``."""
        return f"{self.path}:{self.line}"


def source_files(tree: Tree, ignored: Sequence[str]) -> tuple[str, ...]:
    """Files of the app's own code, without tests, documents and ignored folders."""
    found: list[str] = []
    for path in tree.files:
        if not path.endswith(SOURCE_ENDINGS) or _TESTS.search(path):
            continue
        if any(path.startswith(f"{folder}/") for folder in ignored):
            continue
        found.append(path)
    return tuple(found[:MAX_SOURCE_FILES])


def is_side_script(path: str) -> bool:
    """Whether a file is run by hand and not by the app."""
    return _SCRIPTS.search(path) is not None


def reads(tree: Tree, files: Sequence[str]) -> tuple[Read, ...]:
    """Every place where the sources read a variable by name."""
    found: list[Read] = []
    for path in files:
        text = tree.source(path)
        if not _mentions(text):
            continue
        found.extend(_in_file(path, text))
    return tuple(found[:2_000])


def variables(
    tree: Tree, found: Sequence[Read], folders: Sequence[str], declared: Sequence[EnvVar]
) -> tuple[EnvVar, ...]:
    """One entry per name: what operators are told of first, completed by what the code needs."""
    needed = {read.name for read in found if read.required and not is_side_script(read.path)}
    result: dict[str, EnvVar] = {}
    for variable in (*declared, *_examples(tree, folders)):
        known = result.get(variable.name)
        if known is None:
            result[variable.name] = variable
        elif known.value is None and variable.value is not None and not known.required:
            result[variable.name] = known.model_copy(update={"value": variable.value})
    for read in found:
        if read.name in _PLATFORM:
            continue
        known = result.get(read.name)
        if known is None:
            result[read.name] = EnvVar(name=read.name, value=read.default, source=read.source)
        elif known.value is None and read.default is not None and not known.required:
            result[read.name] = known.model_copy(update={"value": read.default})
    defaults = {read.name for read in found if read.default is not None}
    return tuple(
        variable.model_copy(
            update={
                "required": variable.required or (name in needed and name not in defaults),
                "secret": bool(_SECRET.search(name)),
            }
        )
        for name, variable in list(result.items())[:400]
    )


def _mentions(text: str) -> bool:
    return "env" in text or "Getenv" in text or "BaseSettings" in text or "config(" in text


def _in_file(path: str, text: str) -> Iterator[Read]:
    python = path.endswith(".py")
    for match in _matches(text):
        kind = match.lastgroup or ""
        name = match[kind]
        if kind == "env" and not (path.endswith((".py", ".php", ".prisma"))):
            continue
        line_start = text.rfind("\n", 0, match.start()) + 1
        before = text[line_start : match.start()]
        if before.lstrip().startswith(("#", "//", "*")):
            continue
        if re.match(r"\s*(?:=(?!=)|\+=)", text[match.end() :]) and kind in ("dot", "key", "strict"):
            continue
        statement = _statement(text, line_start, match.end())
        after = text[match.end() : match.end() + 320]
        default = None if kind == "strict" else _default(after, python=python or kind == "env")
        default = default or None
        required = default is None and _fails(kind, before, after, path)
        line = text.count("\n", 0, match.start()) + 1
        yield Read(name, path, line, default, required, statement)
    for block in _DESTRUCTURED.finditer(text) if "} = process.env" in text else ():
        line = text.count("\n", 0, block.start()) + 1
        for entry in block[1].split(","):
            name = re.match(rf"\s*({_NAME})\b", entry)
            literal = re.search(r"=\s*[\"']([^\"']{0,200})[\"']", entry)
            if name:
                default = literal[1] if literal else None
                yield Read(name[1], path, line, default, False, block[0][:300])
    if python and "BaseSettings" in text:
        yield from _settings(path, text)
    if not python and "z." in text and _ZOD_ENV.search(text):
        for field in _ZOD_FIELD.finditer(text):
            literal = re.search(r"\.default\(\s*[\"'`]?([^\"'`)]{0,200})", field[2])
            optional = literal is not None or ".optional()" in field[2] or ".nullish()" in field[2]
            line = text.count("\n", 0, field.start(1)) + 1
            yield Read(
                field[1], path, line, literal[1] if literal else None, not optional, field[0]
            )


def _matches(text: str) -> Iterator[re.Match[str]]:
    """Reads in the lines that say ``env`` at all, each with the line after it."""
    done = 0
    for hint in _HINTS.finditer(text):
        if hint.start() < done:
            continue
        start = text.rfind("\n", 0, hint.start()) + 1
        end = text.find("\n", hint.end())
        end = end if end >= 0 else len(text)
        if text[start:end].rstrip().endswith("("):
            following = text.find("\n", end + 1)
            end = following if following >= 0 else len(text)
        yield from _READS.finditer(text, max(start, done), end)
        done = end


def _statement(text: str, start: int, position: int) -> str:
    """The lines of the expression: it goes on while a bracket is open or an operator dangles."""
    end = text.find("\n", position)
    end = end if end >= 0 else len(text)
    for _ in range(6):
        chunk = text[start:end]
        opened = sum(map(chunk.count, "([{")) - sum(map(chunk.count, ")]}"))
        dangling = re.search(r"(?:\\|\|\||\?\?|&&|[?:,=+(]|\bor|\belse|\bif)\s*$", chunk)
        following = re.match(r"\s*(?:\|\||\?\?|or\b|else\b|\?|:|\.)", text[end : end + 60])
        if end >= len(text) or not (opened > 0 or dangling or following):
            break
        next_end = text.find("\n", end + 1)
        end = next_end if next_end >= 0 else len(text)
    return text[start : min(end, start + 1_000)]


def _default(after: str, *, python: bool) -> str | None:
    """The literal that stands in when the variable is not set."""
    text = after
    if python:
        inner = re.match(r"\s*,\s*(?:default\s*=\s*)?", text)
        if inner:
            literal = re.match(r"([\"'])((?:(?!\1)[^\\\n]){0,300})\1", text[inner.end() :])
            if literal:
                return literal[2]
            number = re.match(
                r"(?:str\()?(-?\d{1,12}(?:\.\d{1,6})?|True|False)\b", text[inner.end() :]
            )
            return number[1] if number else None
        match = re.match(r"\s*\)+\s*(?:\)|\s)*or\s+([\"'])((?:(?!\1)[^\\\n]){0,300})\1", text)
        if match:
            return match[2]
        number = re.match(r"\s*\)\s*or\s+(\d{1,12})\b", text)
        return number[1] if number else None
    match = re.match(r"\s*\)*\s*(?:\|\||\?\?)\s*([\"'`])((?:(?!\1)[^\\\n]){0,300})\1", text)
    if match:
        return match[2] if "${" not in match[2] else None
    number = re.match(r"\s*\)*\s*(?:\|\||\?\?)\s*(\d{1,12}|true|false)\b", text)
    return number[1] if number else None


def _fails(kind: str, before: str, after: str, path: str) -> bool:
    """Whether the program cannot go on without the variable, as far as one place shows."""
    if path.endswith(".prisma"):
        return True
    if kind == "strict":
        return not re.search(r"\bdel\b|\bin\s+os\.environ|\btry\b", before)
    if kind in ("dot", "key"):
        return re.match(r"!(?!=)", after) is not None
    if kind == "env":
        # environs and decouple raise without a default, Laravel's env() does not
        return path.endswith(".py") and re.match(r"\s*\)", after) is not None
    if kind in ("get", "getenv", "bun", "go"):
        return re.search(r"^\s*assert\b", before) is not None
    return False


def _settings(path: str, text: str) -> Iterator[Read]:
    """Fields of pydantic settings classes; a field without a default is required."""
    prefix_match = _ENV_PREFIX.search(text)
    prefix = prefix_match[1] if prefix_match else ""
    for header in _SETTINGS_CLASS.finditer(text):
        following = re.search(r"(?m)^\S", text[header.end() + 1 :])
        body = text[header.end() : header.end() + 1 + following.start() if following else len(text)]
        for field in _SETTINGS_FIELD.finditer(body[:20_000]):
            name, kind, raw = field[1], field[2], field[3]
            if (
                name == "model_config"
                or "ClassVar" in kind
                or (not raw and kind.endswith(("(", ",")))
            ):
                continue
            alias = re.search(
                r"(?:validation_alias|alias|env)\s*=\s*[\"']([A-Za-z_]\w{0,80})[\"']", raw or ""
            )
            literal = re.match(
                r"(?:Field\(\s*(?:default\s*=\s*)?)?[\"']([^\"'\n]{0,300})[\"']", raw or ""
            )
            number = re.match(
                r"(?:Field\(\s*(?:default\s*=\s*)?)?(-?\d{1,12}|True|False)\b", raw or ""
            )
            value = literal[1] if literal else number[1] if number else None
            needed = raw is None or re.match(r"Field\(\s*(?:\.\.\.|\))", raw) is not None
            variable = alias[1] if alias else f"{prefix}{name}".upper()
            line = text.count("\n", 0, header.end() + field.start(1)) + 1
            yield Read(variable.upper(), path, line, value, needed, field[0].strip())


def _examples(tree: Tree, folders: Sequence[str]) -> Iterator[EnvVar]:
    for folder in dict.fromkeys((".", *folders)):
        for name in EXAMPLE_FILES:
            path = tree.first(folder, name)
            if path is None:
                continue
            for line, variable, value in parse_dotenv(tree.text(path) or ""):
                if "\0" not in value:
                    yield EnvVar(name=variable, value=value or None, source=f"{path}:{line}")
    flaskenv = tree.first(".", ".flaskenv")
    for line, variable, value in parse_dotenv(tree.text(flaskenv) or "") if flaskenv else ():
        yield EnvVar(name=variable, value=value or None, source=f"{flaskenv}:{line}")
