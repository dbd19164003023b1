"""Whole apps in the layouts that generators and people write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import (
    Ecosystem,
    Manager,
    Plan,
    Role,
    StartPlan,
    TestRunner,
    TypecheckTool,
)

Planner = Callable[[dict[str, Any]], Plan]
INDEX = '<html><body><div id="root"></div></body></html>'
VITE = {
    "scripts": {"dev": "vite", "build": "tsc -b && vite build", "preview": "vite preview"},
    "dependencies": {"react": "19"},
    "devDependencies": {"vite": "6", "typescript": "~5.8.2"},
}
FASTAPI = "from fastapi import FastAPI\n\napp = FastAPI()\n"
PREVIEW = ("vite", "preview", "--port", "{port}", "--host", "127.0.0.1")


def commands(start: StartPlan) -> list[tuple[str, ...]]:
    return [process.argv for process in start.processes]


def built(found: Plan) -> list[tuple[tuple[str, ...], str]]:
    return [(step.argv, step.cwd) for step in found.builds]


def test_a_page_built_by_vite_is_previewed_after_its_build(plan: Planner) -> None:
    found = plan({"package.json": VITE, "index.html": INDEX, "src/main.tsx": "x"})
    assert built(found) == [(("npm", "run", "build"), ".")]
    assert commands(found.starts[0]) == [PREVIEW]
    assert found.starts[0].source == "package.json:scripts.preview"
    assert found.starts[-1].dev_server
    assert found.stack == ("react", "vite", "node")


def test_next_starts_by_its_script_and_by_its_rule(plan: Planner) -> None:
    manifest = {
        "scripts": {"dev": "next dev", "build": "next build", "start": "next start"},
        "dependencies": {"next": "15", "react": "19"},
    }
    found = plan({"package.json": manifest, "app/page.tsx": "x", "pnpm-lock.yaml": ""})
    assert commands(found.starts[0]) == [("pnpm", "run", "start")]
    assert commands(found.starts[1]) == [("next", "start", "-p", "{port}", "-H", "127.0.0.1")]
    assert found.builds[0].artefacts == (".next",)


def test_next_that_exports_files_is_a_site(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"scripts": {"build": "next build"}, "dependencies": {"next": "15"}},
            "next.config.mjs": "export default { output: 'export' }",
        }
    )
    (process,) = found.starts[0].processes
    assert process.site is not None
    assert process.site.root == "out"


def test_express_and_vite_in_one_package(plan: Planner) -> None:
    manifest = {
        "scripts": {
            "dev": "tsx server/index.ts",
            "build": "vite build && esbuild server/index.ts --bundle --outdir=dist",
            "start": "NODE_ENV=production node dist/index.js",
            "check": "tsc",
        },
        "dependencies": {"express": "4", "react": "18"},
        "devDependencies": {"vite": "5", "typescript": "5.6.3", "tsx": "4"},
    }
    found = plan(
        {
            "package.json": manifest,
            "client/index.html": INDEX,
            "client/src/main.tsx": "x",
            "server/index.ts": "app.listen(5000)",
            "tsconfig.json": {"include": ["client/src", "server"]},
            "vite.config.ts": "export default { root: path.resolve(import.meta.dirname, 'client'),"
            " build: { outDir: path.resolve(import.meta.dirname, 'dist/public') } }",
            ".replit": 'run = "npm run dev"\n[deployment]\nrun = ["npm", "run", "start"]\n'
            "[[ports]]\nlocalPort = 5000\nexternalPort = 80\n",
        }
    )
    assert commands(found.starts[0]) == [("npm", "run", "start")]
    assert found.starts[0].source == ".replit:deployment.run"
    assert found.starts[0].port == 5000
    assert ("node", "dist/index.js") in [start.processes[0].argv for start in found.starts]
    assert found.builds[0].artefacts == ("dist/public", "dist")
    assert found.typechecks[0].argv == ("tsc", "--noEmit", "-p", "tsconfig.json")
    assert found.typechecks[0].source == "package.json:scripts.check"
    assert PREVIEW not in [start.processes[0].argv for start in found.starts]


def test_express_without_a_start_script_is_run_from_its_file(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"dependencies": {"express": "4", "vite": "5"}},
            "server/index.js": "app.listen(process.env.PORT)",
        }
    )
    assert commands(found.starts[0]) == [("node", "server/index.js")]


def test_node_builds_and_python_serves_in_one_root(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {**VITE, "scripts": {"build": "vite build", "dev": "vite"}},
            "index.html": INDEX,
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": FASTAPI + "app.mount('/', StaticFiles(directory='dist'))\n",
        }
    )
    assert [package.ecosystem for package in found.packages] == [Ecosystem.NODE, Ecosystem.PYTHON]
    assert {package.path for package in found.packages} == {"."}
    assert built(found) == [(("npm", "run", "build"), ".")]
    assert commands(found.starts[0])[0][0] == "uvicorn"
    assert [entry.module for entry in found.entry_modules] == ["main"]


def two_parts(backend: dict[str, Any]) -> dict[str, Any]:
    return {
        "frontend/package.json": VITE,
        "frontend/index.html": INDEX,
        "frontend/src/main.tsx": "x",
        "frontend/vite.config.ts": "server: { proxy: { '/api': { target: 'http://localhost:8001',"
        " changeOrigin: true, rewrite: (p) => p.replace(/^\\/api/, '') } } }",
        **backend,
    }


def test_a_server_and_a_client_without_a_root_stand_behind_one_door(plan: Planner) -> None:
    found = plan(
        two_parts({"backend/requirements.txt": "fastapi\nuvicorn", "backend/server.py": FASTAPI})
    )
    assert {package.path for package in found.packages} == {"backend", "frontend"}
    server, client = found.starts[0].processes
    assert server.argv[:2] == ("uvicorn", "server:app")
    assert server.argv[-1] == "8001"
    assert (server.cwd, server.package) == ("backend", "backend")
    assert client.role is Role.PROXY
    assert client.site is not None
    assert (client.site.root, client.site.fallback) == ("frontend/dist", "index.html")
    (route,) = client.site.routes
    assert (route.prefix, route.strip_prefix, route.upstream_port) == ("/api", True, 8001)
    assert found.starts[0].port == 8001


def test_a_server_that_serves_the_clients_files_needs_no_door(plan: Planner) -> None:
    served = FASTAPI + "app.mount('/', StaticFiles(directory='../frontend/dist', html=True))\n"
    found = plan(
        two_parts({"backend/requirements.txt": "fastapi\nuvicorn", "backend/app/main.py": served})
    )
    assert len(found.starts[0].processes) == 1
    assert found.starts[0].processes[0].argv[0] == "uvicorn"


def test_a_node_server_and_a_client_without_a_root(plan: Planner) -> None:
    found = plan(
        two_parts(
            {
                "backend/package.json": {
                    "scripts": {"start": "node index.js"},
                    "dependencies": {"express": "4"},
                },
                "backend/index.js": "app.listen(process.env.PORT || 8001)",
            }
        )
    )
    server, client = found.starts[0].processes
    assert (server.argv, server.cwd) == (("npm", "run", "start"), "backend")
    assert server.env["PORT"] == "8001"
    assert client.site is not None
    assert [one.cwd for one in found.builds] == ["frontend"]


def test_the_server_of_a_member_is_not_also_the_roots(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"workspaces": ["server"]},
            "server/package.json": {"dependencies": {"express": "4"}},
            "server/index.js": "app.listen(1)",
        }
    )
    assert [(one.processes[0].argv, one.processes[0].cwd) for one in found.starts] == [
        (("node", "index.js"), "server")
    ]


def test_a_root_script_that_starts_a_member_is_tried_before_the_members_own(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "workspaces": ["client", "server"],
                "scripts": {"start": "npm run start --workspace=server"},
            },
            "client/package.json": {"name": "client", **VITE},
            "client/index.html": INDEX,
            "server/package.json": {
                "name": "server",
                "scripts": {"start": "node index.js"},
                "dependencies": {"express": "4"},
            },
            "server/index.js": "app.use(express.static('../client/dist')); app.listen(1)",
        }
    )
    assert [one.processes[0].cwd for one in found.starts[:2]] == [".", "server"]


def test_a_root_script_that_starts_both_parts_is_tried_before_our_own_door(plan: Planner) -> None:
    root = {"package.json": {"scripts": {"start": "cd backend && uvicorn server:app"}}}
    backend = {"backend/requirements.txt": "fastapi\nuvicorn", "backend/server.py": FASTAPI}
    found = plan(two_parts(backend) | root)
    assert commands(found.starts[0]) == [("npm", "run", "start")]
    assert len(found.starts[1].processes) == 2


def test_create_react_app_is_served_from_its_build(plan: Planner) -> None:
    scripts = {
        "start": "react-scripts start",
        "build": "react-scripts build",
        "test": "react-scripts test",
    }
    found = plan(
        {
            "package.json": {
                "scripts": scripts,
                "dependencies": {"react-scripts": "5", "react": "18"},
            },
            "public/index.html": INDEX,
            "src/App.js": "x",
            "src/App.test.js": "test('x')",
        }
    )
    (process,) = found.starts[0].processes
    assert process.site is not None
    assert (process.site.root, process.site.fallback) == ("build", "index.html")
    assert commands(found.starts[-1]) == [("npm", "run", "start")]
    assert found.starts[-1].dev_server
    assert found.tests[0].runner is TestRunner.JEST


@pytest.mark.parametrize(
    ("dependencies", "build", "expected"),
    [
        ({"@sveltejs/kit": "2", "@sveltejs/adapter-node": "5", "vite": "6"}, "vite build", ("node", "build")),
        ({"@sveltejs/kit": "2", "@sveltejs/adapter-auto": "5", "vite": "6"}, "vite build", PREVIEW),
        ({"@remix-run/serve": "2", "@remix-run/dev": "2", "vite": "5"}, "remix vite:build", ("remix-serve", "./build/server/index.js")),
        ({"@react-router/serve": "7", "vite": "6"}, "react-router build", ("react-router-serve", "./build/server/index.js")),
        ({"nuxt": "3"}, "nuxt build", ("node", ".output/server/index.mjs")),
        ({"astro": "5"}, "astro build", ("astro", "preview", "--port", "{port}", "--host", "127.0.0.1")),
        ({"astro": "5", "@astrojs/node": "9"}, "astro build", ("node", "dist/server/entry.mjs")),
    ],
)  # fmt: skip
def test_frameworks_of_the_web(
    plan: Planner, dependencies: dict[str, str], build: str, expected: tuple[str, ...]
) -> None:
    manifest = {"scripts": {"build": build, "dev": "vite dev"}, "dependencies": dependencies}
    found = plan({"package.json": manifest, "src/app.html": INDEX})
    assert commands(found.starts[0]) == [expected]
    assert built(found) == [(("npm", "run", "build"), ".")]


def test_nx_builds_its_projects_and_runs_what_it_built(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {"start": "nx serve"},
                "dependencies": {"express": "4"},
                "devDependencies": {"nx": "20", "typescript": "5.6.0"},
            },
            "package-lock.json": "{}",
            "nx.json": "{}",
            "project.json": {
                "name": "shop",
                "targets": {
                    "build": {"options": {"outputPath": "dist/shop", "main": "src/main.ts"}}
                },
            },
            "src/main.ts": "app.listen(3000)",
            "tsconfig.json": {"files": [], "references": [{"path": "./tsconfig.app.json"}]},
            "tsconfig.app.json": {"include": ["src/**/*.ts"]},
        }
    )
    assert built(found) == [(("nx", "run-many", "-t", "build"), ".")]
    assert found.builds[0].artefacts == ("dist/shop",)
    assert commands(found.starts[0]) == [("node", "dist/shop/main.js")]
    assert found.starts[-1].dev_server
    assert [step.config for step in found.typechecks] == ["tsconfig.app.json"]


def test_trpc_and_vite_in_a_bun_workspace_stand_behind_one_door(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "private": True,
                "workspaces": ["web", "server"],
                "scripts": {"db": "x"},
            },
            "bun.lock": "",
            "web/package.json": VITE,
            "web/index.html": INDEX,
            "web/src/main.tsx": "x",
            "web/tsconfig.json": {"include": ["src"]},
            "server/package.json": {
                "scripts": {"build": "tsc", "dev": "bun --hot src/index.ts"},
                "dependencies": {"@trpc/server": "11"},
                "devDependencies": {"@types/bun": "1", "typescript": "5"},
            },
            "server/tsconfig.json": '{"compilerOptions": {"outDir": "./dist"}}',
            "server/src/index.ts": "createHTTPServer({router}).listen(process.env['SERVER_PORT'] || 2022)",
            "server/src/a.test.ts": "import { test } from 'bun:test'",
            "tests/smoke.spec.ts": "import { test } from '@playwright/test'",
        }
    )
    assert found.packages[0].members == ("web", "server")
    assert built(found) == [(("bun", "run", "build"), "web"), (("bun", "run", "build"), "server")]
    assert [step.artefacts for step in found.builds] == [("web/dist",), ("server/dist",)]
    assert [(suite.argv, suite.cwd, suite.files) for suite in found.tests] == [
        (("bun", "test"), "server", ("server/src/a.test.ts",))
    ]
    server, client = found.starts[0].processes
    assert (server.argv, server.cwd) == (("bun", "run", "src/index.ts"), "server")
    assert server.env == {"PORT": "2022"}
    assert client.site is not None
    assert client.site.root == "web/dist"
    assert [start.processes[0].argv for start in found.starts].count(PREVIEW) == 0


def test_laravel_is_the_app_and_a_leftover_server_is_not(plan: Planner) -> None:
    found = plan(
        {
            "composer.json": {"require": {"php": "^8.2", "laravel/framework": "^12"}},
            "composer.lock": "{}",
            "artisan": "#!/usr/bin/env php\n<?php",
            "package.json": {
                "scripts": {"build": "vite build", "types": "tsc --noEmit"},
                "devDependencies": {"vite": "6", "typescript": "5"},
            },
            "tsconfig.json": {"include": ["resources/js"]},
            "resources/js/app.ts": "x",
            "database/migrations/2024_a.php": "<?php",
            "tests/Feature/ATest.php": "<?php",
            "bootstrap/app.php": "health: '/up',",
            "server/package.json": {"dependencies": {"@trpc/server": "11"}},
            "server/src/index.ts": "process.env.LEFTOVER!; server.listen(2022)",
            ".env.example": "APP_KEY=\nDB_CONNECTION=sqlite\n",
        }
    )
    assert [(one.ecosystem, one.path) for one in found.packages] == [
        (Ecosystem.PHP, "."),
        (Ecosystem.NODE, "."),
    ]
    assert commands(found.starts[0]) == [
        ("php", "artisan", "serve", "--host", "127.0.0.1", "--port", "{port}")
    ]
    assert [step.argv[2] for step in found.starts[0].prepare] == ["migrate"]
    assert [step.tool for step in found.typechecks] == [TypecheckTool.TSC, TypecheckTool.PHP_LINT]
    assert found.tests[0].argv == ("php", "artisan", "test")
    assert found.health_paths == ("/up",)
    assert found.stack[0] == "laravel"
    assert any("server/package.json" in note for note in found.notes)
    assert "LEFTOVER" not in {one.name for one in found.env}


def test_php_without_a_framework_is_served_by_php(plan: Planner) -> None:
    found = plan({"composer.json": {"require": {"php": ">=8"}}, "public/index.php": "<?php"})
    assert commands(found.starts[0]) == [("php", "-S", "127.0.0.1:{port}", "-t", "public")]


def test_go_programs_are_built_and_told_their_port(plan: Planner) -> None:
    found = plan(
        {
            "go.mod": "module example.org/shop\n\ngo 1.22\n",
            "go.sum": "",
            "cmd/seed/main.go": "package main\nfunc main() {}\n",
            "cmd/web/main.go": 'package main\nvar a = flag.String("addr", ":8080", "x")\n'
            "func main() { http.ListenAndServe(*a, nil) }\n",
            "cmd/web/main_test.go": "package main\n",
        }
    )
    assert built(found) == [(("go", "build", "-o", "bin/", "./..."), ".")]
    assert commands(found.starts[0]) == [("./bin/web", "-addr", "127.0.0.1:{port}")]
    assert commands(found.starts[1]) == [("./bin/seed",)]
    assert found.starts[0].port == 8080
    assert found.packages[0].runtime_requires == "1.22"
    assert found.typechecks[0].argv == ("go", "vet", "./...")
    assert found.tests[0].argv == ("go", "test", "./...")


def test_a_go_library_is_built_without_programs(plan: Planner) -> None:
    found = plan({"go.mod": "module x\n", "a.go": "package x\n"})
    assert built(found) == [(("go", "build", "./..."), ".")]
    assert found.starts == ()


def test_an_image_of_a_go_program_runs_what_our_build_makes(plan: Planner) -> None:
    found = plan(
        {
            "go.mod": "module example.org/shop/v2\n",
            "main.go": 'package main\nfunc main() { http.ListenAndServe(":8080", nil) }\n',
            "Dockerfile": "FROM golang:1.22 AS b\nWORKDIR /src\nCOPY . .\nRUN go build -o /out/server .\n"
            "FROM alpine\nCOPY --from=b /out/server /server\nEXPOSE 8080\n"
            'ENV LEVEL=1\nENTRYPOINT ["/server"]\nCMD ["-v"]\n',
        }
    )
    assert commands(found.starts[0]) == [("{workdir}/bin/shop", "-v")]
    assert found.starts[0].processes[0].env == {"LEVEL": "1"}
    assert found.starts[0].port == 8080


def test_a_go_program_that_the_image_starts_from_its_folder(plan: Planner) -> None:
    found = plan(
        {
            "go.mod": "module shop\n",
            "cmd/api/main.go": 'package main\nfunc main() { http.ListenAndServe(":1", nil) }\n',
            "Dockerfile": "FROM golang\nWORKDIR /app\nCOPY . .\n"
            'RUN CGO_ENABLED=0 go build -o server ./cmd/api\nCMD ["./server"]\n',
        }
    )
    assert commands(found.starts[0]) == [("{workdir}/bin/api",)]


@pytest.mark.parametrize("folder", [".", "public", "site"])
def test_plain_files_are_served_by_us(plan: Planner, folder: str) -> None:
    found = plan({f"{folder}/index.html": "<h1>x</h1>", f"{folder}/style.css": "x"})
    (process,) = found.starts[0].processes
    assert process.role is Role.PROXY
    assert process.argv == ("static",)
    assert process.site is not None
    assert (process.site.root, process.site.fallback) == (folder, None)
    assert found.stack == ("static",)
    assert found.recognised


def test_a_page_that_scripts_fill_answers_every_path(plan: Planner) -> None:
    found = plan({"index.html": INDEX, "app.js": "x"})
    site = found.starts[0].processes[0].site
    assert site is not None
    assert site.fallback == "index.html"


def test_a_real_app_one_folder_down_is_the_app(plan: Planner) -> None:
    found = plan(
        {
            "README.md": "# x",
            "my-shop/package.json": {
                "scripts": {"start": "node a.js"},
                "dependencies": {"express": "4"},
            },
            "my-shop/a.js": "app.listen(1)",
            "my-shop/Procfile": "web: node a.js\n",
        }
    )
    assert [package.path for package in found.packages] == ["my-shop"]
    assert found.starts[0].source == "my-shop/Procfile"
    assert found.starts[0].processes[0].cwd == "my-shop"
    assert found.starts[0].processes[0].package == "my-shop"


def test_a_real_app_beside_an_empty_root_manifest_is_the_app(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"name": "x", "private": True},
            "shop/package.json": {
                "scripts": {"start": "node a.js"},
                "dependencies": {"express": "4"},
            },
            "shop/a.js": "app.listen(1)",
        }
    )
    assert [package.path for package in found.packages] == ["shop"]
    assert any("names nothing" in note for note in found.notes)


def test_an_empty_folder_is_not_recognised(plan: Planner) -> None:
    found = plan({})
    assert not found.recognised
    assert found.errors == ()
    assert found.builds == ()


# --- layouts that no list of ours has -------------------------------------------------------


def test_elysia_on_bun_without_a_workspace(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "module": "src/index.ts",
                "scripts": {"dev": "bun run --watch src/index.ts", "test": "bun test"},
                "dependencies": {"elysia": "1"},
                "devDependencies": {"bun-types": "1"},
            },
            "bun.lockb": b"\0",
            "src/index.ts": "new Elysia().get('/health', () => 'ok').listen(3000)",
            "tests/a.test.ts": "import { it } from 'bun:test'",
        }
    )
    assert commands(found.starts[0]) == [("bun", "run", "src/index.ts")]
    assert found.tests[0].argv == ("bun", "test")
    assert found.health_paths == ("/health",)


def test_nest_runs_the_file_that_it_builds(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {
                    "build": "nest build",
                    "start": "nest start",
                    "start:prod": "node dist/main",
                    "test": "jest",
                    "test:e2e": "jest --config ./test/jest-e2e.json",
                },
                "dependencies": {"@nestjs/core": "11"},
                "devDependencies": {"jest": "29", "typescript": "5"},
            },
            "yarn.lock": "",
            "src/main.ts": "await app.listen(process.env.PORT ?? 3000)",
            "src/a.spec.ts": "x",
            "tsconfig.json": "{}",
        }
    )
    assert commands(found.starts[0]) == [("yarn", "run", "start:prod")]
    assert found.tests[0].argv == ("jest",)


def test_turborepo_with_an_api_and_a_web_app(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "packageManager": "pnpm@9.1.0",
                "scripts": {"build": "turbo build", "test": "turbo test", "dev": "turbo dev"},
                "devDependencies": {"turbo": "2"},
            },
            "pnpm-lock.yaml": "",
            "pnpm-workspace.yaml": "packages: ['apps/*', 'packages/**']",
            "apps/api/package.json": {
                "name": "api",
                "scripts": {"build": "tsup", "start": "node dist/index.js", "test": "vitest run"},
                "dependencies": {"fastify": "5", "@shop/db": "workspace:*"},
            },
            "apps/api/src/index.ts": "app.listen({ port: 3001 })",
            "apps/api/src/a.test.ts": "x",
            "apps/web/package.json": {"name": "web", **VITE},
            "apps/web/index.html": INDEX,
            "packages/db/package.json": {"name": "@shop/db", "scripts": {"build": "tsc"}},
        }
    )
    assert found.packages[0].members == ("apps/api", "apps/web", "packages/db")
    assert built(found) == [(("pnpm", "run", "build"), ".")]
    api, web = found.starts[0].processes
    assert (api.argv, api.cwd) == (("pnpm", "run", "start"), "apps/api")
    assert web.site is not None
    assert [route.upstream_port for route in web.site.routes] == [3001]
    assert [(one.argv, one.cwd) for one in found.tests] == [(("vitest", "run"), "apps/api")]


def test_a_uv_workspace_with_an_api_of_its_own(plan: Planner) -> None:
    found = plan(
        {
            "pyproject.toml": '[project]\nname = "root"\ndependencies = []\n'
            '[tool.uv.workspace]\nmembers = ["services/*"]\n',
            "uv.lock": "",
            "services/api/pyproject.toml": '[project]\nname = "api"\ndependencies = ["fastapi"]\n',
            "services/api/main.py": FASTAPI,
        }
    )
    (package,) = found.packages
    assert package.members == ("services/api",)
    assert commands(found.starts[0])[0][0] == "uvicorn"


def test_django_in_a_subfolder_with_gunicorn_and_celery(plan: Planner) -> None:
    found = plan(
        {
            "requirements/base.txt": "Django\ncelery\npsycopg",
            "requirements/production.txt": "-r base.txt\ngunicorn",
            "requirements/dev.txt": "-r base.txt\npytest-django",
            "manage.py": "from django.core.management import execute_from_command_line",
            "config/wsgi.py": "application = get_wsgi_application()",
            "config/settings.py": "import os\nDATABASES = {'default': {'NAME': os.environ['POSTGRES_DB']}}",
            "shop/tests/test_a.py": "import pytest\ndef test_a(): ...",
            "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings",
            "Procfile": "release: python manage.py migrate\nweb: gunicorn config.wsgi\n"
            "worker: celery -A config worker\n",
        }
    )
    assert found.packages[0].manifests == ("requirements/production.txt", "requirements/dev.txt")
    start = found.starts[0]
    assert [step.argv for step in start.prepare] == [("python", "manage.py", "migrate")]
    assert [one.role for one in start.processes] == [Role.WEB, Role.WORKER]
    assert found.tests[0].runner is TestRunner.PYTEST
    assert [entry.module for entry in found.entry_modules] == ["config.wsgi"]


def test_a_static_site_with_a_python_api_in_the_same_folder(plan: Planner) -> None:
    found = plan(
        {
            "index.html": "<h1>x</h1>",
            "requirements.txt": "flask",
            "api/index.py": "from flask import Flask\napp = Flask(__name__)\n",
        }
    )
    assert commands(found.starts[0])[0][0] == "flask"


def test_angular_is_served_from_its_browser_folder(plan: Planner) -> None:
    config = {
        "projects": {
            "shop": {
                "architect": {"build": {"builder": "@angular-devkit/build-angular:application"}}
            }
        }
    }
    found = plan(
        {
            "package.json": {
                "scripts": {"start": "ng serve", "build": "ng build", "test": "ng test"},
                "dependencies": {"@angular/core": "19"},
                "devDependencies": {"@angular/cli": "19", "typescript": "5.6"},
            },
            "angular.json": config,
            "src/index.html": "<app-root></app-root>",
            "tsconfig.json": {"files": [], "references": [{"path": "./tsconfig.app.json"}]},
            "tsconfig.app.json": {"extends": "./tsconfig.json", "files": ["src/main.ts"]},
            "src/main.ts": "x",
        }
    )
    site = found.starts[0].processes[0].site
    assert site is not None
    assert site.root == "dist/shop/browser"
    assert [step.config for step in found.typechecks] == ["tsconfig.app.json"]
    assert found.starts[-1].dev_server


def test_vue_is_checked_by_its_own_checker(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {
                    "build": "run-p type-check build-only",
                    "build-only": "vite build",
                    "type-check": "vue-tsc --build",
                    "test:unit": "vitest",
                },
                "dependencies": {"vue": "3"},
                "devDependencies": {"vite": "6", "vue-tsc": "2", "typescript": "~5.7.0"},
            },
            "index.html": '<div id="app"></div>',
            "tsconfig.json": {"files": [], "references": [{"path": "./tsconfig.app.json"}]},
            "tsconfig.app.json": {"include": ["src/**/*", "src/**/*.vue"]},
            "src/App.vue": "<template/>",
            "src/__tests__/App.spec.ts": "x",
        }
    )
    assert [step.argv for step in found.typechecks] == [
        ("vue-tsc", "--noEmit", "-p", "tsconfig.app.json")
    ]
    assert found.tests[0].argv == ("vitest", "run")
    assert commands(found.starts[0]) == [PREVIEW]


def test_a_flask_factory_package_with_poetry(plan: Planner) -> None:
    found = plan(
        {
            "pyproject.toml": '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\nflask = "*"\n',
            "poetry.lock": "",
            "shop/__init__.py": "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n    return app\n",
            "shop/views.py": "x = 1",
            "tests/test_a.py": "from shop import create_app\ndef test_a(): ...",
        }
    )
    start = found.starts[0]
    assert commands(start)[0][:4] == ("flask", "--app", "shop:create_app()", "run")
    assert found.packages[0].manager is Manager.POETRY


def test_a_web_service_written_for_node_without_any_library(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"type": "module", "engines": {"node": ">=22"}},
            "server.js": "import http from 'node:http'\nhttp.createServer(f).listen(process.env.PORT)",
            "test/a.test.js": "import test from 'node:test'",
        }
    )
    assert commands(found.starts[0]) == [("node", "server.js")]
    assert found.tests[0].argv == ("node", "--test")
    assert found.packages[0].runtime_requires == ">=22"


def test_root_scripts_that_reach_into_unlinked_folders(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {
                    "install-all": "cd server && npm i && cd ../client && npm i",
                    "build": "cd client && npm run build",
                    "start": "cd server && node index.js",
                }
            },
            "server/package.json": {"dependencies": {"express": "4"}},
            "server/index.js": "app.listen(1)",
            "client/package.json": VITE,
            "client/index.html": INDEX,
        }
    )
    assert [package.path for package in found.packages] == [".", "client", "server"]
    assert [one.cwd for one in found.builds] == ["."]
    assert ("npm", "run", "start") in [start.processes[0].argv for start in found.starts]


def test_gradio_with_a_readme_of_a_hosting_space(plan: Planner) -> None:
    found = plan(
        {
            "README.md": "---\nsdk: gradio\napp_file: app.py\n---\n",
            "requirements.txt": "gradio==5.1",
            "app.py": "import gradio as gr\ngr.Interface(fn=f).launch()\n",
        }
    )
    assert commands(found.starts[0]) == [("python", "app.py")]
    assert found.entry_modules == ()


def test_a_monorepo_of_go_and_react(plan: Planner) -> None:
    found = plan(
        {
            "go.mod": "module shop\n",
            "main.go": 'package main\nfunc main() { http.ListenAndServe(":8080", nil) }\n',
            "web/package.json": VITE,
            "web/index.html": INDEX,
        }
    )
    assert [step.argv[0] for step in found.builds] == ["npm", "go"]
    server, web = found.starts[0].processes
    assert server.argv == ("./bin/shop",)
    assert web.site is not None
    assert web.site.routes[0].upstream_port == 8080


def test_pages_of_next_call_an_api_in_python(plan: Planner) -> None:
    found = plan(
        {
            "backend/requirements.txt": "fastapi\nuvicorn",
            "backend/main.py": FASTAPI,
            "frontend/package.json": {
                "scripts": {"dev": "next dev", "build": "next build", "start": "next start"},
                "dependencies": {"next": "15"},
            },
            "frontend/lib/api.ts": "const API = process.env.NEXT_PUBLIC_API || 'http://localhost:8010'",
        }
    )
    pages, server = found.starts[0].processes
    assert pages.argv == ("next", "start", "-p", "{port}", "-H", "127.0.0.1")
    assert (server.argv[-1], server.env) == ("8010", {"PORT": "8010"})
    assert found.starts[0].port == 3000


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"requirements.txt": "Django", "manage.py": "import django"}, ("python", "manage.py", "migrate", "--noinput")),
        ({"requirements.txt": "fastapi\nalembic", "main.py": FASTAPI, "alembic.ini": "[alembic]"}, ("alembic", "upgrade", "head")),
        (
            {"requirements.txt": "flask\nFlask-Migrate", "app.py": "from flask import Flask\napp = Flask(__name__)", "migrations/env.py": ""},
            ("flask", "--app", "app.py", "db", "upgrade"),
        ),
        (
            {
                "package.json": {"scripts": {"start": "node a.js", "db:push": "drizzle-kit push"}, "dependencies": {"pg": "8", "express": "4"}},
                "a.js": "app.listen(1); connect(process.env.DATABASE_URL)",
            },
            ("npm", "run", "db:push"),
        ),
        (
            {
                "package.json": {"scripts": {"start": "node a.js", "db:migrate": "prisma migrate dev"}, "dependencies": {"@prisma/client": "6", "express": "4"}},
                "prisma/schema.prisma": 'datasource db {\n provider = "postgresql"\n url = env("DATABASE_URL")\n}',
                "prisma/migrations/1/migration.sql": "",
            },
            ("prisma", "migrate", "deploy"),
        ),
    ],
)  # fmt: skip
def test_an_empty_database_is_migrated_before_a_start_that_nobody_declared(
    plan: Planner, files: dict[str, Any], expected: tuple[str, ...]
) -> None:
    found = plan(files)
    assert [step.argv for step in found.starts[0].prepare] == [expected]
    assert found.starts[1].prepare == ()
    assert commands(found.starts[0]) == commands(found.starts[1])


def test_what_is_declared_or_migrates_by_itself_is_left_as_it_is(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {"start": "node a.js", "prestart": "npm run db:push", "db:push": "x"},
                "dependencies": {"pg": "8"},
            },
            "a.js": "app.listen(1); connect(process.env.DATABASE_URL)",
        }
    )
    assert found.starts[0].prepare == ()
    found = plan({"requirements.txt": "Django", "manage.py": "import django", "Procfile": "web: x"})
    assert found.starts[0].prepare == ()


def test_two_lockfiles_and_a_stale_copy_of_the_entry(plan: Planner) -> None:
    found = plan(
        {
            "package.json": VITE,
            "bun.lockb": b"\0",
            "package-lock.json": "{}",
            "index.html": INDEX,
            "src/App.tsx": "x",
            "src/App.jsx": "x",
        }
    )
    assert found.packages[0].manager is Manager.NPM
    assert found.packages[0].lockfile == "package-lock.json"


def test_hono_in_one_file_with_tsx(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {"dev": "tsx watch src/index.ts"},
                "dependencies": {"hono": "4", "@hono/node-server": "1"},
                "devDependencies": {"tsx": "4"},
            },
            "src/index.ts": "serve({ fetch: app.fetch, port: 3000 })",
        }
    )
    assert commands(found.starts[0]) == [("tsx", "src/index.ts")]


def test_a_litestar_app_behind_granian(plan: Planner) -> None:
    found = plan(
        {
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["litestar", "granian"]\n',
            "app/main.py": "from app.db import x\nfrom litestar import Litestar\napp = Litestar([])\n",
            "Dockerfile": "FROM python:3.13-slim\nWORKDIR /code\nCOPY ./app ./app\n"
            'CMD ["granian", "--interface", "asgi", "app.main:app", "--port", "80"]\n',
        }
    )
    assert found.workdir == "/code"
    assert found.starts[0].port == 80
    assert [entry.module for entry in found.entry_modules] == ["app.main"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, "flask"),
        ({"server.py": "import http.server\nhttp.server.test()\n"}, "python"),
        ({"server.js": "const h = require('http')\nh.createServer(f).listen(3000)"}, "node"),
        ({"index.php": "<?php"}, "php"),
    ],
)
def test_one_file_without_any_manifest(plan: Planner, files: dict[str, Any], expected: str) -> None:
    found = plan({**files, "static/index.html": "<p>"})
    assert commands(found.starts[0])[0][0] == expected
    assert found.recognised


@pytest.mark.parametrize("name", ["Gemfile", "pom.xml", "Cargo.toml", "deno.json", "a.csproj"])
def test_ecosystems_that_cannot_be_judged_are_named(plan: Planner, name: str) -> None:
    found = plan({name: "{}"})
    assert not found.recognised
    assert any("not supported" in note for note in found.notes)


def test_a_folder_of_static_files_beside_a_server_is_no_site(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"scripts": {"start": "node a.js"}, "dependencies": {"express": "4"}},
            "index.js": "app.use(express.static('public')); app.listen(1)",
            "public/index.html": "<p>",
        }
    )
    assert all(process.role is Role.WEB for start in found.starts for process in start.processes)
