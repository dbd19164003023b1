"""What type checkers print, as diagnostics. Nothing here raises for what is printed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_dora.checks.untrusted import load_json, table, text

_MAX_DIAGNOSTICS = 100_000
_MAX_FILES = 10_000_000


@dataclass(frozen=True)
class Diagnostic:
    """One error of a type checker. ``path`` is as it was printed; None for a global error."""

    path: str | None
    line: int | None
    code: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.path and self.line else ""
        return f"{where or f'{self.path}: ' if self.path else ''}{self.code} {self.message}".strip()


@dataclass(frozen=True)
class Printed:
    """Errors, and how many files the tool says it looked at; None when it does not say."""

    errors: tuple[Diagnostic, ...]
    files: int | None = None
    paths: tuple[str, ...] = ()
    """The files themselves, where the tool lists them."""

    def by_code(self, limit: int = 10) -> dict[str, int]:
        return dict(Counter(one.code for one in self.errors).most_common(limit))


_TSC = re.compile(
    r"^(?:(?P<path>[^\s(][^(\n]{0,500}|[^\n]{1,300}?)\((?P<line>\d{1,9}),\d{1,9}\): )?"
    r"error (?P<code>TS\d{1,6}): (?P<message>.*)$",
    re.MULTILINE,
)
_TSC_LISTED = re.compile(r"^(?:/|[A-Za-z]:/).*\.(?:[cm]?[jt]sx?|json|vue)$", re.MULTILINE)
_SVELTE = re.compile(
    r"^\d+ ERROR \"(?P<path>[^\"]{1,500})\" (?P<line>\d{1,9}):\d{1,9} \"(?P<message>.*)\"$",
    re.MULTILINE,
)
_SVELTE_END = re.compile(r"^\d+ COMPLETED (\d{1,9}) FILES (\d{1,9}) ERRORS", re.MULTILINE)
_ASTRO = re.compile(
    r"^(?P<path>[^\s:][^:\n]{0,500}):(?P<line>\d{1,9}):\d{1,9} - error (?P<code>ts\(\d+\)|\w+): (?P<message>.*)$",
    re.MULTILINE,
)
_ASTRO_END = re.compile(r"^Result \((\d{1,9}) files?\)", re.MULTILINE)
_MYPY = re.compile(
    r"^(?P<path>[^:\n]{1,500}):(?:(?P<line>\d{1,9}):)?(?:\d{1,9}:)? error: (?P<message>.*?)"
    r"(?:  \[(?P<code>[\w-]{1,60})\])?$",
    re.MULTILINE,
)
_MYPY_END = re.compile(
    r"(?:checked (\d{1,9}) source files?\)|no issues found in (\d{1,9}) source files?)"
)
_TY = re.compile(
    r"^(?P<path>[^:\n]{1,500}):(?P<line>\d{1,9}):\d{1,9}: (?:error|fatal)\[(?P<code>[\w-]{1,60})\] (?P<message>.*)$",
    re.MULTILINE,
)
_VET = re.compile(
    r"^(?:vet: )?(?P<path>[^\s:][^:\n]{0,500}\.go):(?P<line>\d{1,9})(?::\d{1,9})?: (?P<message>.*)$",
    re.MULTILINE,
)
_PHP = re.compile(
    r"^(?:PHP )?(?P<code>Parse|Fatal|Compile) error: +(?P<message>.*) in (?P<path>.{1,500}) on line (?P<line>\d{1,9})$",
    re.MULTILINE,
)
_PHP_FINE = re.compile(r"^No syntax errors detected in ", re.MULTILINE)
_DJANGO = re.compile(
    r"^(?P<path>[\w.?]{1,200}): \((?P<code>[\w.]+\.[EC]\d+)\) (?P<message>.*)$", re.MULTILINE
)


def parse_tsc(output: str) -> Printed:
    """``tsc --pretty false --listFiles`` and vue-tsc."""
    return Printed(_found(_TSC, output), paths=tuple(_TSC_LISTED.findall(output)))


def parse_svelte(output: str) -> Printed:
    """``svelte-check --output machine``."""
    end = _SVELTE_END.search(output)
    return Printed(_found(_SVELTE, output, code="svelte"), int(end[1]) if end else None)


def parse_astro(output: str) -> Printed:
    """``astro check``."""
    end = _ASTRO_END.search(output)
    return Printed(_found(_ASTRO, output), int(end[1]) if end else None)


def parse_mypy(output: str) -> Printed:
    """Mypy with one line per error, and its closing summary."""
    ends = _MYPY_END.findall(output)
    files = int(ends[-1][0] or ends[-1][1]) if ends else None
    return Printed(_found(_MYPY, output, code="syntax"), files)


def parse_ty(output: str) -> Printed:
    """``ty check --output-format concise``."""
    return Printed(_found(_TY, output))


def parse_vet(output: str) -> Printed:
    """``go vet``, also when the packages do not compile."""
    return Printed(_found(_VET, output, code="vet"))


def parse_php(output: str) -> Printed:
    """``php -l`` for one file after another."""
    errors = _found(_PHP, output)
    wrong = len({one.path for one in errors})
    return Printed(errors, len(_PHP_FINE.findall(output)) + wrong)


def parse_django(output: str) -> Printed:
    """``manage.py check``: errors and criticals only."""
    return Printed(_found(_DJANGO, output))


def parse_pyright(output: str) -> Printed | None:
    """``pyright --outputjson``; None when the text holds no such report."""
    start, end = output.find("{"), output.rfind("}")
    report = load_json(output[start : end + 1].encode(errors="replace")) if start >= 0 else None
    if not isinstance(report, dict) or not isinstance(report.get("generalDiagnostics"), list):
        return None
    files = table(report.get("summary")).get("filesAnalyzed")
    real = isinstance(files, int) and not isinstance(files, bool) and 0 <= files <= _MAX_FILES
    return Printed(tuple(_pyright(report["generalDiagnostics"])), files if real else None)


def _pyright(diagnostics: Iterable[object]) -> Iterable[Diagnostic]:
    for one in diagnostics:
        entry = table(one)
        if entry.get("severity") != "error":
            continue
        line = table(table(entry.get("range")).get("start")).get("line")
        yield Diagnostic(
            path=text(entry.get("file")) or None,
            line=line + 1 if isinstance(line, int) and 0 <= line < _MAX_FILES else None,
            code=text(entry.get("rule")) or "error",
            message=_first_line(text(entry.get("message"))),
        )


def _found(pattern: re.Pattern[str], output: str, code: str = "error") -> tuple[Diagnostic, ...]:
    errors: list[Diagnostic] = []
    for match in pattern.finditer(output):
        parts = match.groupdict()
        errors.append(
            Diagnostic(
                path=parts["path"],
                line=int(parts["line"]) if parts.get("line") else None,
                code=parts.get("code") or code,
                message=_first_line(parts["message"]),
            )
        )
        if len(errors) >= _MAX_DIAGNOSTICS:
            break
    return tuple(errors)


def _first_line(output: str) -> str:
    return output.strip().partition("\n")[0][:300]
