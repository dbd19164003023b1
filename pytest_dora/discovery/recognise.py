"""Puts together what the recognisers read: the plan of one app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import dirname

from pytest_dora.discovery import (
    combined,
    compose,
    container,
    declared,
    entry,
    env,
    go,
    health,
    launch,
    migrations,
    node,
    node_build,
    node_start,
    node_tests,
    php,
    platforms,
    python,
    python_checks,
    python_code,
    services,
    stack,
    static,
    tsconfig,
    unsupported,
)
from pytest_dora.discovery.compose import Compose
from pytest_dora.discovery.container import Image
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.python_code import Application
from pytest_dora.discovery.starts import distinct, without_services
from pytest_dora.model.plan import (
    BuildStep,
    Ecosystem,
    EntryModule,
    EnvVar,
    Package,
    Plan,
    Process,
    StartPlan,
    TestSuite,
    TypecheckStep,
)

MAX_STARTS = 12


@dataclass
class _Found:
    """Everything that was recognised, before it becomes a plan."""

    context: Context
    images: list[Image] = field(default_factory=list)
    compose: Compose | None = None
    env: list[EnvVar] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    applications: dict[str, tuple[Application, ...]] = field(default_factory=dict)
    two_parts: tuple[StartPlan, ...] = ()
    """The plan that starts a server and a client together, when the app has both."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The root and the folders of the packages."""
        return tuple(dict.fromkeys((".", *(one.path for one in self.context.packages))))


def plan_of(tree: Tree) -> Plan:
    """The plan of the app whose files ``tree`` holds."""
    found = _packages(tree)
    context = found.context
    _read_containers(found)
    for project in context.python:
        inner = [one for one in found.folders if one != project.path]
        found.applications[project.path] = python_code.applications(tree, project, inner)
    found.two_parts = tuple(combined.starts(context, found.applications))
    declarations, rules = list(_declared_starts(found)), list(_rules(found))
    sources = env.source_files(tree, _ignored(found))
    reads = env.reads(tree, sources)
    _declared_env(found)
    variables = env.variables(tree, reads, found.folders, found.env)
    needs = services.services(context, sources, reads, variables, found.compose)
    names = stack.names(context, found.applications)
    rules = migrations.with_migrations(context, rules, needs)
    starts = distinct([*declarations, *rules])
    return Plan(
        stack=names,
        workdir=_workdir(found),
        packages=tuple(context.packages),
        builds=tuple(_builds(found)),
        entry_modules=_entry_modules(found, starts),
        typechecks=tuple(_typechecks(found)),
        tests=tuple(_tests(found)),
        starts=tuple(without_services(start, needs) for start in starts[:MAX_STARTS]),
        services=needs,
        env=variables,
        health_paths=_health(found, sources, names),
        notes=tuple(tree.notes),
        errors=tuple(tree.errors),
    )


def _packages(tree: Tree) -> _Found:
    php_packages = php.packages(tree)
    laravel = any(php.is_laravel(tree, one) for one in php_packages)
    node_packages, node_projects = node.find(tree, leftovers=laravel)
    python_packages, python_projects = python.find(tree, leftovers=laravel)
    packages = (*php_packages, *node_packages, *python_packages, *go.packages(tree))
    if not packages:
        packages, python_projects = python.without_manifest(tree)
    unsupported.note(tree, packages)
    return _Found(Context(tree, packages, node_projects, python_projects))


def _read_containers(found: _Found) -> None:
    """Images and the compose file, and what they say of interpreters and requirements."""
    tree = found.context.tree
    found.compose = compose.read(tree, found.folders)
    for path, folder in container.find_dockerfiles(tree, found.folders):
        image = container.read_image(tree, path, folder)
        if image is not None:
            found.images.append(image)
    built = [one.image for one in found.compose.services.values()] if found.compose else []
    packages = list(found.context.packages)
    for image in (*found.images, *(one for one in built if one)):
        packages = [_completed(package, image) for package in packages]
    found.context.packages = packages


def _completed(package: Package, image: Image) -> Package:
    """A package with the interpreter and the requirements that only the image names."""
    if image.context not in (".", package.path):
        return package
    update: dict[str, object] = {}
    base = container.base_version(image)
    if base and base[0] is package.ecosystem and package.runtime_requires is None:
        update["runtime_requires"] = base[1]
    if package.ecosystem is Ecosystem.PYTHON:
        extra = container.extra_requirements(image, image.stage.runs)
        known = package.extra_requirements
        update["extra_requirements"] = (*known, *(one for one in extra if one not in known))
    return package.model_copy(update=update) if update else package


def _declared_starts(found: _Found) -> Iterator[StartPlan]:
    """What an operator declared: for the evaluator, a platform, an image."""
    yield from declared.dora_toml(found.context)
    yield from _declared_in(found, ".")
    # in an app of two parts, a declaration in a folder starts only one of them
    if not found.two_parts:
        for folder in found.folders[1:]:
            yield from _declared_in(found, folder)


def _rules(found: _Found) -> Iterator[StartPlan]:
    """What scripts and frameworks would do, production before development."""
    context = found.context
    projects = node_start.ordered(context.node)
    servers = [one for one in projects if not node_start.is_only_pages(context.tree, one)]
    conductors = [one for one in servers if not node_start.serves(context.tree, one)]
    yield from node_start.script_starts([one for one in conductors if one.path == "."])
    yield from found.two_parts
    if found.two_parts:
        for folder in found.folders[1:]:
            yield from _declared_in(found, folder)
    for package in context.packages:
        if package.ecosystem is Ecosystem.PHP:
            yield from php.starts(context.tree, package)
    python_serves = any(found.applications.values()) or any(
        context.tree.has(node.at(project.path, "manage.py")) for project in context.python
    )
    if python_serves:
        yield from node_start.script_starts(servers)
        yield from _python_starts(found)
    served = python_serves or any(
        one.ecosystem in (Ecosystem.PHP, Ecosystem.GO) for one in context.packages
    )
    served = served or any(node_start.serves(context.tree, one) for one in projects)
    alone = servers if served else projects
    yield from node_start.script_starts(alone)
    yield from node_start.framework_starts(context, alone, clients=not served)
    if not python_serves:
        yield from _python_starts(found)
    for package in context.packages:
        if package.ecosystem is Ecosystem.GO:
            yield from go.starts(context.tree, package)
    yield from _bare_files(context)
    yield from _static(found)
    yield from node_start.dev_starts([one for one in projects if one in alone or not one.member])


def _declared_in(found: _Found, folder: str) -> Iterator[StartPlan]:
    context = found.context
    platform, variables = declared.app_yaml(context, folder)
    found.env.extend(variables)
    if platform:
        yield platform
    else:
        platform, variables = declared.bundle(context, folder)
        found.env.extend(variables)
        if platform:
            yield platform
    yield from declared.procfile(context, folder)
    for image in found.images:
        if image.context == folder:
            start = container.start_of(context, image)
            if start:
                yield start
    beside = found.compose.path.rpartition("/")[0] or "." if found.compose else None
    if found.compose and beside == folder:
        start = compose.start_of(context, found.compose)
        if start:
            yield start
    if folder == ".":
        yield from declared.replit(context)
        yield from platforms.starts(context)


def _python_starts(found: _Found) -> Iterator[StartPlan]:
    for project in found.context.python:
        applications = found.applications[project.path]
        yield from python_code.framework_starts(found.context.tree, project, applications)


def _bare_files(context: Context) -> Iterator[StartPlan]:
    """A server in one file of a folder that has no manifest at all."""
    if context.packages:
        return
    node_file = node_start.bare_server(context.tree)
    php_file = context.tree.first(".", "index.php", "public/index.php")
    if node_file:
        yield launch.assemble(
            [Process(name="web", argv=("node", node_file), source=node_file)], (), node_file, None
        )
    elif php_file:
        folder = php_file.rpartition("/")[0] or "."
        argv = ("php", "-S", "127.0.0.1:{port}", "-t", folder)
        process = Process(name="web", argv=argv, source=php_file)
        yield launch.assemble([process], (), php_file, None)


def _static(found: _Found) -> Iterator[StartPlan]:
    """Plain files, when nothing else is there that could serve."""
    context = found.context
    if any(package.ecosystem is not Ecosystem.NODE for package in context.packages):
        return
    if not context.packages and next(_bare_files(context), None):
        return
    if any(project.has("vite", "next", "react-scripts", "astro") for project in context.node):
        return
    if any(node_start.server_command(context.tree, project) for project in context.node):
        return
    folder = static.site_folder(context.tree)
    if folder is not None:
        index = node.at(folder, "index.html")
        fallback = "index.html" if static.is_single_page(context.tree, index) else None
        yield static.start(folder, index, fallback=fallback)


def _builds(found: _Found) -> Iterator[BuildStep]:
    """JavaScript first: servers of other languages serve what it builds."""
    context = found.context
    yield from node_build.builds(context.tree, context.node)
    for package in context.packages:
        if package.ecosystem is Ecosystem.GO:
            yield from go.builds(context.tree, package)


def _typechecks(found: _Found) -> Iterator[TypecheckStep]:
    context = found.context
    yield from tsconfig.typechecks(context.tree, context.node)
    for project in context.python:
        yield from python_checks.typechecks(context.tree, project)
    for package in context.packages:
        if package.ecosystem is Ecosystem.GO:
            yield from go.typechecks(package)
        elif package.ecosystem is Ecosystem.PHP:
            yield from php.typechecks(context.tree, package)


def _tests(found: _Found) -> Iterator[TestSuite]:
    context = found.context
    yield from node_tests.tests(context.tree, context.node)
    for project in context.python:
        inner = [one.path for one in context.python if one.path != project.path]
        yield from python_checks.tests(context.tree, project, inner)
    for package in context.packages:
        if package.ecosystem is Ecosystem.GO:
            yield from go.tests(context.tree, package)
        elif package.ecosystem is Ecosystem.PHP:
            yield from php.tests(context.tree, package)


def _entry_modules(found: _Found, starts: Sequence[StartPlan]) -> tuple[EntryModule, ...]:
    """The modules that the first candidate loads, else those of the likeliest file."""
    context = found.context
    modules: list[EntryModule] = []
    for project in context.python:
        applications = found.applications[project.path]
        for start in starts[:1]:
            modules.extend(entry.entry_of_start(context, project, start, applications))
    if not modules:
        for project in context.python:
            applications = found.applications[project.path]
            modules.extend(python_code.entry_modules(context.tree, project, applications))
    return tuple(dict.fromkeys(modules))


def _declared_env(found: _Found) -> None:
    """Variables of images and compose files, after those of the platform's file."""
    paths, variables = declared.dora_facts(found.context)
    found.health.extend(paths)
    found.env[:0] = variables
    if found.compose:
        for service in found.compose.services.values():
            if service.kind is not None:
                continue
            source = f"{found.compose.path}:services.{service.name}.environment"
            found.env.extend(
                EnvVar(name=name, value=value, source=source) for name, value in service.env.items()
            )
            found.env.extend(EnvVar(name=name, source=source) for name in service.unset)
    for image in found.images:
        found.env.extend(
            EnvVar(name=name, value=image.env.get(name), source=f"{image.path}:{line} ENV")
            for name, line in image.stage.env_names
        )


def _health(found: _Found, sources: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    checks = list(compose.health_paths(found.compose)) if found.compose else []
    images = [*found.images]
    if found.compose:
        images += [one.image for one in found.compose.services.values() if one.image]
    checks += [text for image in images if (text := image.stage.health)]
    found_paths = health.paths(found.context.tree, sources, checks, names)
    return tuple(dict.fromkeys((*found.health, *found_paths)))


def _workdir(found: _Found) -> str:
    """Where the image that is tried first has the app's root."""
    images = [*found.images]
    if found.compose:
        images += [one.image for one in found.compose.services.values() if one.image]
    for image in images:
        if image.mount is not None:
            return image.mount
    return container.DEFAULT_WORKDIR


def _ignored(found: _Found) -> tuple[str, ...]:
    """Folders of projects that are no part of the app."""
    tree = found.context.tree
    taken = {one.path for one in found.context.node} | {one.path for one in found.context.python}
    ignored = [
        dirname(path)
        for path in tree.files
        if path.rsplit("/", 1)[-1] in ("package.json", "pyproject.toml", "requirements.txt")
        and dirname(path)
        and dirname(path) not in taken
    ]
    return tuple(one for one in ignored if not any(path.startswith(f"{one}/") for path in taken))
