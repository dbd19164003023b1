"""The one error of the evaluator's own files and folders."""

from __future__ import annotations

from pathlib import Path


class FleetError(ValueError):
    """A path, fleet file or generation file that cannot be used.

    The message is one line that names the file, the line where one is known, and the way out.
    """


def fleet_error(path: Path | str, line: int | None, message: str) -> FleetError:
    """``path:line: message`` on one line, however the path is named."""
    where = printable(path) if line is None else f"{printable(path)}:{line}"
    return FleetError(f"{where}: {message}")


def printable(name: Path | str) -> str:
    """A name as one line of text: control characters and undecodable bytes are escaped."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
