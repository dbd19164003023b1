"""The only way out of a sandbox: an HTTP proxy that knows package registries and nothing else.

It listens on a socket inside the sandbox's network namespace and connects from the host's.
Names are resolved here, and what resolves to this host or a private network is refused unless
the caller configured that very registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pytest_dora.runtime.outbound import (
    Target,
    Upstream,
    is_private,
    parse_target,
    upstream_proxy,
)

REGISTRIES = (
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "files.pythonhosted.org",
    "proxy.golang.org",
    "sum.golang.org",
    "repo.packagist.org",
    "packagist.org",
    "jsr.io",
    "npm.jsr.io",
)
_WEB_PORTS = (80, 443)
_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 20.0
_CONNECT_SECONDS = 20.0
_IDLE_SECONDS = 300.0
_CONNECTIONS = 512
"""At once, of one sandbox."""

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Ledger:
    """What one sandbox asked of the network, in order, capped."""

    allowed: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    stop: Callable[[], None] = field(default=lambda: None, repr=False)

    def refuse(self, host: str) -> None:
        if host not in self.refused and len(self.refused) < 200:
            self.refused.append(host[:260])

    def close(self) -> None:
        """Stop serving; what was asked stays readable. Idempotent."""
        self.stop()


class Egress:
    """One event loop thread for every sandbox of this process.

    Hosts are given as ``host`` (its ports 80 and 443) or ``host:port``. ``configured`` are those
    of the caller's own registries: allowed even on private networks.
    """

    def __init__(self, allow: Iterable[str] = (), configured: Iterable[str] = ()) -> None:
        self._trusted = frozenset(place for name in configured for place in _places(name))
        self._allow = self._trusted | {
            place for name in (*REGISTRIES, *allow) for place in _places(name)
        }
        self._upstream = upstream_proxy()
        self._servers: set[asyncio.Server] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="dora-egress", daemon=True
        )
        self._thread.start()

    def attach(self, listener: socket.socket) -> Ledger:
        """Serve a listening socket, which is ours from now on, until its ledger is closed."""
        ledger = Ledger()
        listener.setblocking(False)
        active: set[asyncio.Task[None]] = set()

        async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            if len(active) >= _CONNECTIONS:
                writer.transport.abort()
                return
            active.add(task)
            try:
                await self._serve(reader, writer, ledger)
                await _flush(writer)
            except asyncio.CancelledError:
                return  # only we cancel, and asyncio would complain of what nobody awaits
            finally:
                active.discard(task)
                writer.transport.abort()

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(admit, sock=listener, limit=_HEAD_BYTES)

        server = asyncio.run_coroutine_threadsafe(serve(), self._loop).result(5)
        self._servers.add(server)

        def stop() -> None:
            server.close()
            self._servers.discard(server)
            for task in active:
                task.cancel()

        ledger.stop = lambda: self._call(stop)
        return ledger

    def _call(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and so is all it served
            self._loop.call_soon_threadsafe(action)

    def close(self) -> None:
        """Cut every connection and end the thread. Idempotent."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._call(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were aborted close in the loop's next round

    def allows(self, host: str, port: int) -> bool:
        return (host.lower().removesuffix("."), port) in self._allow

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger
    ) -> None:
        target: Target | None = None
        status = "400 Bad Request"
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_HEAD_SECONDS):
                target = parse_target(await reader.readuntil(b"\r\n\r\n"))
        if target is not None and not self.allows(target.host, target.port):
            ledger.refuse(target.authority)
            target, status = None, "403 Forbidden"
        if target is None:
            _answer(writer, status)
            return
        ledger.allowed.add(target.host)
        try:
            far_reader, far_writer = await self._reach(target)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _answer(writer, "502 Bad Gateway")
            return
        if target.tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        limit = None if target.tunnel else target.body_bytes
        up = asyncio.create_task(_pump(reader, far_writer, limit))
        try:
            await _pump(far_reader, writer)
        finally:
            up.cancel()
            far_writer.transport.abort()

    async def _reach(self, target: Target) -> _Streams:
        """The far end, to which the head of a plain request is already on its way."""
        upstream = self._upstream
        if upstream is not None and not upstream.serves(target.host):
            upstream = None
        async with asyncio.timeout(_CONNECT_SECONDS):
            if upstream is None:
                streams = await self._connect(target)
            else:
                tls = True if upstream.tls else None
                streams = await asyncio.open_connection(upstream.host, upstream.port, ssl=tls)
                if target.tunnel:
                    await _tunnel(streams, target, upstream)
        if not target.tunnel:
            streams[1].write(target.request(upstream))
        return streams

    async def _connect(self, target: Target) -> _Streams:
        found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if (target.host, target.port) not in self._trusted:
            addresses = [one for one in addresses if not is_private(one)]
        failed = OSError(f"{target.host} has no public address")
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS / len(addresses)):
                    return await asyncio.open_connection(address, target.port)
            except OSError as error:
                failed = error
        raise failed


def _places(name: str) -> list[tuple[str, int]]:
    """``host`` or ``host:port`` as pairs; an IPv6 address with a port stands in brackets."""
    host, _, port = name.rpartition(":")
    if host and port.isascii() and port.isdigit() and (":" not in host or host.startswith("[")):
        return [(host.strip("[]").lower(), int(port))]
    host = name.strip("[]").lower().removesuffix(".")
    return [(host, port) for port in _WEB_PORTS]


async def _tunnel(streams: _Streams, target: Target, upstream: Upstream) -> None:
    reader, writer = streams
    head = f"CONNECT {target.authority} HTTP/1.1\r\nHost: {target.authority}\r\n".encode()
    writer.write(head + upstream.header() + b"\r\n")
    status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        writer.close()
        raise OSError("the proxy of this network refused")


def _answer(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Close a connection when its last bytes are on their way, or nobody takes them."""
    with contextlib.suppress(OSError, TimeoutError):
        writer.close()
        async with asyncio.timeout(_IDLE_SECONDS):
            await writer.wait_closed()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None
) -> None:
    """Pass bytes on until one side ends, or ``limit`` of them; then say that no more come."""
    left = limit
    with contextlib.suppress(OSError, TimeoutError):
        while left is None or left > 0:
            async with asyncio.timeout(_IDLE_SECONDS):
                data = await reader.read(65536 if left is None else min(left, 65536))
            if not data:
                break
            left = None if left is None else left - len(data)
            writer.write(data)
            await writer.drain()
        if limit is None and writer.can_write_eof():
            writer.write_eof()
