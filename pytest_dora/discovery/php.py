"""PHP projects, above all Laravel."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import at
from pytest_dora.discovery.parse import string, table
from pytest_dora.model.plan import (
    Ecosystem,
    Manager,
    Package,
    Process,
    StartPlan,
    Step,
    TestRunner,
    TestSuite,
    TypecheckStep,
    TypecheckTool,
)

MAX_DEPTH = 1


def packages(tree: Tree) -> tuple[Package, ...]:
    """One package per ``composer.json``."""
    found: list[Package] = []
    for path in tree.files:
        if path.rsplit("/", 1)[-1] != "composer.json" or path.count("/") > MAX_DEPTH:
            continue
        folder = dirname(path) or "."
        content = tree.json(path)
        if not content or found:
            continue
        found.append(
            Package(
                path=folder,
                ecosystem=Ecosystem.PHP,
                manager=Manager.COMPOSER,
                lockfile=tree.first(folder, "composer.lock"),
                runtime_requires=string(table(content.get("require")).get("php")),
                manifests=(path,),
                source=path,
            )
        )
    return tuple(found)


def is_laravel(tree: Tree, package: Package) -> bool:
    """Whether the package is a Laravel application."""
    requires = table(tree.json(package.source).get("require"))
    return tree.has(at(package.path, "artisan")) and "laravel/framework" in requires


def typechecks(tree: Tree, package: Package) -> tuple[TypecheckStep, ...]:
    """``php -l``, for every file of the package's own code."""
    if not any(path.endswith(".php") for path in tree.below(package.path)):
        return ()
    return (
        TypecheckStep(
            name=f"php -l {package.path}",
            argv=("php", "-l"),
            cwd=package.path,
            package=package.path,
            tool=TypecheckTool.PHP_LINT,
            source=package.source,
        ),
    )


def tests(tree: Tree, package: Package) -> tuple[TestSuite, ...]:
    """PHPUnit or Pest, through artisan in Laravel."""
    prefix = "" if package.path == "." else f"{package.path}/"
    files = [
        path
        for path in tree.below(package.path)
        if path.startswith(f"{prefix}tests/") and path.endswith("Test.php")
    ]
    if not files:
        return ()
    requires = table(tree.json(package.source).get("require-dev"))
    if is_laravel(tree, package):
        argv: tuple[str, ...] = ("php", "artisan", "test")
    else:
        argv = ("vendor/bin/pest",) if "pestphp/pest" in requires else ("vendor/bin/phpunit",)
    config = tree.first(package.path, "phpunit.xml", "phpunit.xml.dist")
    return (
        TestSuite(
            name=f"{argv[-1]} {package.path}",
            argv=argv,
            cwd=package.path,
            package=package.path,
            runner=TestRunner.PHPUNIT,
            files=tuple(files[:200]),
            source=config or files[0],
        ),
    )


def starts(tree: Tree, package: Package) -> Iterator[StartPlan]:
    """``artisan serve`` after the migrations, else PHP's own server."""
    argv: tuple[str, ...]
    if is_laravel(tree, package):
        prepare: list[Step] = []
        if any("/migrations/" in path for path in tree.below(package.path)):
            prepare.append(_step(package, "migrate", ("php", "artisan", "migrate", "--force")))
        argv = ("php", "artisan", "serve", "--host", "127.0.0.1", "--port", "{port}")
        yield _start(package, argv, at(package.path, "artisan"), prepare)
        return
    for folder in ("public", "web", "."):
        index = tree.first(package.path, f"{folder}/index.php")
        if index:
            argv = ("php", "-S", "127.0.0.1:{port}", "-t", folder)
            yield _start(package, argv, index, [])
            return


def _start(package: Package, argv: tuple[str, ...], source: str, prepare: list[Step]) -> StartPlan:
    process = Process(name="web", argv=argv, cwd=package.path, package=package.path, source=source)
    return StartPlan(prepare=tuple(prepare), processes=(process,), source=source)


def _step(package: Package, name: str, argv: tuple[str, ...]) -> Step:
    source = at(package.path, "artisan")
    return Step(name=name, argv=argv, cwd=package.path, package=package.path, source=source)
