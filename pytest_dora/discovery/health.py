"""Paths that the app declares for health: health checks of images first, then its routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_dora.discovery.files import Tree

MAX_PATHS = 12
_WORDS = ("health", "livez", "liveness", "readyz", "readiness", '/up"', "/up'")
_URL = re.compile(r"https?://[^/\s\"'|)]{1,200}(/[^\s\"'|)\];]*)?")
_WORD = r"(?:health[-_]?check|healthz?|livez|readyz|readiness|liveness|up)"
_ROUTE = re.compile(
    r"(?P<receiver>[A-Za-z_$][\w$]*)?(?:\.|::|\b)"
    r"(?P<verb>get|route|all|use|add_api_route|add_route|add_url_rule|HandleFunc|Handle|GET|api_route|path|re_path|head)"
    rf"\(\s*[rbf]?[\"'`]\^?(?P<path>/?(?:[\w\-./:]{{0,80}}/)?{_WORD}/?)\$?[\"'`]"
)
_CLIENTS = frozenset(
    "axios http https client fetch requests httpx api ky got $http request session apiClient test_client page".split()
)
_TRPC = re.compile(rf"(?m)^\s*({_WORD})\s*:\s*(?:\w*[pP]rocedure|t\.procedure)\b")
_LARAVEL = re.compile(r"\bhealth\s*:\s*['\"](/[\w\-/]{1,60})['\"]")
_NEXT_ROUTE = re.compile(
    rf"(?:^|/)(?:app|pages)/(?P<path>(?:[\w\-]+/)*{_WORD})(?:/route|/index)?\.[jt]sx?$"
)
_SVELTE_ROUTE = re.compile(rf"(?:^|/)routes/(?P<path>(?:[\w\-]+/)*{_WORD})/\+server\.[jt]s$")
_SERVER_FILE = re.compile(
    rf"(?:^|/)server/(?:routes/|(?=api/))(?P<path>(?:[\w\-]+/)*{_WORD})(?:\.get)?\.[jt]s$"
)
_STREAMLIT = "/_stcore/health"


def paths(
    tree: Tree, files: Iterable[str], checks: Sequence[str], stack: Sequence[str]
) -> tuple[str, ...]:
    """Health paths, declared ones first; ``checks`` are texts of container health checks."""
    found: list[str] = []
    for text in checks:
        for match in _URL.finditer(text):
            _add(found, match[1] or "/")
    for path in files:
        for pattern in (_NEXT_ROUTE, _SVELTE_ROUTE, _SERVER_FILE):
            page = pattern.search(path)
            if page:
                _add(found, f"/{page['path']}")
        _from_source(tree.source(path), found)
    if "streamlit" in stack:
        _add(found, _STREAMLIT)
    return tuple(one for one in found if one != "/")[:MAX_PATHS]


def _from_source(text: str, found: list[str]) -> None:
    for position in _mentions(text):
        start = max(0, position - 160)
        for match in _ROUTE.finditer(text, start, position + 120):
            path = match["path"]
            client = match["receiver"] in _CLIENTS and not match["verb"].startswith("Handle")
            bare = path.strip("/") == "up" and not path.startswith("/")
            if not client and not bare:
                _add(found, path if path.startswith("/") else f"/{path}")
        line = text.rfind("\n", 0, position) + 1
        for name in _TRPC.findall(text[line : position + 120]):
            _add(found, f"/{name}")
        for path in _LARAVEL.findall(text[line : position + 120]):
            _add(found, path)


def _mentions(text: str) -> Iterator[int]:
    """Where a word for health stands; finding words first keeps the patterns off other text."""
    for word in _WORDS:
        position = text.find(word)
        for _ in range(50):
            if position < 0:
                break
            yield position
            position = text.find(word, position + 1)


def _add(found: list[str], path: str) -> None:
    path = path.partition("?")[0].partition("#")[0]
    if path not in found and len(path) <= 120 and "$" not in path and "{" not in path:
        found.append(path)
