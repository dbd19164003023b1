"""What a Caddyfile or an nginx configuration asks for, as far as a stand-in can serve it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pytest_dora.discovery.parse import string
from pytest_dora.model.plan import ProxyRoute, ProxySite

Locate = Callable[[str], str | None]
"""From a path inside the image to one relative to the app's root."""

MAX_TOKENS = 20_000
_TOKEN = re.compile(
    r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[{};](?=\s|$)|\n|[^\s;]+(?=;)|;|[^\s]+"""
)
_PORT = re.compile(r":(\d{1,5})(?:/|$)")


@dataclass
class _Block:
    """A directive with its words and what stands between its braces."""

    words: tuple[str, ...]
    inner: list[_Block] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def walk(self) -> Iterator[_Block]:
        yield self
        for block in self.inner:
            yield from block.walk()


def caddy_site(text: str, locate: Locate) -> ProxySite | None:
    """The first site of a Caddyfile."""
    text = re.sub(r"\{\$\w+:([^}\s]*)\}", r"\1", text)
    text = re.sub(r"\{(?=[\w.$>\-]+\})([\w.$>\-]+)\}", r"<\1>", text)
    blocks = _parse(text, line_ends=True)
    sites = [one for one in blocks if one.words and not one.name.startswith(("(", "@"))]
    site = next((one for one in sites if one.inner), None)
    if site is None:
        site = _Block(blocks[0].words if blocks else (), blocks[1:])
    matchers = {
        one.name: one.words[2:] if one.words[1:2] == ("path",) else ()
        for one in site.walk()
        if one.name.startswith("@")
    }
    root = fallback = None
    routes: list[ProxyRoute] = []
    for block in site.walk():
        if block.name == "root":
            root = locate(block.words[-1]) or root
        elif block.name == "try_files" and not block.words[-1].startswith("<"):
            fallback = block.words[-1].lstrip("/") or None
    _caddy_routes(site, "/", False, matchers, routes)
    return _site(_address_port(site.words, 80), root, fallback, routes)


def nginx_site(text: str, locate: Locate, port_of: Callable[[str], int | None]) -> ProxySite | None:
    """The first server of an nginx configuration; ``port_of`` knows other services' ports."""
    blocks = _parse(text, line_ends=False)
    everything = [one for block in blocks for one in block.walk()]
    server = next((one for one in everything if one.name == "server" and one.inner), None)
    if server is None:
        return None
    upstreams = {
        one.words[1]: inner.words[1]
        for one in everything
        if one.name == "upstream" and len(one.words) > 1
        for inner in one.inner
        if inner.name == "server" and len(inner.words) > 1
    }
    port, root, fallback = 80, None, None
    routes: list[ProxyRoute] = []
    for block in server.walk():
        if block.name == "listen" and len(block.words) > 1:
            match = re.search(r"(?:^|:)(\d{1,5})$", block.words[1])
            port = int(match[1]) if match else port
        elif block.name == "root" and len(block.words) > 1:
            root = root or locate(block.words[1])
        elif block.name == "try_files" and re.fullmatch(r"/?[\w./-]+\.html", block.words[-1]):
            fallback = block.words[-1].lstrip("/")
        elif block.name == "location" and len(block.words) > 1:
            prefix = block.words[-1]
            for inner in block.inner:
                if inner.name == "proxy_pass" and len(inner.words) > 1 and prefix.startswith("/"):
                    target = re.sub(r"^https?://", "", inner.words[1])
                    host, slash, _ = target.partition("/")
                    upstream = _upstream_port(upstreams.get(host, host), port_of)
                    if upstream:
                        strip = bool(slash) and prefix != "/"
                        routes.append(
                            ProxyRoute(
                                prefix=prefix.rstrip("/") or "/",
                                strip_prefix=strip,
                                upstream_port=upstream,
                            )
                        )
    return _site(port, root, fallback, routes)


def _site(
    port: int, root: str | None, fallback: str | None, routes: list[ProxyRoute]
) -> ProxySite | None:
    if root is None and not routes:
        return None
    unique = {route.prefix: route for route in reversed(routes)}
    longest = sorted(unique.values(), key=lambda route: -len(route.prefix))
    return ProxySite(port=port, root=root, fallback=fallback, routes=tuple(longest))


def _caddy_routes(
    block: _Block,
    prefix: str,
    strip: bool,
    matchers: dict[str, tuple[str, ...]],
    routes: list[ProxyRoute],
) -> None:
    """Collect ``reverse_proxy`` with the path that the blocks around it match."""
    strips = strip or any(
        one.name == "uri" and one.words[1:2] == ("strip_prefix",) for one in block.inner
    )
    for inner in block.inner:
        here, inner_strip = prefix, strips
        matcher = inner.words[1] if len(inner.words) > 1 else ""
        path = matchers.get(matcher, ())[:1] or ((matcher,) if matcher.startswith("/") else ())
        if inner.name in ("handle", "handle_path", "route", "reverse_proxy") and path:
            here = path[0].rstrip("*").rstrip("/") or "/"
        if inner.name == "handle_path":
            inner_strip = True
        if inner.name == "reverse_proxy":
            targets = [word for word in inner.words[1:] if _PORT.search(word)]
            match = _PORT.search(targets[0]) if targets else None
            if match and _valid_port(int(match[1])):
                routes.append(
                    ProxyRoute(prefix=here, strip_prefix=inner_strip, upstream_port=int(match[1]))
                )
        elif inner.inner and not inner.name.startswith("@"):
            _caddy_routes(inner, here, inner_strip, matchers, routes)


def _address_port(words: tuple[str, ...], default: int) -> int:
    for word in words:
        match = re.search(r":(\d{1,5})[,/]?$", word)
        if match and _valid_port(int(match[1])):
            return int(match[1])
    return default


def _upstream_port(target: str, port_of: Callable[[str], int | None]) -> int | None:
    host, _, port = target.partition(":")
    if port.isdecimal() and len(port) < 6:
        return int(port)
    return port_of(host)


def _valid_port(port: int) -> bool:
    return 0 < port < 65_536


def _parse(text: str, *, line_ends: bool) -> list[_Block]:
    """Blocks of a configuration; statements end at line ends (caddy) or at ``;`` (nginx)."""
    root = _Block(())
    stack = [root]
    words: list[str] = []

    def finish() -> None:
        if words:
            stack[-1].inner.append(_Block(tuple(words)))
            words.clear()

    for count, token in enumerate(_TOKEN.findall(text)):
        if count > MAX_TOKENS:
            break
        if token.startswith("#"):
            continue
        if token == "{":
            block = _Block(tuple(words))
            words.clear()
            stack[-1].inner.append(block)
            if len(stack) < 50:
                stack.append(block)
        elif token == "}":
            finish()
            if len(stack) > 1:
                stack.pop()
        elif token == "\n":
            if line_ends:
                finish()
        elif token == ";":
            finish()
        else:
            words.append(string(token.strip("\"'")) or "")
    finish()
    return root.inner
