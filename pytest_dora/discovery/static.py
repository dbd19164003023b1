"""Sites of plain files, served by a static server of ours."""

from __future__ import annotations

import re

from pytest_dora.discovery.files import Tree
from pytest_dora.model.plan import Process, ProxyRoute, ProxySite, Role, StartPlan

PORT = 8080
FOLDERS = (".", "public", "src", "www", "docs", "site", "html", "static")


def site_folder(tree: Tree, base: str = ".") -> str | None:
    """The folder with the ``index.html`` of a site without any build."""
    for folder in FOLDERS:
        path = tree.first(base, f"{folder}/index.html")
        if path:
            return path.rpartition("/")[0] or "."
    pages = [path for path in tree.files if path.endswith(".html") and path.count("/") == 0]
    return "." if pages and base == "." else None


def start(
    root: str,
    source: str,
    *,
    port: int = PORT,
    fallback: str | None = None,
    routes: tuple[ProxyRoute, ...] = (),
) -> StartPlan:
    """Serve a folder; unknown paths get ``fallback`` when the site is a single page."""
    process = process_of(root, source, port=port, fallback=fallback, routes=routes)
    return StartPlan(processes=(process,), port=port, source=source)


def process_of(
    root: str,
    source: str,
    *,
    port: int = PORT,
    fallback: str | None = None,
    routes: tuple[ProxyRoute, ...] = (),
    name: str = "static",
) -> Process:
    """The stand-in process that serves a folder."""
    site = ProxySite(port=port, root=root, fallback=fallback, routes=routes)
    return Process(name=name, argv=("static",), role=Role.PROXY, site=site, source=source)


def is_single_page(tree: Tree, index: str) -> bool:
    """Whether the page is an empty root that scripts fill."""
    text = tree.source(index)
    return (
        re.search(r"<div[^>]{0,80}id=[\"'](?:root|app)[\"'][^>]{0,80}>\s*</div>", text) is not None
    )
