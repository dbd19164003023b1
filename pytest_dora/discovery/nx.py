"""Projects of an Nx workspace: where their builds go and how the built servers are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import NodeProject, at
from pytest_dora.discovery.parse import string, table

_E2E = re.compile(r"(?:^|[-_/])e2e(?:$|[-_/])")
_FOR_BROWSERS = re.compile(r"vite|angular|:rollup|:storybook|next|browser|@nx/react|@nx/web[:/]")


@dataclass(frozen=True)
class NxProject:
    """An application with a ``build`` target."""

    name: str
    output: str
    """Folder of the build, relative to the app's root."""
    serves: bool
    """A program for Node, not a page."""
    file: str


def projects(tree: Tree, project: NodeProject) -> tuple[NxProject, ...]:
    """Applications of the workspace at ``project``, servers first."""
    if not tree.has(at(project.path, "nx.json")):
        return ()
    found = list(_read(tree, project))
    return tuple(sorted(found, key=lambda one: not one.serves))


def _read(tree: Tree, project: NodeProject) -> Iterator[NxProject]:
    for path in tree.below(project.path):
        if path.rsplit("/", 1)[-1] != "project.json" or path.count("/") > 4:
            continue
        content = tree.json(path)
        folder = path.rpartition("/")[0] or "."
        name = string(content.get("name")) or folder.rsplit("/", 1)[-1]
        build = table(table(content.get("targets")).get("build"))
        options = table(build.get("options"))
        declared = string(options.get("outputPath"))
        if not build or content.get("projectType") == "library" or _E2E.search(f"{folder}/{name}"):
            continue
        text = (declared or f"dist/{folder}").replace("{workspaceRoot}/", "")
        text = text.replace("{projectRoot}", folder).replace("{projectName}", name)
        output = join(project.path, text)
        if output is None:
            continue
        executor = string(build.get("executor")) or ""
        main = string(options.get("main")) or ""
        serves = not _FOR_BROWSERS.search(executor) and not main.endswith("main.tsx")
        yield NxProject(name, output, serves, path)
