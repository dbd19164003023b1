"""What a tool's output says: the first error, a missing variable, a network out of reach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ERROR = re.compile(
    r"\b(error TS\d+|[\w.]*(?:Error|Exception)\b(?=[:\s(])|error\b[:\[\] ]|ERR!|ERR_\w+|fatal:|panic:"
    r"|cannot find|not found|failed to|FAILED\b|undefined:|unsatisfiable)",
    re.IGNORECASE,
)
_LOCATED = re.compile(
    r"^\S+[(:]\d+[,:]\d+\)?:? (?:- )?(?:fatal )?error\b|\berror TS\d+: |^\S+\.go:\d+:\d+: "
)
"""An error with its file and line: what a person looks for first."""
_NOISE = re.compile(
    r"^\s*(\$ |at |warn|\[warn|npm warn|npm notice|info\b|\[info|\d+ error|0 errors?\b|found 0 "
    r"|File \"|Traceback|\^+\s*$|During handling|error: script \"|error: \"\w+\" exited"
    r"|npm (error|ERR!) (code|errno|path|command|workspace|location|Lifecycle|A complete log)"
    r"|>?\s*\d+ \||throw\b|\W*(x )?Build failed in|error during build:|go: downloading )",
    re.IGNORECASE,
)
_NODE_STACK = re.compile(
    r"^((?:Uncaught |Unhandled\w*: )?(?:[A-Za-z.]*(?:Error|Exception)|error)(?: \[\w+\])?: .*)\n"
    r"(?:[^\n]+\n){0,5}?[ \t]+at ",
    re.MULTILINE,
)
_LINE = 1000
_TRACEBACK = "Traceback (most recent call last):"
_PYTHON_END = re.compile(r"^[A-Za-z_][\w.]*(?::.*)?$")
_CHAINED = re.compile(
    r"\s*(?:During handling of the above exception|The above exception was the direct cause)"
)
_NETWORK = re.compile(
    r"ECONNREFUSED(?! (?:127\.0\.0\.1|::1|localhost):(?!3128\b))"  # of the app's own services
    r"|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|502 Bad Gateway"
    r"|error sending request|network timeout|dns error|Temporary failure in name resolution"
    r"|tunneling socket could not be established|ConnectionRefused\b|ConnectionClosed\b",
)


def first_error(output: str, limit: int = 300) -> str:
    """The line of ``output`` that a person would quote, shortened to ``limit`` characters."""
    output = _with_short_lines(output)
    ended = _python_exception(output)
    if ended is not None:
        return ended[:limit]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if _LOCATED.search(line):
            return line[:limit]
    thrown = _NODE_STACK.search(output)
    if thrown is not None and not _NOISE.match(thrown[1]):
        return thrown[1].strip()[:limit]
    for line in lines:
        if _ERROR.search(line) and not _NOISE.match(line):
            return line[:limit]
    useful = [line for line in lines if not line.startswith("$ ")]
    return useful[-1][:limit] if useful else "no output"


def _with_short_lines(output: str) -> str:
    """No line of a tool is longer; one of a hostile program must not cost us minutes."""
    return "\n".join(line[:_LINE] for line in output.splitlines())


def _python_exception(output: str) -> str | None:
    """How the first traceback ends, or the last of those that are chained to it."""
    found: str | None = None
    rest = output
    while True:
        before, _, rest = rest.partition(_TRACEBACK)
        if not rest or (found is not None and _CHAINED.match(before) is None):
            return found
        lines = rest.splitlines()
        for number, line in enumerate(lines):
            if line and not line[0].isspace() and line[0] not in "+|":
                if not _PYTHON_END.match(line):
                    return found
                found = _with_fields(line, lines[number + 1 : number + 3])
                rest = "\n".join(lines[number + 1 :])
                break
        else:
            return found


def _with_fields(line: str, below: list[str]) -> str:
    """A validation error of pydantic says what is wrong in the two lines below it."""
    if "validation error" not in line or len(below) < 2:
        return line.strip()
    return f"{line.strip()}: {below[0].strip()} {below[1].strip()}"


def network_trouble(output: str) -> bool:
    """Whether a package manager could not reach its registry."""
    return _NETWORK.search(output) is not None


# --- missing variables ----------------------------------------------------------------------

_NAME = r"['\"`]?\b(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]+)\b['\"`]?"
_ANY_NAME = r"['\"`]?\b(?P<name>[A-Z][A-Z0-9_]{2,})\b['\"`]?"
_VARIABLE = r"(?:env(?:ironment)?|config(?:uration)?)[ _-]?(?:variables?|vars?|keys?|settings?)"
_LACKS = (
    r"(?:is|are|was|must be|has been|be)?\s*(?:not (?:been )?(?:set|defined|provided|configured|found)"
    r"|set|missing|required|undefined|unset|empty|must not be empty)"
)
_MISSING = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # Python: os.environ["NAME"], and the settings libraries
        r"^KeyError: '(?P<name>[A-Z][A-Z0-9_]{2,})'",
        rf"^KeyError: \"Config '{_ANY_NAME}' is missing",
        (
            r"validation errors? for (?i:\w*(?:settings|config|env)\w*)\n(?:.*\n){0,30}?"
            r"(?P<name>[A-Za-z]\w+)\n[ \t]+Field required \[type=missing"
        ),
        rf"UndefinedValueError: {_ANY_NAME} not found",
        # shells
        rf"{_ANY_NAME}: (?:unbound variable|parameter (?:null or )?not set)",
        # sentences: what is missing, then its name, or its name first
        (
            rf"(?i:(?:missing|required|undefined|unset|set|provide|invalid|no)\b[^\n]{{0,40}}?{_VARIABLE})"
            rf"\W{{1,12}}(?:(?i:named|called|not found)\W+)?{_ANY_NAME}"
        ),
        rf"(?i:{_VARIABLE})\W{{1,6}}(?:(?i:not found|named|called)\W{{1,3}})?{_ANY_NAME}\W{{1,3}}(?i:{_LACKS})",
        rf"(?i:{_VARIABLE} (?:is )?(?:not found|missing|required|undefined))\W{{1,12}}{_ANY_NAME}",
        rf"(?i:set|provide|define|specify|missing|required?)(?i: (?:the|a|an|your|key))? {_NAME}",
        # the name, then what is wrong with it
        rf"{_ANY_NAME} (?i:{_VARIABLE}|setting) (?i:{_LACKS})",
        rf"{_NAME}:? (?i:{_LACKS})\b",
        # zod and its relatives
        rf"{_NAME}\W{{1,6}}Required\b",
        r"\"path\":\s*\[\s*\"(?P<name>[A-Z][A-Z0-9_]{2,})\"\s*\],\s*\"message\":\s*\"(?:Required|Invalid input)",
    )
)
_REASSURING = re.compile(
    r"\bwarn|(?<!no )(?<!define a )\bdefault|fall(?:ing)? ?back|\bignor|\bskip|\boptional|\bdisabled?\b|\busing\b|\binfo\b"
    r"|\bdeprecat|ReferenceError|NameError",
    re.IGNORECASE,
)
"""A line that says so is no complaint, or is one about the code."""
_NO_VARIABLE = re.compile(
    r"ERR_|E[A-Z]{3,}(?<!ENV)(?<!EMAIL)$|EAI_|HTTPS?_PROXY$|NO_PROXY$|ALL_PROXY$|NODE_(?:ENV|OPTIONS|PATH)$"
    r"|TS\d|MODULE_NOT_FOUND$|UNABLE_TO_|CERT_|SELF_SIGNED|SIG[A-Z]+$|NOT_|INVALID_|MISSING_|UNKNOWN_"
    r"|(?:HTTP|HTTPS|JSON|HTML|YAML|TOML|URL|URI|API|SQL|TLS|SSL|CORS|JWT|UUID|CSS|ESM|CLI|DNS|TCP|UDP"
    r"|GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|NULL|NOT|AND|CSRF|OAUTH|ERROR|FATAL|WARN|WARNING|INFO"
    r"|DEBUG|PATH|HOME|TERM|CI|PORT|DDL|DML|BEGIN|COMMIT|SELECT|INSERT|UPDATE|TABLE|COLUMN)$"
)


def missing_variable(output: str, known: Iterable[str] = ()) -> str | None:
    """The environment variable that a program says it lacks.

    ``known`` are names that the app is known to read: one of them is believed in any line that
    speaks of something missing.
    """
    output = _with_short_lines(output)
    for pattern in _MISSING:
        for found in pattern.finditer(output):
            name: str = found["name"]
            line = _line_around(output, found.start("name"))
            if not _NO_VARIABLE.match(name) and not _REASSURING.search(line):
                return str(name.upper())
    names = set(known)
    for line in _complaints(output):
        for word in re.findall(r"\w+", line):
            if word in names:
                return str(word)
    return None


def _line_around(text: str, place: int) -> str:
    start = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    return text[start : end if end >= 0 else len(text)]


def _complaints(output: str) -> Iterator[str]:
    for line in output.splitlines():
        if re.search(rf"(?i){_LACKS}\b|\binvalid\b|\bneeds?\b", line) and not _REASSURING.search(
            line
        ):
            yield line
