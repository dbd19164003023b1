"""A shell in an app's sandbox, exactly as a check had it: to act on a verdict, one must see it."""

from __future__ import annotations

import os
import select
import socket
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_dora.model.app import App
from pytest_dora.model.settings import Keep, Settings
from pytest_dora.runtime.session import AppSession, close_engines, open_session
from pytest_dora.runtime.stage import StageFailed
from pytest_dora.runtime.view import WorkspaceView

STAGES = ("installed", "tests", "built", "server")
_PORT = 3129
_CLIENT = """
import os, pty, select, socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
pid, master = pty.fork()
if pid == 0:
    os.execvp("bash" if os.path.exists("/bin/bash") else "sh", ["sh", "-i"])
sources = [sock, master]
while True:
    ready, _, _ = select.select(sources, [], [])
    if master in ready:
        try:
            data = os.read(master, 65536)
        except OSError:
            data = b""
        if not data:
            sys.exit(0)
        sock.sendall(data)
    if sock in ready:
        data = sock.recv(65536)
        if data:
            os.write(master, data)
        else:
            sources.remove(sock)
            os.write(master, b"\\x04")  # nothing more is typed: what runs may still print
"""


def open_shell(app_path: Path, stage: str, settings: Settings | None = None) -> int:
    """Reach a stage of one app and open a shell there; returns the exit status for the caller.

    A stage that cannot be reached opens the last one that can, and says why.
    """
    settings = settings or Settings(keep=Keep.NEVER)
    with tempfile.TemporaryDirectory(prefix="dora-shell-") as run_dir:
        session = open_session(
            App(app_id=app_path.resolve().name, path=app_path.resolve()), settings, Path(run_dir)
        )
        try:
            view = _reach(session, stage)
            if view is None:
                return 1
            return _attach(view)
        finally:
            session.close()
            close_engines()


def _reach(session: AppSession, stage: str) -> WorkspaceView | None:
    order = {
        "installed": (session.installed,),
        "tests": (session.tests_workspace, session.installed),
        "built": (session.built, session.installed),
        "server": (lambda: session.server().view, session.built, session.installed),
    }[stage]
    for reach in order:
        try:
            return reach()
        except StageFailed as failure:
            print(f"{failure.stage.value} is not reached: {failure.message}", file=sys.stderr)
    return None


def _attach(view: WorkspaceView) -> int:
    listener = view.sandbox.listen(_PORT)
    port = str(listener.getsockname()[1])
    process = view.spawn(
        ("python3", "-c", _CLIENT, port), env={"TERM": os.environ.get("TERM", "dumb")}, log="shell"
    )
    listener.settimeout(20)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        print(f"no shell was started: {process.log.tail()}", file=sys.stderr)
        return 3
    print(f"in the sandbox at {view.workdir}; leave with exit", file=sys.stderr)
    with connection, _raw_terminal():
        _pump(connection)
    return 0


def _pump(connection: socket.socket) -> None:
    sources: list[int | socket.socket] = [connection, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if connection in ready:
            data = connection.recv(65536)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if sys.stdin.fileno() in ready:
            typed = os.read(sys.stdin.fileno(), 65536)
            if typed:
                connection.sendall(typed)
            else:
                sources.remove(sys.stdin.fileno())
                connection.shutdown(socket.SHUT_WR)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    if not os.isatty(sys.stdin.fileno()):
        yield
        return
    before = termios.tcgetattr(sys.stdin.fileno())
    try:
        tty.setraw(sys.stdin.fileno())
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
