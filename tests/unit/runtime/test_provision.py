"""Package managers are fetched from the real registries, once, and run in a real sandbox."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_dora.model.plan import Ecosystem, Manager, Package
from pytest_dora.runtime.host import Host, Ran, Toolchain
from pytest_dora.runtime.javascript import find_node, find_npm
from pytest_dora.runtime.provision import (
    NpmTool,
    _bun_package,
    _registry_settings,
    bun_tool,
    pnpm_tool,
    provision_npm,
    yarn_tool,
)
from pytest_dora.runtime.sandbox.box import Sandbox, app_uid
from pytest_dora.runtime.sandbox.spec import Completed, Mount, SandboxSpec
from pytest_dora.runtime.toolchains import Toolchains, ToolMissing


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here, as a user has one for all apps."""
    return tmp_path_factory.mktemp("cache")


def package(manager: Manager, **values: object) -> Package:
    ecosystem = Ecosystem.PYTHON if manager is Manager.POETRY else Ecosystem.NODE
    return Package.model_validate(
        {"ecosystem": ecosystem, "manager": manager, "source": "a test", **values}
    )


def in_sandbox(tools: Sequence[Toolchain], workspace: Path, *argv: str) -> Completed:
    mounts = [Mount(path, str(path)) for path in {one for tool in tools for one in tool.mounts}]
    mounts.append(Mount(workspace, "/app", writable=True))
    workspace.chmod(0o755)
    uid = app_uid("tools")
    if uid is not None:
        for one in (workspace, *workspace.iterdir()):
            os.chown(one, uid, uid)
    path = ":".join(str(folder) for tool in tools for folder in tool.bin_dirs)
    env = {"PATH": f"{path}:/usr/bin:/bin", "HOME": "/tmp"}
    env |= {name: value for tool in tools for name, value in tool.env}
    with Sandbox.open(SandboxSpec("tools", tuple(mounts), env)) as sandbox:
        return sandbox.run(argv, cwd="/app", timeout=60)


@pytest.mark.parametrize(
    ("manager", "pin"),
    [
        (Manager.PNPM, "9.15.0"),
        (Manager.PNPM, "8.15.9"),
        (Manager.YARN, "1.22.22"),
        (Manager.YARN, "4.5.0"),
        (Manager.BUN, "1.2.3"),
    ],
)
def test_the_pinned_version_runs_in_a_sandbox_without_network(
    cache: Path, tmp_path: Path, manager: Manager, pin: str
) -> None:
    # a manager that switched to another version of itself would have to fetch it, and fail
    (tmp_path / "package.json").write_text(
        f'{{"name": "a", "packageManager": "{manager.value}@{pin}", "scripts": {{"hi": "echo hi"}}}}'
    )
    environ = {**os.environ, "PATH": "/usr/bin:/bin"}
    tools = Toolchains(cache, environ=environ).resolve(package(manager, manager_version=pin))
    assert tools[-1].version == pin
    assert "npm registry" in tools[-1].source
    assert in_sandbox(tools, tmp_path, manager.value, "--version").output.strip() == pin
    assert in_sandbox(tools, tmp_path, manager.value, "install").ok
    said = in_sandbox(tools, tmp_path, manager.value, "run", "hi")
    assert said.ok, said.output
    assert "hi" in said.output.splitlines()


def test_a_manager_of_the_same_major_does_not_switch_to_the_pin(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text(
        '{"name": "a", "packageManager": "pnpm@10.1.0", "scripts": {"hi": "echo hi"}}'
    )
    tools = Toolchains(cache).resolve(package(Manager.PNPM))
    assert tools[-1].version.startswith("10.")
    assert tools[-1].version != "10.1.0"
    assert in_sandbox(tools, tmp_path, "pnpm", "--version").output.strip() == tools[-1].version


def test_a_version_that_no_registry_has_gives_the_nearest_of_its_major(cache: Path) -> None:
    found = Toolchains(cache).resolve(package(Manager.PNPM, manager_version="9.999.0"))[-1]
    assert found.version.startswith("9.")
    assert found.source.endswith("as 9.999.0")


def test_poetry_is_fetched_and_exports_a_lockfile(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "a"\nversion = "1"\npackage-mode = false\n'
        '[tool.poetry.dependencies]\npython = "^3.10"\n'
    )
    tools = Toolchains(cache).resolve(
        package(Manager.POETRY, runtime_requires="^3.10", lockfile="poetry.lock")
    )
    assert [tool.name for tool in tools] == ["python", "uv", "poetry"]
    done = in_sandbox(tools, tmp_path, "poetry", "check")
    assert done.ok, done.output
    listed = in_sandbox(tools, tmp_path, "poetry", "export", "--help")
    assert "requirements" in listed.output


@pytest.fixture
def npm(tmp_path: Path) -> Toolchain:
    host = Host(tmp_path / "no-cache")
    return find_npm(host, find_node(host, None))


def test_a_registry_out_of_reach_is_a_missing_tool_with_the_line_to_type(
    tmp_path: Path, npm: Toolchain
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    environ = {**os.environ, "npm_config_registry": closed, "HOME": str(tmp_path)}
    host = Host(tmp_path / "cache", environ=environ)
    with pytest.raises(ToolMissing) as caught:
        provision_npm(host, pnpm_tool(9), "9.15.0", npm)
    assert caught.value.tool == "pnpm"
    assert caught.value.way_out == "npm install --global pnpm@9.15.0"
    assert [path.name for path in (tmp_path / "cache/tools").iterdir()] == [".pnpm.lock"]


def published(staging: Path, version: str) -> None:
    folder = staging / "node_modules/pnpm"
    (folder / "bin").mkdir(parents=True)
    (folder / "package.json").write_text(f'{{"name": "pnpm", "version": "{version}"}}')
    for name in ("pnpm.cjs", "pnpx.cjs"):
        (folder / "bin" / name).write_text("")


def test_many_at_once_fetch_once_and_all_find_it_whole(tmp_path: Path, npm: Toolchain) -> None:
    fetched: list[Sequence[str]] = []

    def run(argv: Sequence[str], _env: object, cwd: Path, _timeout: float) -> Ran:
        fetched.append(argv)
        published(cwd, "9.1.0")
        return Ran(0, "", "")

    host = Host(tmp_path / "cache", run)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: provision_npm(host, pnpm_tool(9), "9", npm), range(8)))
    assert found == {tmp_path / "cache/tools/pnpm-9.1.0"}
    assert len(fetched) == 1
    assert "--ignore-scripts" in fetched[0]
    (folder,) = found
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert os.access(folder / "bin/pnpm", os.X_OK)


def test_a_version_in_the_cache_needs_no_registry(tmp_path: Path, npm: Toolchain) -> None:
    for version in ("9.1.0", "9.15.0", "10.2.0", "9.2.0-junk+no"):
        (tmp_path / "cache/tools" / f"pnpm-{version}").mkdir(parents=True)
    host = Host(tmp_path / "cache", lambda *_: Ran(1, "", "offline"))
    assert provision_npm(host, pnpm_tool(9), "9", npm).name == "pnpm-9.15.0"
    assert provision_npm(host, pnpm_tool(9), "latest", npm).name == "pnpm-10.2.0"
    assert provision_npm(host, pnpm_tool(9), "9.1.0", npm).name == "pnpm-9.1.0"


@pytest.mark.parametrize("wanted", ["9.15.0 --before=2000", "../x", "npm:evil@1.0.0", "^9", ""])
def test_what_is_no_version_reaches_no_command_line(
    tmp_path: Path, npm: Toolchain, wanted: str
) -> None:
    asked: list[object] = []

    def run(argv: Sequence[str], *_: object) -> Ran:
        asked.append(argv)
        return Ran(0, "", "")

    host = Host(tmp_path / "cache", run)
    with pytest.raises(ToolMissing):
        provision_npm(host, pnpm_tool(9), wanted, npm)
    assert asked == []


def test_only_what_says_where_the_registry_is_is_taken_from_the_caller(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "registry=https://npm.example/\n//npm.example/:_authToken=${TOKEN}\ncafile=/etc/ca.pem\n"
        "@oven:registry = https://bun.example/\n@mine:registry=https://mine.example/\n"
        "ignore-scripts=false\nprefix=/somewhere\nscript-shell=/bin/evil\nproxy=http://p:1\n"
    )
    settings = _registry_settings(Host(tmp_path, environ={"HOME": str(tmp_path)}))
    assert settings.splitlines() == [
        "registry=https://npm.example/",
        "//npm.example/:_authToken=${TOKEN}",
        "cafile=/etc/ca.pem",
        "@oven:registry = https://bun.example/",
        "proxy=http://p:1",
    ]


@pytest.mark.parametrize(
    ("machine", "flags", "musl", "expected"),
    [
        ("x86_64", {"avx", "avx2"}, False, "@oven/bun-linux-x64"),
        ("x86_64", {"avx"}, False, "@oven/bun-linux-x64-baseline"),
        ("x86_64", {"avx2"}, True, "@oven/bun-linux-x64-musl"),
        ("x86_64", set(), True, "@oven/bun-linux-x64-musl-baseline"),
        ("aarch64", set(), False, "@oven/bun-linux-aarch64"),
    ],
)
def test_the_package_with_the_binary_that_this_processor_runs(
    machine: str, flags: set[str], musl: bool, expected: str
) -> None:
    assert _bun_package(machine, frozenset(flags), musl=musl) == expected


def test_a_machine_without_bun_is_a_missing_tool() -> None:
    with pytest.raises(ToolMissing, match="riscv64"):
        _bun_package("riscv64", frozenset(), musl=False)


@pytest.mark.parametrize(
    "tool", [bun_tool(), pnpm_tool(9), pnpm_tool(11), yarn_tool(1), yarn_tool(4)]
)
def test_every_tool_offers_the_command_of_its_name(tool: NpmTool) -> None:
    assert tool.name in tool.commands
