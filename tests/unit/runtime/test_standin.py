"""What stands in for a web server gives out the site's files, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.model.plan import Process, ProxyRoute, ProxySite, Role
from pytest_dora.runtime.http import NoAnswer
from pytest_dora.runtime.sandbox.box import Sandbox
from pytest_dora.runtime.sandbox.select import self_test
from pytest_dora.runtime.sandbox.spec import SandboxSpec, Tier
from pytest_dora.runtime.standin import StandIn
from pytest_dora.runtime.view import WorkspaceView

ECHO = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['X-A']} {body}".encode())
http.server.HTTPServer(("127.0.0.1", 4000), Handler).serve_forever()
"""


def stand_in(root: Path, site: ProxySite, sandbox: Sandbox | None = None) -> StandIn:
    view = cast("WorkspaceView", SimpleNamespace(root=root, sandbox=sandbox))
    process = Process(
        name="caddy", argv=("caddy", "run"), role=Role.PROXY, site=site, source="Caddyfile:1"
    )
    return StandIn(view, process)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outer") / "tree"
    (root / "dist/assets").mkdir(parents=True)
    (root / "dist/index.html").write_text("<h1>home</h1>")
    (root / "dist/assets/app.js").write_text("run()")
    (root / "dist/assets/index.html").write_text("assets")
    (root / "dist/größe 1.txt").write_text("name")
    (root / "secret").write_text("the app's own secret")
    (root.parent / "outside").write_text("the host's secret")
    (root / "dist/link").symlink_to("/etc/passwd")
    (root / "dist/folder-link").symlink_to("/etc")
    (root / "linked-dist").symlink_to("/etc")
    return root


@pytest.fixture(scope="module")
def site(tree: Path) -> StandIn:
    return stand_in(tree, ProxySite(port=80, root="dist"))


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/", "<h1>home</h1>", "text/html"),
        ("/index.html", "<h1>home</h1>", "text/html"),
        ("/?page=1", "<h1>home</h1>", "text/html"),
        ("/assets/app.js", "run()", "text/javascript"),
        ("/assets/app.js?v=1?w=2", "run()", "text/javascript"),
        ("/assets", "assets", "text/html"),
        ("/assets/", "assets", "text/html"),
        ("//assets//app.js", "run()", "text/javascript"),
        ("assets/app.js", "run()", "text/javascript"),
        ("", "<h1>home</h1>", "text/html"),
        ("/gr%C3%B6%C3%9Fe%201.txt", "name", "text/plain"),
    ],
)
def test_files_of_the_site_are_served(site: StandIn, path: str, body: str, kind: str) -> None:
    answer = site.request(path)
    assert (answer.status, answer.text, answer.content_type) == (200, body, kind)


HOSTILE = [
    "/../secret",
    "/../../outside",
    "/../../../../../../../../etc/passwd",
    "/%2e%2e/secret",
    "/%2e%2e%2fsecret",
    "/..%2f..%2foutside",
    "/%252e%252e/secret",
    "/assets/../../secret",
    "/./../secret",
    "..",
    "../secret",
    "//etc/passwd",
    "///etc/passwd",
    "/%2fetc/passwd",
    "/%2Fetc%2Fpasswd",
    "/..\\secret",
    "/link",
    "/folder-link/passwd",
    "/index.html%00.txt",
    "/%00",
    "/\0",
    "/\ud800",
    "/%ff%fe",
    "/" + "a" * 5000,
    "/" + "a/" * 5000,
    "/assets/app.js/more",
    "http://evil.example/",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_out_of_the_site(site: StandIn, path: str) -> None:
    answer = site.request(path)
    assert (answer.status, answer.text) == (404, "not found")


@pytest.mark.parametrize("path", HOSTILE)
def test_a_fallback_page_is_served_for_what_is_not_there(tree: Path, path: str) -> None:
    with_fallback = stand_in(tree, ProxySite(port=80, root="dist", fallback="index.html"))
    assert with_fallback.request(path).text == "<h1>home</h1>"


@given(st.text(max_size=60))
def test_any_path_has_an_answer_without_secrets(site: StandIn, path: str) -> None:
    answer = site.request(path)
    assert answer.status in {200, 404}
    assert b"secret" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "root", ["/etc", "..", "../..", "dist/../..", "linked-dist", "dist/folder-link"]
)
def test_a_site_outside_of_the_tree_is_not_served(tree: Path, root: str) -> None:
    hostile = stand_in(tree, ProxySite(port=80, root=root, fallback="passwd"))
    for path in ("/passwd", "/outside", "/secret", "/"):
        assert hostile.request(path).status == 404


@pytest.mark.parametrize("fallback", ["/etc/passwd", "../secret", "link", "folder-link/passwd"])
def test_a_fallback_outside_of_the_site_is_not_served(tree: Path, fallback: str) -> None:
    hostile = stand_in(tree, ProxySite(port=80, root="dist", fallback=fallback))
    assert hostile.request("/missing").status == 404


def test_a_site_without_a_folder_is_the_tree(tree: Path) -> None:
    assert stand_in(tree, ProxySite(port=80)).request("/dist/index.html").status == 200


@pytest.fixture(scope="module")
def backend() -> Iterator[Sandbox]:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    with Sandbox.open(SandboxSpec(name="backend", env={"PATH": "/usr/bin:/bin"})) as sandbox:
        server = sandbox.spawn(["python3", "-c", ECHO])
        while not sandbox.listeners():
            assert server.wait(0.02) is None, server.log.tail()
        yield sandbox


@pytest.mark.parametrize(
    ("prefix", "strip", "path", "seen"),
    [
        ("/api", False, "/api/items?x=1", "/api/items?x=1"),
        ("/api", True, "/api/items", "/items"),
        ("/api", True, "/api", "/"),
        ("/api/", True, "/api/items", "/items"),
        ("/", False, "/anything/../x", "/anything/../x"),
    ],
)
def test_routes_are_passed_on_to_the_apps_port(
    tree: Path, backend: Sandbox, prefix: str, strip: bool, path: str, seen: str
) -> None:
    route = ProxyRoute(prefix=prefix, strip_prefix=strip, upstream_port=4000)
    proxy = stand_in(tree, ProxySite(port=80, root="dist", routes=(route,)), backend)
    answer = proxy.request(path, method="POST", headers={"X-A": "b"}, body=b"sent")
    assert answer.text == f"{seen} b b'sent'"


def test_a_port_that_nobody_listens_on_is_no_answer(tree: Path, backend: Sandbox) -> None:
    route = ProxyRoute(prefix="/", upstream_port=4001)
    with pytest.raises(NoAnswer, match="refused"):
        stand_in(tree, ProxySite(port=80, routes=(route,)), backend).request("/")


def test_a_port_of_the_host_is_out_of_reach(tree: Path, backend: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = ProxyRoute(prefix="/", upstream_port=listener.getsockname()[1])
        with pytest.raises(NoAnswer):
            stand_in(tree, ProxySite(port=80, routes=(route,)), backend).request("/")


def test_a_sandbox_that_has_ended_is_no_answer(tree: Path) -> None:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    with Sandbox.open(SandboxSpec(name="ended", env={"PATH": "/usr/bin:/bin"})) as sandbox:
        pass
    route = ProxyRoute(prefix="/", upstream_port=4000)
    with pytest.raises(NoAnswer):
        stand_in(tree, ProxySite(port=80, routes=(route,)), sandbox).request("/")
