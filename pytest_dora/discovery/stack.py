"""Names of what an app is made of, the most telling first."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_dora.discovery import php
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.node import at
from pytest_dora.discovery.python_code import Application
from pytest_dora.model.plan import Ecosystem, Manager

_NODE = (
    ("next", ("next",)),
    ("nuxt", ("nuxt",)),
    ("remix", ("@remix-run/react", "@remix-run/node")),
    ("react-router", ("@react-router/dev",)),
    ("sveltekit", ("@sveltejs/kit",)),
    ("astro", ("astro",)),
    ("nestjs", ("@nestjs/core",)),
    ("appkit", ("@databricks/appkit",)),
    ("trpc", ("@trpc/server",)),
    ("express", ("express",)),
    ("fastify", ("fastify",)),
    ("hono", ("hono",)),
    ("koa", ("koa",)),
    ("angular", ("@angular/core",)),
    ("react", ("react",)),
    ("vue", ("vue",)),
    ("svelte", ("svelte",)),
    ("cra", ("react-scripts",)),
    ("vite", ("vite",)),
    ("nx", ("nx",)),
    ("turborepo", ("turbo",)),
    ("prisma", ("prisma", "@prisma/client")),
    ("drizzle", ("drizzle-orm",)),
)


def names(context: Context, applications: Mapping[str, tuple[Application, ...]]) -> tuple[str, ...]:
    """What was recognised."""
    found = [
        "laravel"
        for package in context.packages
        if package.ecosystem is Ecosystem.PHP and php.is_laravel(context.tree, package)
    ]
    for project in context.python:
        if context.tree.has(at(project.path, "manage.py")):
            found.append("django")
        found.extend(one.framework.value for one in applications.get(project.path, ())[:2])
    found += [
        name
        for name, dependencies in _NODE
        if any(project.has(*dependencies) for project in context.node)
    ]
    for package in context.packages:
        if package.manager is Manager.BUN:
            found.append("bun")
        found.append(package.ecosystem.value)
    if not found and any(path.endswith("index.html") for path in context.tree.files):
        found.append("static")
    return tuple(dict.fromkeys(found))
