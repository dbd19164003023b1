"""What lies in an app configures nothing, is imported by nobody, and is not written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.plugin.project import FAKE, Project

_EVIL = "import pathlib\npathlib.Path({mark!r}).write_text('imported')\n"


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def evil(project: Project) -> Path:
    """An app whose every Python file leaves a mark when it is imported."""
    folder = project.app("test-shop")
    (folder / "tests").mkdir()
    for name in ("conftest.py", "test_it.py", "__init__.py", "setup.py", "tests/conftest.py"):
        (folder / name).write_text(_EVIL.format(mark=str(project.root / "MARK")))
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'shop'\n[tool.pytest-dora]\nstrict = true\nlimits = 'bad'\n"
    )
    return folder


@pytest.mark.parametrize(
    ("given", "cwd", "mode"),
    [
        ("apps", ".", ()),
        ("apps/test-shop", ".", ()),
        (".", "apps", ()),
        ("test-shop", "apps", ("-n", "1")),
    ],
)
def test_nothing_of_an_app_is_imported_and_nothing_written(
    project: Project, evil: Path, given: str, cwd: str, mode: tuple[str, ...]
) -> None:
    before = _tree(evil)
    ran = project.run(given, *FAKE, *mode, "--dora-output", str(project.root / ".dora"),
                      cwd=project.root / cwd)  # fmt: skip
    assert ran.status == 0, ran.text
    assert "3 passed" in ran.text
    assert not (project.root / "MARK").exists()
    assert _tree(evil) == before


def test_a_manifest_of_an_app_does_not_move_the_root(project: Project, evil: Path) -> None:
    (project.root / "pytest.ini").unlink()
    ran = project.run("apps/test-shop", *FAKE)
    assert ran.status == 0, ran.text
    assert f"rootdir: {project.root}\n" in ran.text
    assert "configfile" not in ran.text
    assert sorted(ran.outcomes) == ["test-shop"]
    assert not (evil / ".pytest_cache").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytest.ini", "[pytest]\naddopts = --dora-strict\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = ''\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_a_configuration_in_a_given_app_ends_the_run_with_4(
    project: Project, name: str, content: str
) -> None:
    folder = project.app("shop")
    (project.root / "pytest.ini").unlink()
    (folder / name).write_text(content)
    ran = project.run("apps/shop", *FAKE)
    assert ran.status == 4, ran.text
    assert f"{folder / name} lies inside {folder}" in ran.text
    assert "`pytest-dora run PATH`" in ran.text
    assert not project.asked


def test_a_configuration_deeper_in_a_folder_of_apps_is_not_met(project: Project) -> None:
    folder = project.app("shop")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p evil\n")
    assert project.run("apps", *FAKE).status == 0


@pytest.mark.parametrize("given", [".", "..", "../../fleet.toml"])
def test_inside_an_app_nothing_is_run_or_written(project: Project, given: str) -> None:
    folder = project.app("shop")
    (project.root / "pytest.ini").unlink()
    (project.root / "fleet.toml").write_text('[[app]]\npath = "apps/shop"\nid = "shop"\n')
    ran = project.run(given, *FAKE, "-p", "pytest_randomly", "--rootdir", ".", cwd=folder)
    assert ran.status == 4
    assert "lies inside the app" in ran.text
    assert sorted(path.name for path in folder.iterdir()) == ["answers.json", "index.html"]


def test_tests_of_an_app_are_no_arguments(project: Project, evil: Path) -> None:
    ran = project.run("apps", "apps/test-shop/test_it.py", *FAKE)
    assert ran.status == 4
    assert "an app's own tests are never run by this process" in ran.text
    assert not (project.root / "MARK").exists()


def test_a_fleet_file_inside_an_app_is_not_trusted(project: Project) -> None:
    folder = project.app("shop")
    (folder / "fleet.toml").write_text('[[app]]\npath = "."\nid = "shop"\n')
    ran = project.run("apps/shop/fleet.toml", *FAKE)
    assert ran.status == 4
    assert "the fleet file, lies inside the app" in ran.text


def test_ordinary_tests_run_beside_the_apps_with_their_own_conftest(project: Project) -> None:
    project.app("shop")
    tests = project.root / "checks"
    tests.mkdir()
    (tests / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef word():\n    return 'own'\n"
    )
    (tests / "test_more.py").write_text(
        "def test_own(word):\n    assert word == 'own'\n"
        "def test_app(dora_app):\n"
        "    assert dora_app.app.app_id == dora_app.path.name == 'shop'\n"
        "    assert dora_app.plan.recognised\n"
    )
    for mode in ((), ("-n", "2")):
        ran = project.run("apps", "checks/test_more.py", *FAKE, *mode)
        assert ran.status == 0, ran.text
        assert "5 passed" in ran.text
        assert set(ran.outcomes) == {"shop"}


def test_without_the_switch_dora_app_is_a_skip(project: Project) -> None:
    (project.root / "test_more.py").write_text(
        "def test_app(dora_app):\n    raise AssertionError\n"
    )
    argv = project.argv("test_more.py", "-rs")
    argv.remove("--dora")
    import subprocess

    done = subprocess.run(argv, cwd=project.root, env=project.environment(), text=True,
                          capture_output=True, check=False, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "dora_app needs --dora" in done.stdout
