"""Hostile programs in real sandboxes: what they try, and that it does not work."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_dora.runtime.output import Log
from pytest_dora.runtime.sandbox.box import Sandbox, app_uid
from pytest_dora.runtime.sandbox.select import self_test
from pytest_dora.runtime.sandbox.spec import Bounds, Mount, SandboxSpec, Tier

PATH = "/usr/local/bin:/usr/bin:/bin"
TIERS = [Tier.BUBBLEWRAP, Tier.LANDLOCK]
Opener = Callable[..., Sandbox]


@pytest.fixture(params=TIERS, ids=[tier.value for tier in TIERS])
def tier(request: pytest.FixtureRequest) -> Tier:
    chosen: Tier = request.param
    tried = self_test(chosen)
    if not tried.passed:
        pytest.skip(f"{chosen.value} does not work on this machine: {tried.error or tried.held}")
    return chosen


@pytest.fixture
def folder(tmp_path: Path, tier: Tier) -> Path:
    """A folder that the sandboxed user may enter and own."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.stat().st_uid == os.getuid() and parent.name.startswith(("pytest-", "test_")):
            parent.chmod(0o755)
    tree = tmp_path / "tree"
    tree.mkdir()
    uid = app_uid("hostile")
    if uid is not None and tier is Tier.BUBBLEWRAP:
        os.chown(tree, uid, uid)
    return tree


@pytest.fixture
def open_sandbox(folder: Path, tier: Tier) -> Iterator[Opener]:
    opened: list[Sandbox] = []

    def open_it(bounds: Bounds | None = None) -> Sandbox:
        inside = "/app" if tier is Tier.BUBBLEWRAP else str(folder)
        spec = SandboxSpec(
            name="hostile",
            mounts=(Mount(folder, inside, writable=True),),
            env={"PATH": PATH, "HOME": inside},
            bounds=bounds or Bounds(),
        )
        opened.append(Sandbox.open(spec, tier))
        return opened[-1]

    yield open_it
    for sandbox in opened:
        sandbox.close()


def shell(sandbox: Sandbox, script: str, timeout: float = 10) -> str:
    return sandbox.run(["sh", "-c", script], timeout=timeout).output


def test_exit_status_output_and_time_are_reported(open_sandbox: Opener) -> None:
    done = open_sandbox().run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=10)
    assert done.exit_code == 7
    assert sorted(done.output.split()) == ["err", "out"]
    assert 0 < done.seconds < 10


def test_a_program_that_does_not_exist_is_exit_127(open_sandbox: Opener) -> None:
    done = open_sandbox().run(["no-such-program-here"], timeout=5)
    assert done.exit_code == 127
    assert "no-such-program-here" in done.output


def test_own_folder_is_writable_and_the_system_is_not(open_sandbox: Opener, folder: Path) -> None:
    sandbox = open_sandbox()
    assert sandbox.run(["sh", "-c", "echo kept > $HOME/file"], timeout=5).ok
    assert (folder / "file").read_text() == "kept\n"
    assert not sandbox.run(["sh", "-c", "echo x > /usr/dora-test-file"], timeout=5).ok
    assert not Path("/usr/dora-test-file").exists()


def test_the_callers_environment_is_not_seen(
    open_sandbox: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DORA_TEST_SECRET", "do-not-tell")
    seen = shell(open_sandbox(), "env; cat /proc/[0-9]*/environ 2>/dev/null")
    assert "do-not-tell" not in seen
    assert f"PATH={PATH}" in seen


def test_a_listener_of_the_host_is_out_of_reach(open_sandbox: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        assert not open_sandbox().run(["bash", "-c", script], timeout=5).ok
        with pytest.raises(TimeoutError):
            listener.accept()


def test_daemons_end_with_the_command_that_left_them(open_sandbox: Opener, folder: Path) -> None:
    sandbox = open_sandbox()
    script = "for i in 1 2 3; do (trap '' TERM HUP; setsid sleep 60 &) ; done; echo started"
    assert "started" in shell(sandbox, script)
    assert sandbox.status()["pids"] == 0


def test_a_program_that_ignores_sigterm_is_ended_at_its_deadline(open_sandbox: Opener) -> None:
    done = open_sandbox().run(["bash", "-c", "trap '' TERM; while :; do :; done"], timeout=0.5)
    assert done.timed_out
    assert done.exit_code is None
    assert done.seconds < 6


def test_memory_over_the_limit_ends_the_program_and_says_so(open_sandbox: Opener) -> None:
    sandbox = open_sandbox(Bounds(memory_bytes=150 * 2**20))
    done = sandbox.run(
        ["python3", "-c", "kept = []\nwhile True: kept.append(bytearray(b'x' * 4_000_000))"],
        timeout=60,
    )
    assert done.killed_for == "memory"
    assert done.exit_code is None


def test_endless_output_is_cut_and_costs_no_disk(open_sandbox: Opener, tmp_path: Path) -> None:
    log = Log(tmp_path / "log", limit=100_000, flood=20 * 2**20)
    done = open_sandbox().run(["yes", "spam"], timeout=30, log=log)
    assert done.killed_for == "output"
    assert (tmp_path / "log").stat().st_size < 101_000
    assert "bytes left out" in (tmp_path / "log").read_text()


def test_escape_sequences_never_reach_the_reader(open_sandbox: Opener) -> None:
    printed = shell(
        open_sandbox(), r"printf '\033[31mred\033[0m \033]0;title\007 bell\007 \r::error'"
    )
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "red" in printed


def test_sockets_cross_in_both_directions(open_sandbox: Opener) -> None:
    sandbox = open_sandbox()
    bridge = sandbox.listen(5432)
    bridge.settimeout(10)
    port = bridge.getsockname()[1]
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; read -r back <&3; echo $back"
    client = sandbox.spawn(["bash", "-c", script])
    connection, _ = bridge.accept()
    with connection:
        connection.settimeout(10)
        assert connection.recv(100) == b"hello\n"
        connection.sendall(b"answered\n")
    assert client.wait(10) == 0
    client.log.close()
    assert "answered" in client.log.tail()
    bridge.close()


def test_a_closed_sandbox_leaves_no_process(open_sandbox: Opener, folder: Path) -> None:
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sandbox = open_sandbox()
    sandbox.spawn(["sh", "-c", "trap '' TERM; sleep 61 & wait"])
    assert {child.pid for child in psutil.Process().children(recursive=True)} > before
    sandbox.close()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_eight_sandboxes_listen_on_the_same_port(tmp_path: Path) -> None:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    serve = (
        "import http.server,sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "  def do_GET(self):\n"
        "    self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[1].encode())\n"
        "http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()\n"
    )
    boxes = [
        Sandbox.open(SandboxSpec(name=f"box{number}", env={"PATH": PATH})) for number in range(8)
    ]
    try:
        for number, box in enumerate(boxes):
            box.spawn(["python3", "-c", serve, f"i am {number}"])
        for number, box in enumerate(boxes):
            deadline = time.monotonic() + 20
            while not box.listeners():
                assert time.monotonic() < deadline, "no listener in time"
            with box.connect(8000) as sock:
                sock.settimeout(10)
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert f"i am {number}" in sock.makefile("rb").read().decode()
    finally:
        for box in boxes:
            box.close()


def test_a_new_user_namespace_is_refused(open_sandbox: Opener, tier: Tier) -> None:
    assert not open_sandbox().run(["unshare", "-Ur", "true"], timeout=5).ok


def test_the_supervisor_cannot_be_killed_from_inside(tmp_path: Path) -> None:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    with Sandbox.open(SandboxSpec(name="hostile", env={"PATH": PATH})) as sandbox:
        sandbox.run(["sh", "-c", "kill -9 1; kill -STOP 1; kill -9 -1"], timeout=5)
        assert sandbox.run(["echo", "alive"], timeout=5).output == "alive\n"
