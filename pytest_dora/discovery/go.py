"""Go modules: build, vet, tests, and the programs that serve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import at
from pytest_dora.model.plan import (
    BuildStep,
    Ecosystem,
    Manager,
    Package,
    Process,
    StartPlan,
    TestRunner,
    TestSuite,
    TypecheckStep,
    TypecheckTool,
)

MAX_DEPTH = 2
OUTPUT = "bin"
_MAIN = re.compile(r"(?m)^package main\b")
_MAIN_FUNCTION = re.compile(r"(?m)^func main\(\)")
_SERVES = re.compile(
    r"\bListenAndServe|\bhttp\.Serve\(|\.Run\(|\.Start\(|\.Listen\(|\bnet\.Listen\("
)
_ADDRESS_FLAG = re.compile(
    r"flag\.String(?:Var)?\((?:&\w[\w.]*,\s*)?\"(\w[\w-]{0,30})\",\s*\"([\w.\-]*):(\d{2,5})\""
)
_PORT_FLAG = re.compile(r"flag\.Int(?:Var)?\((?:&\w[\w.]*,\s*)?\"(\w*[pP]ort\w*|p)\",\s*(\d{2,5})")


def packages(tree: Tree) -> tuple[Package, ...]:
    """One package per ``go.mod``."""
    found: list[Package] = []
    for path in tree.files:
        if path.rsplit("/", 1)[-1] != "go.mod" or path.count("/") > MAX_DEPTH:
            continue
        folder = dirname(path) or "."
        if found and found[0].path == ".":
            tree.note(f"{path}: a nested module, ignored")
            continue
        version = re.search(r"(?m)^go\s+(\d[\d.]{0,20})", tree.text(path) or "")
        found.append(
            Package(
                path=folder,
                ecosystem=Ecosystem.GO,
                manager=Manager.GO,
                lockfile=tree.first(folder, "go.sum"),
                runtime_requires=version[1] if version else None,
                manifests=(path,),
                source=path,
            )
        )
    return tuple(found)


def builds(tree: Tree, package: Package) -> tuple[BuildStep, ...]:
    """``go build ./...``, with the programs written to one folder when there are any."""
    output = ("-o", f"{OUTPUT}/") if mains(tree, package.path) else ()
    return (
        BuildStep(
            name=f"go build {package.path}",
            argv=("go", "build", *output, "./..."),
            cwd=package.path,
            package=package.path,
            artefacts=(at(package.path, OUTPUT),) if output else (),
            source=package.source,
        ),
    )


def typechecks(package: Package) -> tuple[TypecheckStep, ...]:
    """``go vet ./...``."""
    return (
        TypecheckStep(
            name=f"go vet {package.path}",
            argv=("go", "vet", "./..."),
            cwd=package.path,
            package=package.path,
            tool=TypecheckTool.GO_VET,
            source=package.source,
        ),
    )


def tests(tree: Tree, package: Package) -> tuple[TestSuite, ...]:
    """``go test ./...`` when there is a test file."""
    files = [path for path in tree.below(package.path) if path.endswith("_test.go")]
    if not files:
        return ()
    return (
        TestSuite(
            name=f"go test {package.path}",
            argv=("go", "test", "./..."),
            cwd=package.path,
            package=package.path,
            runner=TestRunner.GO,
            files=tuple(files[:200]),
            source=files[0],
        ),
    )


def starts(tree: Tree, package: Package) -> Iterator[StartPlan]:
    """The built programs, those that serve first; an address flag is told our port."""
    for folder in mains(tree, package.path):
        name = binary(tree, package.path, folder)
        text = "\n".join(
            tree.source(path)
            for path in tree.files
            if (dirname(path) or ".") == folder and path.endswith(".go")
        )
        argv = [f"./{OUTPUT}/{name}"]
        address, port = _ADDRESS_FLAG.search(text), _PORT_FLAG.search(text)
        declared = None
        if address:
            argv += [f"-{address[1]}", f"{address[2] or '127.0.0.1'}:{{port}}"]
            declared = int(address[3])
        elif port:
            argv += [f"-{port[1]}", "{port}"]
            declared = int(port[2])
        process = Process(
            name=name, argv=tuple(argv), cwd=package.path, package=package.path, source=folder
        )
        yield StartPlan(processes=(process,), port=declared, source=f"{folder}:package main")


def mains(tree: Tree, base: str) -> tuple[str, ...]:
    """Folders with a program, those that open a server first."""
    found: dict[str, bool] = {}
    for path in tree.below(base):
        if not path.endswith(".go") or path.endswith("_test.go"):
            continue
        text = tree.source(path)
        if not _MAIN.search(text):
            continue
        folder = dirname(path) or "."
        serves = _SERVES.search(text) is not None
        if _MAIN_FUNCTION.search(text) or folder in found:
            found[folder] = found.get(folder, False) or serves
    return tuple(sorted(found, key=lambda folder: (not found[folder], folder.count("/"), folder)))


def binary(tree: Tree, base: str, folder: str) -> str:
    """The name that ``go build`` gives to the program of a folder."""
    if folder != base:
        return folder.rsplit("/", 1)[-1]
    module = re.search(r"(?m)^module\s+\"?([\w./\-]{1,200})", tree.text(at(base, "go.mod")) or "")
    parts = module[1].rstrip("/").split("/") if module else ["main"]
    if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]):
        parts = parts[:-1]
    return parts[-1]
