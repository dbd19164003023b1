"""What the pages say is what the code does: options, reasons, checks, links, commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_dora.model.report import AppReport, Report
from pytest_dora.model.settings import Limits
from tests.meta.project import DOCS, PACKAGE, ROOT, pages, rows
from tests.meta.reasons import used_reasons

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"^  (--dora[a-z-]*)", re.MULTILINE)


def _help() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    assert sorted(rows(DOCS / "reference" / "options.md")) == sorted(set(_OPTION.findall(_help())))


def test_every_limit_is_documented_with_its_value() -> None:
    table = (DOCS / "reference" / "options.md").read_text().partition("## limits")[2]
    documented = dict(re.findall(r"^\| (\w+_?\w*) \| ([\d,]+) \|$", table, re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in documented.items()} == {
        name: float(value) for name, value in Limits().model_dump().items()
    }


def test_every_key_of_a_report_is_documented() -> None:
    page = (DOCS / "reference" / "report.md").read_text()
    top, _, rest = page.partition("## Apps")
    assert [name for name in Report.model_fields if f"`{name}" not in top] == []
    apps, _, _ = rest.partition("## Levels")
    assert [name for name in AppReport.model_fields if f"`{name}`" not in apps] == []


def test_every_reason_is_documented_and_every_documented_reason_is_used() -> None:
    documented = rows(DOCS / "reference" / "reasons.md")
    assert sorted(set(documented)) == sorted(documented), "a reason stands twice"
    assert sorted(documented) == sorted(used_reasons())


def test_every_check_has_its_section() -> None:
    from pytest_dora.checks.builtin import BUILTIN

    text = (DOCS / "reference" / "checks.md").read_text()
    sections = re.findall(r"^## `?([a-z]+)`?$", text, re.MULTILINE)
    assert sections == [spec.id for spec in BUILTIN]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target} is not there"
        if anchor:
            assert anchor in _anchors(file), f"{target}: no such heading"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_reached_from_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / target).resolve() for target in _LINK.findall(index) if "://" not in target}
    assert {page for page in DOCS.rglob("*.md") if page != DOCS / "README.md"} <= linked


def test_the_test_command_of_the_readme_is_the_one_that_ci_runs() -> None:
    commands = re.findall(r"^```sh\n(.+?)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) >= 2
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert commands[1] == ci[-1], "CI's last line is the second command of the README"


def test_the_project_speaks_of_no_machine_and_no_registry() -> None:
    text_of = {
        path: path.read_text()
        for folder in (PACKAGE, DOCS, ROOT / ".ci")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ""}
    }
    home = re.compile(r"/(?:root|work)/\.?\w")
    assert [str(path) for path, text in text_of.items() if home.search(text)] == []


def test_every_option_of_a_collector_is_documented_and_every_documented_one_exists() -> None:
    from pytest_dora.delivery.collecting import BUILTIN
    from pytest_dora.delivery.collectors import alertmanager, datadog, github, prometheus

    models = {
        "alertmanager": alertmanager.AlertmanagerOptions,
        "datadog": datadog.DatadogOptions,
        "github": github.Options,
        "prometheus": prometheus.PrometheusOptions,
    }
    text = (DOCS / "reference" / "collectors.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(BUILTIN)
    for name, model in models.items():
        cells = re.findall(r"^\| (`[^|]+) \|", sections[name], re.MULTILINE)
        told = [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]
        assert sorted(told) == sorted(model.model_fields), name
