"""JUnit XML as bun, node, pytest and phpunit write it, read as a stream."""

from __future__ import annotations

from xml.parsers import expat

from pytest_dora.checks.runners.base import Counts, Tally, one_line

_MAX_CASES = 1_000_000
_MAX_TEXT = 20_000
_BAD = ("failure", "error")
_UNLOADABLE = "collection failure"
"""What pytest says of a module that it cannot import."""


class _RefusedError(Exception):
    """The document does something that no test report needs."""


def parse_junit(data: bytes) -> Counts | None:
    """What the test cases of a report say; None when it is no such report.

    Only ``testcase`` elements are believed, never the totals beside them. A document type or an
    entity of its own ends the reading, so nothing can be expanded or fetched.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except (expat.ExpatError, _RefusedError, ValueError, LookupError):
        return None
    return reader.tally.counts() if reader.suites else None


class _Reader:
    def __init__(self) -> None:
        self.tally = Tally()
        self.suites = 0
        self._case: dict[str, str] | None = None
        self._verdict: tuple[str, str] | None = None
        self._text: list[str] | None = None
        self._seen = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse

    def _refuse(self, *_: object) -> None:
        raise _RefusedError

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("testsuites", "testsuite"):
            self.suites += 1
        elif tag == "testcase":
            self._seen += 1
            if self._seen > _MAX_CASES:
                raise _RefusedError
            self._case, self._verdict = attributes, None
        elif self._case is not None and tag in _BAD:
            if self._verdict is None or self._verdict[0] == "skipped":
                message = attributes.get("message", "")
                self._verdict = (tag, message)
                self._text = [] if message in ("", _UNLOADABLE) else None
        elif self._case is not None and tag == "skipped" and self._verdict is None:
            self._verdict = (tag, attributes.get("message", ""))

    def _characters(self, text: str) -> None:
        if self._text is not None and sum(map(len, self._text)) < _MAX_TEXT:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        if tag in _BAD and self._text is not None and self._verdict is not None:
            self._verdict = (tag, _quoted("".join(self._text), self._verdict[1]))
            self._text = None
        if tag != "testcase" or self._case is None:
            return
        case, self._case = self._case, None
        kind, message = self._verdict or ("passed", "")
        if kind == "passed":
            self.tally.passed += 1
        elif kind == "skipped":
            self.tally.skipped += 1
        elif message.startswith(_UNLOADABLE):
            self.tally.break_(_name(case), message.removeprefix(_UNLOADABLE).lstrip(": "))
        else:
            self.tally.fail(_name(case), message, _location(case))


def _quoted(text: str, message: str) -> str:
    """The line of a failure's text to show: pytest marks errors with ``E``."""
    if message != _UNLOADABLE:
        return one_line(text)
    marked = [line[2:].strip() for line in text.splitlines() if line.startswith("E ")]
    return f"{_UNLOADABLE}: {marked[-1] if marked else one_line(text)}"


def _name(case: dict[str, str]) -> str:
    outer, name = case.get("classname", ""), case.get("name", "")
    return name or outer if outer in ("", name, "test") else f"{outer} > {name}"


def _location(case: dict[str, str]) -> str | None:
    file, line = case.get("file", ""), case.get("line", "")
    if not file or len(file) > 500:
        return None
    return f"{file}:{line}" if line.isascii() and line.isdigit() else file
