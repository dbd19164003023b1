"""What a client of the egress proxy asks for, and which addresses are nobody's business."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16",
    )
)  # fmt: skip
"""The last ones carry an IPv4 address inside an IPv6 one, so they may lead anywhere."""
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?\.?|[0-9a-f:.]{2,45}")
_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_HOP_BY_HOP = frozenset(
    {b"connection", b"host", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


@dataclass(frozen=True)
class Target:
    """Where a client of the proxy wants to go.

    ``host`` is in lower case, without a last dot. A tunnel has only host and port.
    """

    host: str
    port: int
    tunnel: bool
    method: str = "CONNECT"
    path: str = ""
    headers: bytes = b""
    body_bytes: int = 0
    """How long the one request's body is; what follows it is not passed on."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def request(self, through: Upstream | None) -> bytes:
        """The head of the request as the server, or the proxy of this network, is sent it.

        Made anew: nothing that the client wrote can name another host or begin a second request.
        """
        host = self.authority.removesuffix(":80")
        path = self.path if through is None else f"http://{host}{self.path}"
        own = through.header() if through is not None else b""
        start = f"{self.method} {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        return start + own + self.headers + b"Connection: close\r\n\r\n"


def parse_target(head: bytes) -> Target | None:
    """Read the head of a proxy request; None when it is none, or may be read in two ways."""
    line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    try:
        method, url, version = line.decode("ascii").split(" ")
    except ValueError:
        return None
    headers = [_HEADER.fullmatch(one) for one in lines]
    if None in headers or not _METHOD.fullmatch(method) or version not in _VERSIONS:
        return None
    fields = [(one[1].lower(), one[2], one[0]) for one in headers if one is not None]
    if method == "CONNECT":
        host, _, port = url.rpartition(":")
        return _tunnel(host, port)
    if any(ord(one) < 0x21 or ord(one) > 0x7E for one in url):
        return None
    return _plain(method, url, fields)


_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


def _tunnel(host: str, port: str) -> Target | None:
    named = _host(host.removeprefix("[").removesuffix("]"))
    if named is None or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        return None
    return Target(named, int(port), tunnel=True)


def _plain(method: str, url: str, fields: list[tuple[bytes, bytes, bytes]]) -> Target | None:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else 80
    except ValueError:
        return None
    host = _host(parts.hostname or "")
    lengths = {value.strip() for name, value, _ in fields if name == b"content-length"}
    if parts.scheme != "http" or host is None or parts.username is not None or port == 0:
        return None
    if any(name == b"transfer-encoding" for name, _, _ in fields) or len(lengths) > 1:
        return None  # where such a request ends is a matter of opinion
    length = lengths.pop() if lengths else b"0"
    if not re.fullmatch(rb"[0-9]{1,15}", length):
        return None
    kept = b"".join(
        whole + b"\r\n"
        for name, _, whole in fields
        if name not in _HOP_BY_HOP and not name.startswith(b"proxy-")
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port, False, method, path, kept, int(length))


def _host(text: str) -> str | None:
    text = text.lower()
    return text.removesuffix(".") if _HOST.fullmatch(text) else None


def is_private(address: str) -> bool:
    """Whether an address is this host, link-local, of a private network, or may become one."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    # not "anything but global": gateways in front of registries answer on reserved addresses
    return any(parsed in network for network in _PRIVATE if network.version == parsed.version)


@dataclass(frozen=True)
class Upstream:
    """The proxy that the caller's own network needs. ``tls``: it is spoken to over TLS."""

    host: str
    port: int
    authorization: str | None
    tls: bool = False

    def header(self) -> bytes:
        if self.authorization is None:
            return b""
        return f"Proxy-Authorization: {self.authorization}\r\n".encode()

    def serves(self, host: str) -> bool:
        """Whether NO_PROXY leaves this host to the proxy."""
        left_out = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        names = [name.strip().lower().lstrip("*").lstrip(".") for name in left_out.split(",")]
        if left_out.strip() == "*":
            return False
        return not any(name and f".{host}".endswith(f".{name}") for name in names)


def upstream_proxy() -> Upstream | None:
    """The proxy named by HTTPS_PROXY, when it is one of HTTP."""
    value = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if not value:
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    secret = None
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        secret = f"Basic {base64.b64encode(pair).decode()}"
    return Upstream(parts.hostname, port, secret, tls)
