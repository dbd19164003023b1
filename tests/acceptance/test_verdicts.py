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
