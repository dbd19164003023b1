"""A wire between two sandboxes, held by the host: it carries bytes, and can be cut on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from typing import Any

_CHUNK = 64 * 1024
_CONNECTIONS = 512
_DIALLERS = 16
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends a reset


class Fault(StrEnum):
    """What is wrong with the wire."""

    NONE = "none"
    RESET = "reset"
    """Connections are reset, and every new one as soon as it is made."""
    BLACKHOLE = "blackhole"
    """Connections stay open and new ones are accepted, but no byte passes."""
    LATENCY = "latency"
    """Every piece is held back for a while."""


class Relay:
    """Accepts on listening sockets and connects each connection to the other end.

    ``connect`` makes the other end; it may block, and an OSError of it resets the connection.
    At most 512 connections are held at once, what comes beyond that is reset. ``hop`` is how
    many seconds every answer takes longer than over a loopback, as over the shortest network.
    """

    def __init__(self, connect: Callable[[], socket.socket], hop: float = 0.0) -> None:
        self._connect = connect
        self._hop = hop
        self._fault = Fault.NONE
        self._seconds = 0.0
        self._passing = asyncio.Event()
        self._passing.set()
        self._pairs: set[asyncio.Task[None]] = set()
        self._acceptors: set[asyncio.Task[None]] = set()
        self._sockets: set[socket.socket] = set()
        self._closed = False
        self._pool = ThreadPoolExecutor(_DIALLERS, thread_name_prefix="dora-relay-dial")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dora-relay", daemon=True)
        self._thread.start()

    def serve(self, listener: socket.socket) -> None:
        """Take over a listening socket; may be called for several."""
        listener.setblocking(False)
        self._call(self._begin(listener))

    def inject(self, fault: Fault, seconds: float = 0.5) -> None:
        """Break the wire; ``seconds`` is the delay of LATENCY. ``Fault.NONE`` mends it."""
        self._call(self._set_fault(fault, seconds))

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._pairs)

    def close(self) -> None:
        """Stop accepting and end every connection. Idempotent."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(10)

    # --- in the loop ------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            coroutine.close()
            raise RuntimeError("the relay is closed")
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _begin(self, listener: socket.socket) -> None:
        self._keep(self._acceptors, self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    client, _ = await self._loop.sock_accept(listener)
                except OSError as error:
                    if error.errno in _OUT_OF_DESCRIPTORS:
                        await asyncio.sleep(0.02)  # until a connection ends
                        continue
                    if error.errno == errno.ECONNABORTED:
                        continue
                    return
                if self._fault is Fault.RESET or len(self._pairs) >= _CONNECTIONS:
                    _reset(client)
                else:
                    self._keep(self._pairs, self._join(client))

    async def _join(self, client: socket.socket) -> None:
        ends = [client]
        self._sockets.add(client)
        try:
            await self._passing.wait()
            server = await self._other_end()
            ends.append(server)
            self._sockets.add(server)
            for end in ends:
                end.setblocking(False)
                with contextlib.suppress(OSError):  # not a TCP socket
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # neither may go on when the other ends: its descriptor will soon be another socket's
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, server))
                pumps.create_task(self._pump(server, client, self._hop))
        except* (OSError, asyncio.CancelledError):
            for end in ends:
                _reset(end)
        finally:
            for end in ends:
                self._sockets.discard(end)
                end.close()

    async def _other_end(self) -> socket.socket:
        dialling = self._pool.submit(self._connect)
        try:
            return await asyncio.shield(asyncio.wrap_future(dialling))
        except asyncio.CancelledError:  # it may yet succeed, and nobody would close it
            dialling.add_done_callback(_close_result)
            raise

    async def _pump(self, source: socket.socket, target: socket.socket, hop: float = 0.0) -> None:
        while data := await self._loop.sock_recv(source, _CHUNK):
            if hop:
                await asyncio.sleep(hop)
            if self._fault is Fault.LATENCY:
                await asyncio.sleep(self._seconds)
            await self._passing.wait()
            await self._loop.sock_sendall(target, data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    async def _set_fault(self, fault: Fault, seconds: float) -> None:
        self._fault, self._seconds = fault, seconds
        if fault is Fault.BLACKHOLE:
            self._passing.clear()
        else:
            self._passing.set()
        if fault is Fault.RESET:
            await self._cancel(self._pairs)

    def _keep(self, group: set[asyncio.Task[None]], coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        group.add(task)
        task.add_done_callback(group.discard)

    async def _cancel(self, group: set[asyncio.Task[None]]) -> None:
        tasks = list(group)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self) -> None:
        await self._cancel(self._acceptors)
        await self._cancel(self._pairs)
        self._loop.stop()


def _close_result(dialling: Future[socket.socket]) -> None:
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()
