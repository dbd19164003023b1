"""The example of delivery gives what its page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pytest_dora.cli import main
from tests.meta.project import DOCS, ROOT


def test_the_commands_of_the_page_print_what_stands_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "how-to" / "record-deployments.md").read_text().partition("## See it first")[2]
    typed, shown = re.findall(r"^```(?:sh)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[:2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in typed.splitlines():
        capsys.readouterr()
        assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out == shown
