"""The first process inside a sandbox: starts, watches and ends the others for the host.

It is mounted into the sandbox as a file and run by ``python -I -S``, so it imports nothing but
the standard library. It talks to the host over one inherited SOCK_SEQPACKET socket: a message is
a JSON object, sometimes with file descriptors. There is no path to it inside the sandbox.

Sockets cross the border as descriptors: ``connect`` and ``listen`` make a socket in the network
namespace of the sandbox and hand it out, so no byte is ever copied by a process in between.

As the first process of its PID namespace it cannot be killed from inside, and everything else
dies with it; it ends when the host's end of the socket closes, however the host died.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

TYPE_CHECKING = False  # typing itself would cost every sandbox some milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_dora.runtime.sandbox.landlock import Confinement
    from pytest_dora.runtime.sandbox.procfs import (
        descendants,
        is_zombie,
        listening_sockets,
        memory_of,
        socket_inodes,
    )

    Message = dict[str, Any]
    Answer = tuple[dict[str, Any], list[socket.socket]]

if not TYPE_CHECKING:  # inside, the package is not there; these files lie beside this one
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from landlock import Confinement
    from procfs import descendants, is_zombie, listening_sockets, memory_of, socket_inodes

MEMORY_INTERVAL = 0.2
REAP_SECONDS = 2.0
PR_CAPBSET_DROP = 24
CAPABILITY_VERSION = 0x20080522
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 4, 38, 22, 36
SECCOMP_MODE_FILTER = 2
MESSAGE_BYTES = 1 << 20


class Supervisor:
    def __init__(self, channel: socket.socket, config: Message) -> None:
        self.channel = channel
        self.config = config
        self.processes: dict[int, str] = {}  # pid -> name of the process the host asked for
        self.own_namespace = config["own_namespace"]
        self.own_loopback = False
        self.peak_bytes = 0
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.confine = None
        if config.get("landlock"):
            self.confine = Confinement(config["landlock"])

    # --- the loop -------------------------------------------------------------------------

    def run(self) -> None:
        own_loopback = self.own_namespace or (
            self.config["unshare_network"] and unshare_network(self.libc)
        )
        self.own_loopback = bool(own_loopback)
        # only now: a process that is not dumpable may not write its own uid_map
        self.libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self.send({"event": "ready", "own_loopback": self.own_loopback})
        next_look = 0.0
        while True:
            channel = self.channel.fileno()
            ready, _, _ = select.select([channel, wake_read], [], [], MEMORY_INTERVAL)
            if wake_read in ready:
                os.read(wake_read, 4096)
            self.reap()
            if channel in ready and not self.serve():
                return
            if time.monotonic() >= next_look:
                self.watch_memory()
                next_look = time.monotonic() + MEMORY_INTERVAL

    def serve(self) -> bool:
        try:
            data, ancillary, _, _ = self.channel.recvmsg(MESSAGE_BYTES, socket.CMSG_SPACE(32))
        except ConnectionError:
            return False
        if not data:
            return False
        received: array.array[int] = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
        request = json.loads(data)
        try:
            reply, out = getattr(self, "do_" + request["op"])(request, list(received))
        except OSError as error:
            reply, out = {"errno": error.errno, "error": str(error)}, []
        finally:
            for descriptor in received:
                os.close(descriptor)
        self.send({"id": request["id"], **reply}, [sock.fileno() for sock in out])
        for sock in out:
            sock.close()
        return bool(request["op"] != "exit")

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        rights: list[tuple[int, int, array.array[int]]] = []
        if descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self.channel.sendmsg([json.dumps(message).encode()], rights)
        except OSError:
            sys.exit(0)  # the host is gone, and so are we

    # --- processes ------------------------------------------------------------------------

    def do_spawn(self, request: Message, descriptors: list[int]) -> Answer:
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self.become(request, descriptors, error_write)
        os.close(error_write)
        with os.fdopen(error_read, "rb") as failure:
            reason = failure.read()
        if reason:
            os.waitpid(pid, 0)
            number, _, text = reason.decode().partition(":")
            return {"errno": int(number), "error": text}, []
        self.processes[pid] = request["name"]
        return {"pid": pid}, []

    def become(self, request: Message, descriptors: list[int], error_write: int) -> None:
        """The child's way from fork to exec; never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (
                signal.SIGTERM,
                signal.SIGINT,
                signal.SIGHUP,
                signal.SIGPIPE,
                signal.SIGCHLD,
            ):
                signal.signal(number, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[-1], 2)
            os.closerange(3, error_write)
            os.closerange(error_write + 1, 1024)
            for name, value in request["limits"].items():
                number = getattr(resource, name)
                hard = resource.getrlimit(number)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(number, (value, value))
            self.drop_privileges()
            os.umask(0o022)
            os.chdir(request["cwd"])
            if self.confine is not None:
                self.confine.apply(None if self.own_loopback else request["ports"])
            self.load_seccomp()
            execute(request["argv"], request["env"])
        except OSError as error:
            os.write(error_write, f"{error.errno}:{error.strerror}: {error.filename}".encode())
        except BaseException as error:  # noqa: BLE001 - a child never returns
            os.write(error_write, f"{errno.EINVAL}:{error!r}".encode())
        os._exit(127)

    def drop_privileges(self) -> None:
        uid = self.config["uid"]
        for capability in range(64):  # refused, and not needed, where we have none
            self.libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        elif os.geteuid() == 0:
            header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
            self.libc.capset(header, (ctypes.c_uint32 * 6)())
        self.libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def load_seccomp(self) -> None:
        program = bytes.fromhex(self.config["seccomp"])
        if not program:
            return

        class Filter(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

        loaded = Filter(len(program) // 8, program)
        if self.libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp filter refused")

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.processes.pop(pid, None)
            if name is not None:
                self.send(
                    {
                        "event": "exit",
                        "name": name,
                        "status": os.waitstatus_to_exitcode(status),
                        "cpu": usage.ru_utime + usage.ru_stime,
                    }
                )

    def do_signal(self, request: Message, _: list[int]) -> Answer:
        for pid, name in list(self.processes.items()):
            if name == request["name"]:
                try:
                    os.killpg(pid, request["signal"])
                except ProcessLookupError:
                    pass
        return {}, []

    def do_killall(self, _request: Message, _: list[int]) -> Answer:
        self.kill_everything()
        return {}, []

    def kill_everything(self) -> None:
        if self.own_namespace:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass
            deadline = time.monotonic() + REAP_SECONDS
            while self.app_pids() and time.monotonic() < deadline:
                self.reap()
                time.sleep(0.002)
            return
        while True:  # without a namespace: descendants, until none is left
            found = [pid for pid in descendants(os.getpid()) if not is_zombie(pid)]
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.reap()

    def do_exit(self, _request: Message, _: list[int]) -> Answer:
        self.kill_everything()
        return {}, []

    def do_status(self, _request: Message, _: list[int]) -> Answer:
        pids = self.app_pids()
        return {"pids": len(pids), "bytes": memory_of(pids), "peak_bytes": self.peak_bytes}, []

    def app_pids(self) -> list[int]:
        if self.own_namespace:
            return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
        return descendants(os.getpid())

    def watch_memory(self) -> None:
        if not self.processes:
            return
        used = memory_of(self.app_pids())
        self.peak_bytes = max(self.peak_bytes, used)
        if used > self.config["memory_bytes"]:
            # the cause first: who learns of the end asks for it at once
            self.send({"event": "killed", "cause": "memory", "bytes": used})
            self.kill_everything()

    # --- sockets --------------------------------------------------------------------------

    def do_connect(self, request: Message, _: list[int]) -> Answer:
        family = socket.AF_INET6 if ":" in request["address"] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(2)  # a full backlog must not hang the supervisor
        try:
            sock.connect((request["address"], request["port"]))
        except OSError:
            sock.close()
            raise
        return {}, [sock]

    def do_connect_unix(self, request: Message, _: list[int]) -> Answer:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(2)
        try:
            sock.connect(request["path"])
        except OSError:
            sock.close()
            raise
        return {}, [sock]

    def do_listen(self, request: Message, _: list[int]) -> Answer:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((request["address"], request["port"]))
            sock.listen(128)
        except OSError:
            sock.close()
            raise
        return {"port": sock.getsockname()[1]}, [sock]

    def do_listeners(self, _request: Message, _: list[int]) -> Answer:
        sockets = listening_sockets()
        inodes = {entry["inode"]: entry for entry in sockets}
        for pid in self.app_pids():
            for inode in socket_inodes(pid):
                if inode in inodes:
                    inodes[inode]["pid"] = pid
        return {"listeners": [entry for entry in sockets if entry["pid"]]}, []


def unshare_network(libc: ctypes.CDLL) -> bool:
    """Move into a network namespace of our own with only a loopback; False where refused."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14s", b"lo", IFF_UP | IFF_RUNNING, b"")
        fcntl.ioctl(sock, SIOCSIFFLAGS, request)
    return True


def execute(argv: list[str], env: dict[str, str]) -> None:
    """Exec with the PATH of ``env``; os.execvpe would import modules we cannot read any more."""
    name = argv[0]
    places = (
        [name]
        if "/" in name
        else [os.path.join(folder, name) for folder in env.get("PATH", "/usr/bin:/bin").split(":")]
    )
    refused: OSError = FileNotFoundError(errno.ENOENT, "No such file or directory", name)
    for place in places:
        try:
            os.execve(place, argv, env)  # noqa: S606 - there is no shell to want here
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            refused = error
    raise refused


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    config = json.loads(channel.recv(MESSAGE_BYTES))
    supervisor = Supervisor(channel, config)
    try:
        supervisor.run()
    finally:
        supervisor.kill_everything()


if __name__ == "__main__":
    main()
