"""What stands in for a web server that the app's image has and this machine has not.

It does the two things that generated apps ask of caddy and nginx: serve the built files with a
fallback page, and pass some paths on to the app's own port. It runs on our side of the sandbox
and says so in every report that it appears in.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from pytest_dora.model.plan import Process, ProxySite
from pytest_dora.runtime.files import read_regular
from pytest_dora.runtime.http import BODY_BYTES, NoAnswer, Response, request
from pytest_dora.runtime.sandbox.spec import SandboxLost
from pytest_dora.runtime.view import WorkspaceView


class StandIn:
    """Answers requests as the described site would."""

    def __init__(self, view: WorkspaceView, process: Process) -> None:
        self.view = view
        self.name = process.name
        self.replaces = process.argv[0]
        self.site = process.site or ProxySite(port=80)
        self.port = self.site.port

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """One request; raises NoAnswer when it was passed on and nobody answered."""
        for route in self.site.routes:
            if path.startswith(route.prefix):
                onward = path[len(route.prefix) :] if route.strip_prefix else path
                return self._pass_on(
                    route.upstream_port,
                    onward if onward.startswith("/") else f"/{onward}",
                    method=method,
                    headers=headers,
                    body=body,
                )
        return self._file(path)

    def _pass_on(
        self,
        port: int,
        path: str,
        *,
        method: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Response:
        try:
            return request(
                lambda: self.view.sandbox.connect(port),
                path,
                method=method,
                headers=headers,
                body=body,
            )
        except SandboxLost as error:
            raise NoAnswer(str(error)) from error

    def _file(self, path: str) -> Response:
        folder = self.site.root or "."
        wanted = unquote(path.partition("?")[0]).strip("/") or "."
        candidates = [wanted, f"{wanted}/index.html"]
        if self.site.fallback:
            candidates.append(self.site.fallback)
        for name in candidates:
            # from the tree's own root: the site's folder may be a link by now, or lead upwards
            body = read_regular(self.view.root, f"{folder}/{name}", BODY_BYTES)
            if body is not None:
                kind = mimetypes.guess_type(Path(name).name)[0] or "application/octet-stream"
                return Response(200, {"content-type": kind}, body)
        return Response(404, {"content-type": "text/plain"}, b"not found")

    def close(self) -> None:
        """Nothing of ours stays open."""
