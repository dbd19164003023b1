"""Which commands install a package, and which of them are trusted with the shared cache."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_dora.model.plan import Ecosystem, Manager, Package
from pytest_dora.runtime.install import CACHE, Attempt, Trust, attempts

_ECOSYSTEMS = {
    Manager.GO: Ecosystem.GO,
    Manager.COMPOSER: Ecosystem.PHP,
    **dict.fromkeys((Manager.UV, Manager.PIP, Manager.POETRY), Ecosystem.PYTHON),
}
_LOCKS = {
    Manager.NPM: "package-lock.json",
    Manager.BUN: "bun.lock",
    Manager.PNPM: "pnpm-lock.yaml",
    Manager.YARN: "yarn.lock",
    Manager.UV: "uv.lock",
    Manager.POETRY: "poetry.lock",
    Manager.GO: "go.sum",
    Manager.COMPOSER: "composer.lock",
}
NODE = [Manager.NPM, Manager.BUN, Manager.PNPM, Manager.YARN]


def package(manager: Manager, *, lock: bool = True, **more: object) -> Package:
    return Package.model_validate(
        {
            "ecosystem": _ECOSYSTEMS.get(manager, Ecosystem.NODE),
            "manager": manager,
            "lockfile": _LOCKS.get(manager) if lock else None,
            "source": "x",
            **more,
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "go.mod").write_text("module x\nrequire y v1.0.0\n")
    return tmp_path


def every_command(found: tuple[Attempt, ...]) -> list[tuple[Trust, str]]:
    return [(one.trust, " ".join(one.argv)) for attempt in found for one in attempt.commands]


@pytest.mark.parametrize("manager", list(Manager))
def test_no_command_that_may_run_code_of_the_app_knows_the_cache(
    manager: Manager, root: Path
) -> None:
    (root / "package.json").write_text(
        json.dumps({"scripts": {"postinstall": "x", "prepare": "y"}})
    )
    for lock in (True, False):
        wanted = package(
            manager, lock=lock, manifests=("requirements.txt",), installs_project=True,
            extra_requirements=("gunicorn",),
        )  # fmt: skip
        found = attempts(wanted, root, "/usr/bin/python3")
        assert found
        for attempt in found:
            for command in attempt.commands:
                words = (*command.argv, *command.env.values())
                knows = any(CACHE in word for word in words)
                assert not knows or command.trust is Trust.FETCH, command


@pytest.mark.parametrize("manager", NODE)
def test_a_fetch_of_node_packages_runs_no_scripts(manager: Manager, root: Path) -> None:
    fetches = [
        command
        for lock in (True, False)
        for trust, command in every_command(attempts(package(manager, lock=lock), root, None))
        if trust is Trust.FETCH
    ]
    assert fetches
    assert all(" --ignore-scripts" in command for command in fetches)


@pytest.mark.parametrize("manager", [Manager.UV, Manager.PIP, Manager.POETRY])
def test_a_fetch_of_python_packages_builds_nothing(manager: Manager, root: Path) -> None:
    wanted = package(
        manager, manifests=("requirements.txt",), installs_project=True, extra_requirements=("x",)
    )
    for attempt in attempts(wanted, root, "/usr/bin/python3"):
        fetches = [one.argv for one in attempt.commands if one.trust is Trust.FETCH]
        for argv in fetches:
            assert argv[:2] in {("rm", "-rf"), ("uv", "venv")} or "--no-build" in argv


@pytest.mark.parametrize("manager", [Manager.UV, Manager.PIP, Manager.POETRY])
def test_a_trusted_uv_never_meets_an_environment_that_something_was_installed_into(
    manager: Manager, root: Path
) -> None:
    """uv runs the environment's interpreter, which runs what is installed there."""
    wanted = package(
        manager, manifests=("requirements.txt",), installs_project=True, extra_requirements=("x",)
    )
    for attempt in attempts(wanted, root, "/usr/bin/python3"):
        begin = [command.argv[:2] for command in attempt.commands].index(("rm", "-rf"))
        assert attempt.commands[begin + 1].argv[:2] == ("uv", "venv")
        assert all(command.trust is Trust.SCRIPTS for command in attempt.commands[:begin])
        trusts = [command.trust for command in attempt.commands[begin + 2 :]]
        assert Trust.FETCH not in trusts[1:], attempt.name


@pytest.mark.parametrize(
    "manager",
    [Manager.NPM, Manager.BUN, Manager.PNPM, Manager.YARN, Manager.UV, Manager.POETRY],
)
def test_the_lockfile_decides_first(manager: Manager, root: Path) -> None:
    found = attempts(package(manager, manifests=("pyproject.toml",)), root, "python3")
    assert found[0].frozen
    assert any(
        any(word in command for word in ("--frozen", "npm ci", "poetry export"))
        for _, command in every_command(found[:1])
    )
    without = attempts(package(manager, lock=False, manifests=("pyproject.toml",)), root, "python3")
    assert not any(attempt.frozen for attempt in without)


def test_the_apps_own_lifecycle_scripts_run_in_npms_order(root: Path) -> None:
    scripts = dict.fromkeys(("prepare", "build", "postinstall", "install", "preinstall"), "x")
    (root / "package.json").write_text(json.dumps({"scripts": scripts}))
    (attempt,) = attempts(package(Manager.BUN, lock=False), root, None)
    assert [command.argv for command in attempt.commands[1:]] == [
        ("bun", "run", name) for name in ("preinstall", "install", "postinstall", "prepare")
    ]


def test_scripts_that_a_rebuild_runs_are_not_run_twice(root: Path) -> None:
    scripts = dict.fromkeys(("prepare", "postinstall", "install", "preinstall"), "x")
    (root / "package.json").write_text(json.dumps({"scripts": scripts}))
    (attempt,) = attempts(package(Manager.NPM, lock=False), root, None)
    assert [command.argv[1:3] for command in attempt.commands[1:]] == [
        ("rebuild", "--no-audit"),
        ("run", "prepare"),
    ]


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"scripts": []}',
        b'{"scripts": {"install": 1}}',
        b"\xff",
        b"[" * 10**5,
    ],
)
def test_a_broken_manifest_has_no_scripts(root: Path, manifest: bytes) -> None:
    (root / "package.json").write_bytes(manifest)
    (attempt,) = attempts(package(Manager.BUN, lock=False), root, None)
    assert len(attempt.commands) == 1


def test_a_manifest_that_leads_out_is_not_read(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "package.json"
    outside.write_text('{"scripts": {"install": "x"}}')
    (root / "package.json").symlink_to(outside)
    (attempt,) = attempts(package(Manager.BUN, lock=False), root, None)
    assert len(attempt.commands) == 1


@pytest.mark.parametrize(
    ("manager", "name", "content"),
    [
        (Manager.YARN, ".yarnrc", 'yarn-path "./evil.js"\n'),
        (Manager.YARN, ".yarnrc", "--install.ignore-scripts false\n"),
        (Manager.BUN, "bunfig.toml", '[install.security]\nscanner = "./evil.ts"\n'),
    ],
)
def test_settings_that_make_an_install_run_code_cost_the_trust(
    root: Path, manager: Manager, name: str, content: str
) -> None:
    (root / name).write_text(content)
    found = every_command(attempts(package(manager), root, None))
    assert found
    assert {trust for trust, _ in found} == {Trust.SCRIPTS}


def test_a_yarnrc_that_is_no_file_costs_the_trust_as_well(root: Path) -> None:
    os.symlink("/nowhere", root / ".yarnrc")
    found = every_command(attempts(package(Manager.YARN), root, None))
    assert {trust for trust, _ in found} == {Trust.SCRIPTS}


def test_the_rewrite_of_yarn_is_never_trusted(root: Path) -> None:
    found = every_command(attempts(package(Manager.YARN, manager_version="4.1.0"), root, None))
    assert {trust for trust, _ in found} == {Trust.SCRIPTS}


def test_what_the_image_installs_is_installed_with_the_rest(root: Path) -> None:
    wanted = package(
        Manager.PIP, manifests=("requirements.txt",), extra_requirements=("gunicorn==23",)
    )
    for attempt in attempts(wanted, root, "python3"):
        assert any("gunicorn==23" in command.argv for command in attempt.commands), attempt.name


def test_a_package_without_dependencies_needs_nothing(root: Path) -> None:
    assert attempts(package(Manager.PIP), root, "python3") == ()
    (root / "go.mod").write_text("module x\n")
    assert attempts(package(Manager.GO), root, None) == ()
