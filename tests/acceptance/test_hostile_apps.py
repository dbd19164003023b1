"""Apps that misbehave: each gets the right verdict, and none leaves a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_dora.checks.build import check_build
from pytest_dora.checks.registry import CheckSpec, evaluate
from pytest_dora.checks.runtime import check_runtime
from pytest_dora.model.app import App
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Limits, SandboxMode, Settings
from pytest_dora.runtime.sandbox.select import self_test
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.session import AppSession, close_engines, open_session

BUILD = CheckSpec("build", check_build, "installs and builds")
RUNTIME = CheckSpec("runtime", check_runtime, "starts and answers")
SERVE = """
import http.server, os, signal, socket, subprocess, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"hello")

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

def serve(handler=Handler, address="127.0.0.1", family=socket.AF_INET):
    Server.address_family = family
    Server((address, int(os.environ["PORT"])), handler).serve_forever()
"""


@dataclass
class Bench:
    """Makes apps of one Python file, and asks the engine what it thinks of them."""

    folder: Path
    mark: str
    sessions: list[AppSession]

    def app(self, program: str, more: dict[str, str] | None = None, **limits: float) -> AppSession:
        app = self.folder / "app"
        # the mark is an argument of every process of the app, so that they are found from outside
        files = {
            "server.py": f"{SERVE}\nMARK = {self.mark!r}\n{textwrap.dedent(program)}",
            "Procfile": f"web: python3 server.py {self.mark}\n",
            "requirements.txt": "\n",
            **(more or {}),
        }
        for name, text in files.items():
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            (app / name).write_text(text)
        settings = Settings(
            sandbox=SandboxMode.BUBBLEWRAP,
            work=self.folder / "work",
            limits=Limits.model_validate(
                {"soak_seconds": 0.3, "start_seconds": 8, "install_seconds": 60, **limits}
            ),
        )
        run_dir = self.folder / "run"
        run_dir.mkdir(exist_ok=True)
        session = open_session(App(app_id="hostile", path=app), settings, run_dir)
        self.sessions.append(session)
        return session

    def runtime(self, program: str, **more: float) -> CheckResult:
        return evaluate(RUNTIME, self.app(program, None, **more))

    def left_behind(self) -> list[str]:
        """Processes of this machine that carry the mark in their arguments."""
        found: list[str] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if self.mark in words:
                    found.append(words)
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Bench(tmp_path, f"dora-mark-{os.getpid()}-{time.monotonic_ns()}", [])
    try:
        yield made
    finally:
        for session in made.sessions:
            session.close()
        close_engines()
    assert made.left_behind() == []


def verdict(result: CheckResult) -> tuple[str, str | None]:
    return result.outcome.value, result.reason


def log_of(bench: Bench, result: CheckResult) -> str:
    assert result.log is not None
    return (bench.folder / "run" / result.log).read_text(errors="replace")


# --- well enough ----------------------------------------------------------------------------


def test_an_honest_app_passes_and_its_processes_are_seen_by_the_counter(bench: Bench) -> None:
    session = bench.app("serve()")
    result = evaluate(RUNTIME, session)
    assert verdict(result) == ("passed", None), result.message
    assert bench.left_behind(), "the counter counts nothing"
    session.close()
    assert bench.left_behind() == []


def test_daemons_end_with_their_app(bench: Bench) -> None:
    result = bench.runtime("""
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                for number in (1, 2, 15):
                    signal.signal(number, signal.SIG_IGN)
                os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", MARK])
        serve()
    """)
    assert verdict(result) == ("passed", None), result.message
    assert len(bench.left_behind()) >= 4, "no daemon was started"


def test_an_app_that_serves_from_a_daemon_of_its_own_is_no_running_app(bench: Bench) -> None:
    """Nothing supervises such a daemon: to an operator the process has ended."""
    result = bench.runtime("""
        if os.fork() == 0:
            os.setsid()
            serve()
    """)
    assert result.outcome is Outcome.FAILED, result.message
    assert result.reason in {"exited_unbound", "died"}  # as it happens to answer before or after


def test_an_app_that_ignores_sigterm_is_ended_all_the_same(bench: Bench) -> None:
    session = bench.app("""
        for number in range(1, 32):
            if number not in (9, 17, 19):
                signal.signal(number, signal.SIG_IGN)
        serve()
    """)
    assert verdict(evaluate(RUNTIME, session)) == ("passed", None)
    clock = time.perf_counter()
    session.close()
    assert time.perf_counter() - clock < 10


def test_output_without_end_costs_no_disk_and_no_verdict(bench: Bench) -> None:
    result = bench.runtime("""
        def spam():
            while True:
                os.write(1, b"spam " * 20000)
                time.sleep(0.002)
        threading.Thread(target=spam, daemon=True).start()
        serve()
    """, log_bytes=200_000)  # fmt: skip
    assert verdict(result) == ("passed", None), result.message
    for session in bench.sessions:
        session.close()
    assert len(log_of(bench, result)) < 250_000
    assert "bytes left out" in log_of(bench, result)


def test_an_app_on_the_other_loopback_is_found(bench: Bench) -> None:
    result = bench.runtime('serve(address="::1", family=socket.AF_INET6)')
    assert verdict(result) == ("passed", None), result.message


def test_an_app_that_fails_first_and_answers_later_is_waited_for(bench: Bench) -> None:
    result = bench.runtime("""
        began = time.monotonic()
        class Late(Handler):
            def do_GET(self):
                late = time.monotonic() > began + 1.5
                self.answer(200 if late else 500, b"ready" if late else b"not yet")
        serve(Late)
    """)
    assert verdict(result) == ("passed", None), result.message
    assert result.measurements["status"] == 200


@pytest.mark.parametrize("target", ["/login", "http://evil.example/", "//evil.example", "/"])
def test_a_redirect_is_an_answer_and_is_not_followed(bench: Bench, target: str) -> None:
    result = bench.runtime(f"""
        class Redirect(Handler):
            def do_GET(self):
                print("asked for", self.path, flush=True)
                self.answer(302, Location={target!r})
        serve(Redirect)
    """)
    assert verdict(result) == ("passed", None), result.message
    assert result.measurements["status"] == 302
    assert "asked for /login" not in log_of(bench, result)


def test_what_an_app_prints_is_data(bench: Bench) -> None:
    result = bench.runtime(r"""
        sys.stdout.write("\x1b[2J\x1b]0;owned\x07\r::error file=x::evil\n::set-output name=a::b\n")
        sys.stdout.write("##vso[task.complete result=Succeeded]\u202e\n\x00\x08")
        sys.stdout.flush()
        raise SystemExit("Error: \x1b[31mred \x1b]8;;http://evil\x07link\u202e")
    """)
    assert result.outcome is Outcome.FAILED
    told = json.dumps(result.model_dump(mode="json"), ensure_ascii=False)
    assert not re.search(r"\\u001b|\\u0007|[\x00-\x08\x0b-\x1f\x7f\u202e]", told)
    assert result.message.startswith("web exited with status 1: ")
    log = log_of(bench, result)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", log)


# --- not well enough ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "reason", "said"),
    [
        ("time.sleep(600)", "no_port", "no port was opened"),
        ("print('done')", "exited_unbound", "status 0"),
        ("sys.exit(3)", "exited", "status 3"),
        ("print('starting'); raise RuntimeError('boom')", "exited", "RuntimeError: boom"),
        ("raise KeyError('DATABASE_URL')", "env_missing", "DATABASE_URL"),
        ("os.kill(os.getpid(), 11)", "exited", "signal 11"),
        ("os.killpg(0, 9)", "exited", "signal 9"),
        ("os.fork() and time.sleep(600); os.kill(-1, 9)", "exited", "signal 9"),
        (
            ("sock = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
            "sock.accept()[0].send(b'SSH-2.0-x\\r\\n')\n"
            "time.sleep(600)"),
            "no_http",
            "nothing on it answers HTTP",
        ),
        (
            ("sock = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
            "time.sleep(1); sys.exit(4)"),
            "exited",
            "status 4",
        ),
        (
            ("class Broken(Handler):\n"
            "    def do_GET(self): self.answer(503)\n"
            "serve(Broken)"),
            "http_5xx",
            "answers 503",
        ),
        (
            ("kept = []\n"
            "while True: kept.append(bytearray(b'x' * 4_000_000))"),
            "killed_memory",
            "too much memory",
        ),
    ],
    ids=["never-binds", "exits-0", "exits-3", "raises", "lacks-a-variable", "segfault", "kills-its-group",
         "kills-everything", "no-http", "binds-and-dies", "always-503", "eats-memory"],
)  # fmt: skip
def test_an_app_that_does_not_serve_fails_with_its_reason(
    bench: Bench, program: str, reason: str, said: str
) -> None:
    seconds = 2.5 if reason in {"no_port", "no_http"} else 15  # only these use all of them
    result = bench.runtime(program, start_seconds=seconds, memory_bytes=300 * 2**20)
    assert verdict(result) == ("failed", reason), result.message
    assert said in result.message


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ("os._exit(5)", "status 5"),
        ("os._exit(0)", "status 0"),
        ("os.killpg(0, 9)", "status -9"),
        ("kept = [bytearray(b'x' * 4_000_000) for _ in range(1000)]", "too much memory"),
    ],
)
def test_an_app_that_answers_once_and_dies_has_died(bench: Bench, death: str, said: str) -> None:
    result = bench.runtime(
        f"""
        def die():
            time.sleep(0.4)
            {death}
        class Once(Handler):
            def do_GET(self):
                self.answer(200)
                threading.Thread(target=die).start()
        serve(Once)
        """,
        soak_seconds=4,
        memory_bytes=300 * 2**20,
    )
    assert verdict(result) == ("failed", "died"), result.message
    assert said in result.message


def test_an_app_that_hangs_after_its_first_answer_is_not_alive(bench: Bench) -> None:
    result = bench.runtime("""
        class Once(Handler):
            asked = 0
            def do_GET(self):
                Once.asked += 1
                if Once.asked > 1:
                    self.answer(500)
                self.answer(200)
        serve(Once)
    """)
    assert verdict(result) == ("failed", "died"), result.message


def test_a_fork_bomb_is_bounded(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root every process of the tester counts against the limit")
    result = bench.runtime("""
        while True:
            try:
                if os.fork() == 0:
                    signal.signal(15, signal.SIG_IGN)
            except OSError:
                time.sleep(0.1)
    """, processes=60, start_seconds=3)  # fmt: skip
    assert result.outcome is Outcome.FAILED, result.message


# --- where the tree is mounted --------------------------------------------------------------


@pytest.mark.parametrize("workdir", ["/usr", "/", "/tmp", "/app/../usr", "//usr", "relative"])
def test_no_workdir_hides_the_system(bench: Bench, workdir: str) -> None:
    """Whatever the image says, the tools are where they were, and the app starts."""
    dockerfile = f"""\
        FROM python:3.12
        WORKDIR {workdir}
        COPY . .
        CMD ["python3", "server.py", "{bench.mark}"]
        """
    session = bench.app("serve()", more={"Dockerfile": textwrap.dedent(dockerfile)})
    built = evaluate(BUILD, session)
    assert verdict(built) == ("passed", None), built.message
    result = evaluate(RUNTIME, session)
    assert verdict(result) == ("passed", None), result.message


# --- node -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        ("require('http').createServer((q, a) => a.end('hi')).listen(process.env.PORT)", "passed", None),
        ("require('http').createServer((q, a) => a.end('hi')).listen(process.env.PORT, '::1')", "passed", None),
        (("require('http').createServer((q, a) => { a.writeEarlyHints({link: '</x>; rel=preload'});"
         " a.statusCode = 500; a.end() }).listen(process.env.PORT)"), "failed", "http_5xx"),
        ("require('no-such-module')", "failed", "exited"),
        ("throw new Error('SESSION_SECRET is not set')", "failed", "env_missing"),
        ("process.on('SIGTERM', () => {}); setInterval(() => {}, 1e3)", "failed", "no_port"),
        (("require('child_process').spawn(process.execPath, ['-e', 'setInterval(()=>{},1e3)', MARK],"
         " {detached: true, stdio: 'ignore'}).unref(); process.exit(1)"), "failed", "exited"),
    ],
    ids=["honest", "ipv6", "early-hints-then-500", "no-module", "no-variable", "never-binds", "detached"],
)  # fmt: skip
def test_apps_of_node_are_judged_the_same(
    bench: Bench, program: str, outcome: str, reason: str | None
) -> None:
    app = bench.folder / "app"
    app.mkdir()
    manifest = {
        "name": "a",
        "version": "1.0.0",
        "scripts": {"start": f"node server.js {bench.mark}"},
    }
    (app / "package.json").write_text(json.dumps(manifest))
    (app / "server.js").write_text(f"const MARK = '{bench.mark}'\n{program}\n")
    session = bench.app("", start_seconds=2.5 if reason == "no_port" else 15)
    for name in ("server.py", "Procfile", "requirements.txt"):
        (app / name).unlink()
    result = evaluate(RUNTIME, session)
    assert verdict(result) == (outcome, reason), result.message
