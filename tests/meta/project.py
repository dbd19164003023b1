"""Where things are in the repository, for the tests of the house itself."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pytest_dora"
DOCS = ROOT / "docs"


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def pages() -> list[Path]:
    """Every page that a reader may open, examples included."""
    return sorted(
        [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("README.md")]
    )


def rows(page: Path) -> list[str]:
    """What the first cells of the page's tables hold in backquotes, in their order."""
    return re.findall(r"^\| *`([^`]+)`", page.read_text(), re.MULTILINE)
