"""What a tool's output says: the first error, a missing variable, a network out of reach."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ERROR = re.compile(
    r"\b(error TS\d+|[\w.]*(?:Error|Exception)\b(?=[:\s(])|error\b[:\[ ]|ERR!|ERR_\w+|fatal:|panic:"
    r"|cannot find|not found|failed to|FAILED\b|undefined:)",
    re.IGNORECASE,
)
_LOCATED = re.compile(r"^\S+[(:]\d+[,:]\d+\)?:? (?:- )?(?:fatal )?error\b|\berror TS\d+: ")
"""An error with its file and line: what a person looks for first."""
_NOISE = re.compile(
    r"^\s*(\$ |at |warn|npm warn|npm notice|npm ERR! A complete log|info\b|\d+ error|0 errors?\b"
    r"|File \"|Traceback|\^+\s*$|During handling|error: script \"|error: \"\w+\" exited"
    r"|npm error (code|errno|path|command|workspace|location|Lifecycle|A complete log))",
    re.IGNORECASE,
)
_PYTHON_END = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Warning)\b.*|KeyError: .*)$", re.M)
_NETWORK = re.compile(
    r"ECONNREFUSED|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|502 Bad Gateway"
    r"|error sending request|network timeout|dns error|Temporary failure in name resolution"
    r"|tunneling socket could not be established|ConnectionRefused|ConnectionClosed",
)
_MISSING = (
    re.compile(r"KeyError: '([A-Z][A-Z0-9_]{2,})'"),
    re.compile(
        r"\b([A-Z][A-Z0-9_]{2,})\b[^\n]{0,40}(?:is not set|not set|must be set|is required"
        r"|is missing|not defined|not provided|undefined)",
    ),
    re.compile(
        r"(?i:missing|required|undefined|unset|set the|provide)[^\n]{0,60}?"
        r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b"
    ),
    re.compile(r"^([a-zA-Z]\w+)\n\s+Field required \[type=missing", re.M),
)


def first_error(output: str, limit: int = 300) -> str:
    """The line of ``output`` that a person would quote, shortened to ``limit`` characters."""
    if "Traceback (most recent call last)" in output:
        after = output.partition("Traceback (most recent call last)")[2]
        ended = _PYTHON_END.search(after)
        if ended:
            return ended.group(1).strip()[:limit]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if _LOCATED.search(line):
            return line[:limit]
    for line in lines:
        if _ERROR.search(line) and not _NOISE.match(line):
            return line[:limit]
    useful = [line for line in lines if not line.startswith("$ ")]
    return useful[-1][:limit] if useful else "no output"


def missing_variable(output: str, known: Iterable[str] = ()) -> str | None:
    """The environment variable that a program says it lacks."""
    for pattern in _MISSING:
        found = pattern.search(output)
        if found:
            return found.group(1)
    for name in known:
        if re.search(rf"\b{re.escape(name)}\b", output) and _ERROR.search(output):
            return name
    return None


def network_trouble(output: str) -> bool:
    """Whether a package manager could not reach its registry."""
    return _NETWORK.search(output) is not None
