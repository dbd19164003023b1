"""Small apps whose right verdict is easily missed: each was judged wrongly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_dora.checks.build import check_build
from pytest_dora.checks.registry import CheckSpec, evaluate
from pytest_dora.checks.runtime import check_runtime
from pytest_dora.model.app import App
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome
from pytest_dora.model.settings import Limits, Settings
from pytest_dora.runtime.session import AppSession, close_engines, open_session

BUILD = CheckSpec("build", check_build, "installs and builds")
RUNTIME = CheckSpec("runtime", check_runtime, "starts and answers")
SERVE = "require('http').createServer((q, r) => r.end('hello')).listen(process.env.PORT)"
Opener = Callable[[dict[str, str]], AppSession]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Opener]:
    opened: list[AppSession] = []

    def make(files: dict[str, str]) -> AppSession:
        folder = tmp_path / "app"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        limits = Limits(soak_seconds=0.3, start_seconds=20)
        settings = Settings(work=tmp_path / "work", limits=limits)
        opened.append(open_session(App(app_id="app", path=folder), settings, run_dir))
        return opened[-1]

    yield make
    for session in opened:
        session.close()
    close_engines()


def only(result: CheckResult, probe: str) -> Finding:
    found = [finding for finding in result.findings if finding.probe == probe]
    assert len(found) == 1, [finding.probe for finding in result.findings]
    return found[0]


def test_a_static_site_is_served_and_passes(app: Opener) -> None:
    session = app({"index.html": "<h1>hello, this is a page</h1>", "about.html": "<p>about</p>"})
    result = evaluate(RUNTIME, session)
    assert (result.outcome, result.reason) == (Outcome.PASSED, None), result.message
    assert session.server().request("/about.html").text == "<p>about</p>"
    assert only(result, "runtime.stand_in").outcome is FindingOutcome.PASS


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('import streamlit as st\nst.write("x"\n', "was never closed"),
        ("import streamlit as st\nimport no_such_package_here\n", "no_such_package_here"),
        ("from no_such_package_here.inner import thing\n", "no_such_package_here"),
    ],
)
def test_a_script_that_its_server_would_only_run_later_must_parse_and_find_its_imports(
    app: Opener, program: str, said: str
) -> None:
    result = evaluate(BUILD, app(streamlit(program)))
    assert (result.outcome, result.reason) == (Outcome.FAILED, "import_failed"), result.message
    assert said in result.message


@pytest.mark.parametrize(
    "program",
    [
        "try:\n    import no_such_package_here\nexcept ImportError:\n    pass\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import no_such_package_here\n",
        "import helper\nfrom pages import one\n",
        "def later():\n    import no_such_package_here\n",
    ],
)
def test_imports_that_may_be_missing_or_are_the_apps_own_are_no_failure(
    app: Opener, program: str
) -> None:
    result = evaluate(BUILD, app(streamlit(program)))
    assert result.outcome is Outcome.PASSED, result.message
    assert only(result, "build.start_file").outcome is FindingOutcome.PASS


def streamlit(program: str) -> dict[str, str]:
    """The layout of a Streamlit app; ``streamlit`` itself is a module of its own here, since
    nothing of it is run."""
    return {
        "app.yaml": 'command: ["streamlit", "run", "app.py"]\n',
        "requirements.txt": "\n",
        "app.py": program,
        "streamlit.py": "def write(text): ...\n",
        "helper.py": "",
        "pages/one.py": "",
    }


@pytest.mark.parametrize(
    ("build", "outcome"),
    [
        ("node -e 0", FindingOutcome.FAIL),
        ("mkdir -p made && date > made/page.html", FindingOutcome.PASS),
    ],
)
def test_a_build_that_leaves_nothing_is_told(
    app: Opener, build: str, outcome: FindingOutcome
) -> None:
    manifest = json.dumps({"name": "app", "scripts": {"build": build, "start": "node server.js"}})
    result = evaluate(BUILD, app({"package.json": manifest, "server.js": SERVE}))
    assert result.outcome is Outcome.PASSED, result.message
    assert only(result, "build.artefact").outcome is outcome


POETRY = {
    "pyproject.toml": """
[tool.poetry]
name = "leaflet"
version = "1.0.0"
package-mode = false

[tool.poetry.dependencies]
python = "^3.11"
iniconfig = "^2.0"

[tool.poetry.group.test.dependencies]
six = "1.16.0"
""",
    "poetry.lock": """
[[package]]
name = "iniconfig"
version = "2.0.0"
description = ""
optional = false
python-versions = ">=3.7"
groups = ["main"]
files = [
    {file = "iniconfig-2.0.0-py3-none-any.whl", hash = "sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374"},
]

[[package]]
name = "six"
version = "1.16.0"
description = ""
optional = false
python-versions = ">=2.7"
groups = ["test"]
files = [
    {file = "six-1.16.0-py2.py3-none-any.whl", hash = "sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"},
]

[metadata]
lock-version = "2.1"
python-versions = "^3.11"
content-hash = "7c560ade9b002d6ee4f5d1f3106a1ded645b07b389a7e4e4f9aa8eda93d452f5"
""",
    "app.py": "import iniconfig, http.server\n",
}


def test_poetrys_lockfile_decides_the_versions(app: Opener) -> None:
    session = app(POETRY)
    result = evaluate(BUILD, session)
    assert result.outcome is Outcome.PASSED, result.message
    assert only(result, "build.install").message == "poetry export"
    installed = {path.name for path in session.installed().root.glob(".venv/lib/*/site-packages/*")}
    assert {"iniconfig-2.0.0.dist-info", "six-1.16.0.dist-info"} <= installed
    assert "build.lockfile_frozen" not in {finding.probe for finding in result.findings}


def test_a_lockfile_of_poetry_that_does_not_fit_is_told(app: Opener) -> None:
    changed = POETRY["pyproject.toml"].replace('"^2.0"', '">=2.1"')
    result = evaluate(BUILD, app({**POETRY, "pyproject.toml": changed}))
    assert result.outcome is Outcome.PASSED, result.message
    assert only(result, "build.lockfile_frozen").outcome is FindingOutcome.FAIL


def test_a_project_of_poetry_without_a_lockfile_is_installed_as_it_says(app: Opener) -> None:
    session = app({name: text for name, text in POETRY.items() if name != "poetry.lock"})
    result = evaluate(BUILD, session)
    assert result.outcome is Outcome.PASSED, result.message
    installed = {path.name for path in session.installed().root.glob(".venv/lib/*/site-packages/*")}
    assert "six-1.16.0.dist-info" in installed
    assert any(name.startswith("iniconfig-2") for name in installed)


def test_a_worker_that_ends_is_told(app: Opener) -> None:
    session = app(
        {
            "package.json": '{"name": "app"}',
            "server.js": SERVE,
            "Procfile": "web: node server.js\nworker: sh -c 'echo no queue; exit 3'\n",
        }
    )
    result = evaluate(RUNTIME, session)
    assert result.outcome is Outcome.PASSED, result.message
    worker = only(result, "runtime.worker")
    assert worker.outcome is FindingOutcome.FAIL
    assert "no queue" in worker.message
