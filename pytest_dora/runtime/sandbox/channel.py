"""The host's end of the socket to a supervisor: requests, replies, events, descriptors."""

from __future__ import annotations

import array
import itertools
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_dora.runtime.sandbox.spec import SandboxLost

MESSAGE_BYTES = 1 << 20
_REPLY_SECONDS = 30.0
Message = dict[str, Any]


class Channel:
    """Requests may come from any thread; one thread of ours reads, replies find their asker."""

    def __init__(self, sock: socket.socket, on_event: Callable[[Message], None]) -> None:
        self._socket = sock
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[tuple[Message, list[int]] | None]] = {}
        self._lock = threading.Lock()
        self._lost = False
        self._reader = threading.Thread(target=self._read, name="sandbox-channel", daemon=True)

    def start(self, config: Mapping[str, Any]) -> None:
        """Send the supervisor its configuration and begin to listen."""
        self._socket.send(json.dumps(config).encode())
        self._reader.start()

    def request(self, op: str, descriptors: Sequence[int] = (), **values: Any) -> Message:
        """Ask and wait. Raises OSError as the supervisor met it, SandboxLost if it is gone."""
        reply, received = self._exchange(op, descriptors, values)
        for descriptor in received:
            os.close(descriptor)
        return reply

    def request_socket(self, op: str, **values: Any) -> tuple[socket.socket, Message]:
        """Ask for a socket made inside the sandbox."""
        reply, received = self._exchange(op, (), values)
        if not received:
            raise SandboxLost(f"the sandbox sent no socket for {op}")
        return socket.socket(fileno=received[0]), reply

    def close(self) -> None:
        self._lost = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._reader.is_alive() and threading.current_thread() is not self._reader:
            self._reader.join(2)
        self._socket.close()

    def _exchange(
        self, op: str, descriptors: Sequence[int], values: Mapping[str, Any]
    ) -> tuple[Message, list[int]]:
        number = next(self._numbers)
        answer: queue.SimpleQueue[tuple[Message, list[int]] | None] = queue.SimpleQueue()
        with self._lock:
            if self._lost:
                raise SandboxLost("the sandbox has ended")
            self._waiting[number] = answer
            rights: list[tuple[int, int, array.array[int]]] = []
            if descriptors:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            try:
                data = json.dumps({"id": number, "op": op, **values}).encode()
                self._socket.sendmsg([data], rights)
            except OSError as error:
                self._waiting.pop(number, None)
                raise SandboxLost(f"the sandbox has ended ({error})") from error
        try:
            got = answer.get(timeout=_REPLY_SECONDS)
        except queue.Empty:
            got = None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if got is None:
            raise SandboxLost(f"the sandbox gave no answer to {op}")
        reply, received = got
        if "error" in reply:
            raise OSError(int(reply.get("errno") or 0), str(reply["error"]))
        return reply, received

    def _read(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    MESSAGE_BYTES, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC
                )
            except OSError:
                break
            if not data:
                break
            message: Message = json.loads(data)
            if "event" in message:
                self._on_event(message)
                continue
            with self._lock:
                answer = self._waiting.pop(message["id"], None)
            received = _descriptors(ancillary)
            if answer is not None:
                answer.put((message, received))
            else:
                for descriptor in received:
                    os.close(descriptor)
        with self._lock:
            self._lost = True
            waiting, self._waiting = list(self._waiting.values()), {}
        for answer in waiting:
            answer.put(None)
        self._on_event({"event": "lost"})


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(payload[: len(payload) - len(payload) % found.itemsize])
    return list(found)
