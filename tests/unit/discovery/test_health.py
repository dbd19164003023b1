from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Plan

Planner = Callable[[dict[str, Any]], Plan]
NODE = {"package.json": {"dependencies": {"express": "4"}}}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("main.py", '@app.get("/healthz")', "/healthz"),
        ("main.py", '@router.get(\n    "/api/v1/health-check/"\n)', "/api/v1/health-check/"),
        ("urls.py", 'path("health/", view)', "/health/"),
        ("src/a.ts", "app.get('/api/health', (req, res) => res.send())", "/api/health"),
        ("src/a.ts", "router.route(`/livez`)", "/livez"),
        ("main.go", 'http.HandleFunc("/readyz", f)', "/readyz"),
        ("src/a.ts", "  healthcheck: publicProcedure.query(() => 1)", "/healthcheck"),
        ("bootstrap/app.php", "health: '/up',", "/up"),
        ("app/api/health/route.ts", "export const GET = 1", "/api/health"),
        ("pages/api/healthz.ts", "export default 1", "/api/healthz"),
        ("src/routes/health/+server.ts", "export const GET = 1", "/health"),
    ],
)
def test_routes_for_health_are_found(plan: Planner, path: str, text: str, expected: str) -> None:
    assert plan({**NODE, path: text}).health_paths == (expected,)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/a.tsx", "fetch('/api/health')"),
        ("src/a.ts", "axios.get('/health')"),
        ("src/a.ts", "app.get('/healthcare/plans', f)"),
        ("src/a.ts", "app.get('/startup', f)"),
        ("src/a.ts", "const Healthcare = 'health'"),
        ("tests/a.test.ts", "app.get('/health', f)"),
        (".cursor/rules/server.ts", "app.get('/health', f)"),
        ("README.md", "app.get('/health', f)"),
        ("src/a.ts", "app.get(`/${x}/health`, f)"),
    ],
)
def test_what_only_looks_like_health_is_not(plan: Planner, path: str, text: str) -> None:
    assert plan({**NODE, path: text}).health_paths == ()


def test_streamlit_has_a_path_of_its_own(plan: Planner) -> None:
    found = plan(
        {"requirements.txt": "streamlit", "app.py": "import streamlit as st\nst.title('x')"}
    )
    assert found.health_paths == ("/_stcore/health",)


def test_declared_paths_come_before_routes(plan: Planner) -> None:
    found = plan(
        {
            **NODE,
            "a.js": "app.get('/health', f); app.listen(1)",
            "Dockerfile": "FROM node\nHEALTHCHECK CMD wget -q http://127.0.0.1/declared?x=1 || exit 1\nCMD node a.js",
        }
    )
    assert found.health_paths == ("/declared", "/health")
