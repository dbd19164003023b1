"""The only way out of a sandbox: an HTTP proxy that knows package registries and nothing else.

It listens on a socket inside the sandbox's network namespace and connects from the host's.
Names are resolved here, and what resolves to this host or a private network is refused unless
the caller configured that very registry.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/127", "fc00::/7", "fe80::/10", "ff00::/8", "::ffff:0:0/96", "64:ff9b::/96",
    )
)  # fmt: skip
_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 20.0
_CONNECT_SECONDS = 20.0


@dataclass
class Ledger:
    """What one sandbox asked of the network, in order, capped."""

    allowed: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def refuse(self, host: str) -> None:
        if host not in self.refused and len(self.refused) < 200:
            self.refused.append(host[:253])


class Egress:
    """One event loop thread for every sandbox of this process.

    ``configured`` are hosts of the caller's own registries: allowed even on private networks.
    """

    def __init__(self, allow: Iterable[str] = (), configured: Iterable[str] = ()) -> None:
        self._allow = frozenset(host.lower() for host in (*REGISTRIES, *allow, *configured))
        self._trusted = frozenset(host.lower() for host in configured)
        self._upstream = upstream_proxy()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="dora-egress", daemon=True
        )
        self._thread.start()

    def attach(self, listener: socket.socket) -> Ledger:
        """Serve a listening socket until it is closed or the sandbox ends."""
        ledger = Ledger()
        listener.setblocking(False)

        async def serve() -> None:
            await asyncio.start_server(
                lambda reader, writer: self._serve(reader, writer, ledger),
                sock=listener,
                limit=_HEAD_BYTES,
            )

        asyncio.run_coroutine_threadsafe(serve(), self._loop).result(5)
        return ledger

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)

    def allows(self, host: str, port: int) -> bool:
        return host.lower().rstrip(".") in self._allow and (
            port in (80, 443) or host.lower() in self._trusted
        )

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger
    ) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            target = parse_target(head)
            if target is None:
                await _answer(writer, "400 Bad Request")
                return
            if not self.allows(target.host, target.port):
                ledger.refuse(f"{target.host}:{target.port}")
                await _answer(writer, "403 Forbidden")
                return
            ledger.allowed.add(target.host)
            far_reader, far_writer = await self._connect(target.host, target.port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _answer(writer, "502 Bad Gateway")
            return
        if target.tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(target.forwarded)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_SECONDS):
            if self._upstream is not None:
                return await self._through_upstream(host, port)
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(info[4][0]) for info in found]
            if host.lower() not in self._trusted:
                addresses = [one for one in addresses if not is_private(one)]
            if not addresses:
                raise OSError(f"{host} has no public address")
            return await asyncio.open_connection(addresses[0], port)

    async def _through_upstream(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._upstream is not None
        reader, writer = await asyncio.open_connection(self._upstream.host, self._upstream.port)
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n".encode())
        if self._upstream.authorization:
            writer.write(f"Proxy-Authorization: {self._upstream.authorization}\r\n".encode())
        writer.write(b"\r\n")
        status = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in status.split(b"\r\n")[0] + b" ":
            writer.close()
            raise OSError("the proxy of this network refused")
        return reader, writer


@dataclass(frozen=True)
class Target:
    """Where a client of the proxy wants to go."""

    host: str
    port: int
    tunnel: bool
    forwarded: bytes = b""


def parse_target(head: bytes) -> Target | None:
    """Read the request line of a proxy request; None when it is none."""
    line, _, rest = head.partition(b"\r\n")
    try:
        method, url, version = line.decode("ascii").split(" ")
        if method == "CONNECT":
            host, _, port = url.rpartition(":")
            return Target(host.strip("[]"), int(port), tunnel=True)
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            return None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # one request per connection: a second one could name another host
        headers = b"".join(
            header + b"\r\n"
            for header in rest.split(b"\r\n")
            if header and not header.lower().startswith((b"proxy-", b"connection:"))
        )
        forwarded = f"{method} {path} {version}\r\n".encode() + headers
        return Target(
            parts.hostname, parts.port or 80, False, forwarded + b"Connection: close\r\n\r\n"
        )
    except ValueError:
        return None


def is_private(address: str) -> bool:
    """Whether an address is this host, link-local or of a private network."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return any(parsed in network for network in _PRIVATE if network.version == parsed.version)


@dataclass(frozen=True)
class Upstream:
    host: str
    port: int
    authorization: str | None


def upstream_proxy() -> Upstream | None:
    """The proxy that the caller's own network needs, from HTTPS_PROXY."""
    value = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    if not value:
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if not parts.hostname:
        return None
    secret = None
    if parts.username:
        pair = f"{parts.username}:{parts.password or ''}".encode()
        secret = f"Basic {base64.b64encode(pair).decode()}"
    return Upstream(parts.hostname, parts.port or 8080, secret)


async def _answer(writer: asyncio.StreamWriter, status: str) -> None:
    with contextlib.suppress(OSError):
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
