"""Versions and ranges as apps write them: npm's ``engines``, Python's requirements, Go's."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

Version = tuple[int, int, int]
EXACT = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z][0-9A-Za-z.-]{0,39})?", re.ASCII)
"""A version that may become part of a command and of a folder's name."""

_NUMBERS = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", re.ASCII)
_PART = r"(\d{1,9}|[xX*])"
_PARTIAL = re.compile(
    rf"[v=]*{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:[-+][0-9A-Za-z.+-]*)?", re.ASCII
)
_COMPARATOR = re.compile(r"(\^|~>?|>=|<=|>|<|=|)\s*(\S+)")
_OPERATOR_SPACE = re.compile(r"(\^|~>?|>=|<=|>|<|=)\s+")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_ZERO: Version = (0, 0, 0)
_END: Version = (10**9, 0, 0)


def parse(text: str) -> Version | None:
    """The first version number in ``text``, missing parts as zero."""
    found = _NUMBERS.search(text)
    return None if found is None else _triple([int(part or 0) for part in found.groups()])


def is_exact(text: str | None) -> bool:
    """Whether an app's pin is a plain exact version and nothing else."""
    return text is not None and EXACT.fullmatch(text) is not None


def satisfies_npm(version: Version, text: str) -> bool | None:
    """Whether a version lies in an npm range; None when the range cannot be read.

    Prereleases count as the release they precede: an ``engines`` field is no resolver.
    """
    verdicts = [_in_set(version, one.strip()) for one in text.split("||")]
    if any(verdicts):
        return True
    return None if None in verdicts else False


def _in_set(version: Version, text: str) -> bool | None:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        text = f">={hyphen[1]} <={hyphen[2]}"
    inside = True
    for word in _OPERATOR_SPACE.sub(r"\1", text).split():
        bounds = _bounds(word)
        if bounds is None:
            return None
        inside = inside and bounds[0] <= version < bounds[1]
    return inside


def _bounds(word: str) -> tuple[Version, Version] | None:
    """A comparator as a half-open interval."""
    comparator = _COMPARATOR.fullmatch(word)
    partial = _PARTIAL.fullmatch(comparator[2]) if comparator is not None else None
    if comparator is None or partial is None:
        return None
    operator = comparator[1]
    known: list[int] = []
    for part in partial.groups():
        if part is None or not part.isdigit():
            break
        known.append(int(part))
    low = _triple(known)
    if not known:
        return (_END, _END) if operator in ("<", ">") else (low, _END)
    exact = (low, _bump(known, len(known)))
    bounds = {
        ">=": (low, _END),
        ">": (_bump(known, len(known)), _END),
        "<": (_ZERO, low),
        "<=": (_ZERO, _bump(known, len(known))),
        "~": (low, _bump(known, min(len(known), 2))),
        "^": (low, _bump(known, _leading(known) + 1)),
    }
    return bounds.get(operator.rstrip(">") if operator == "~>" else operator, exact)


def _leading(known: list[int]) -> int:
    """Index of the part that ``^`` holds fast: the first that is not zero."""
    return next((i for i, part in enumerate(known) if part), len(known) - 1)


def _bump(known: list[int], length: int) -> Version:
    return _triple([*known[: length - 1], known[length - 1] + 1])


def _triple(parts: list[int]) -> Version:
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major, minor, patch


def python_requirement(text: str | None) -> SpecifierSet | None:
    """A constraint on Python as a specifier set; None when there is none or it is unreadable.

    Besides ``requires-python`` it reads a bare version (``.python-version``, an image's tag: any
    patch of that minor), ``python-3.11.4`` (runtime.txt) and Poetry's ``^`` and ``~``.
    """
    text = (text or "").strip().removeprefix("python").lstrip("-@: ")
    if text in ("", "*"):
        return None
    try:
        return SpecifierSet(",".join(_specifier(part.strip()) for part in text.split(",")))
    except (InvalidSpecifier, ValueError):
        return None


def _specifier(part: str) -> str:
    bare = re.fullmatch(r"([\^~]?)\s*v?(\d{1,3}(?:\.\d{1,3}){0,2})(?:\.\*)?(?:-\w+)*", part)
    if bare is None:
        return part
    known = [int(one) for one in bare[2].split(".")]
    minor = ".".join(map(str, known[:2]))
    if bare[1] == "^":
        return f">={bare[2]},<{known[0] + 1}"
    if bare[1] == "~" and len(known) > 1:
        return f">={bare[2]},<{known[0]}.{known[1] + 1}"
    return f"=={minor}.*"
