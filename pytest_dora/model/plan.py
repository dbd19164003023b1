"""How an app is installed, built, checked, tested and started, and where each of these was read.

All paths are POSIX paths relative to the app's root (``"."`` is the root itself).
A command may hold the placeholders ``{port}`` and ``{workdir}``; whoever runs it fills them.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from pytest_dora.model.base import Model


class Ecosystem(StrEnum):
    NODE = "node"
    PYTHON = "python"
    GO = "go"
    PHP = "php"
    STATIC = "static"


class Manager(StrEnum):
    """The program that installs a package's dependencies."""

    NPM = "npm"
    PNPM = "pnpm"
    YARN = "yarn"
    BUN = "bun"
    UV = "uv"
    PIP = "pip"
    POETRY = "poetry"
    GO = "go"
    COMPOSER = "composer"


class Package(Model):
    """One folder whose dependencies are installed by one command of one manager.

    Members of a workspace are no packages of their own: their root is.
    """

    path: str = "."
    ecosystem: Ecosystem
    manager: Manager
    manager_version: str | None = None
    """An exact version that the app pins (``packageManager``), without build metadata."""
    lockfile: str | None = None
    """Path of the lockfile relative to the app's root; None when there is none."""
    runtime_requires: str | None = None
    """The constraint on the interpreter: ``requires-python``, ``engines.node``, go version."""
    manifests: tuple[str, ...] = ()
    """Files that name the dependencies, e.g. ``("requirements.txt",)``."""
    groups: tuple[str, ...] = ()
    """Dependency groups or extras needed for tests and type checks (``dev``, ``test``)."""
    installs_project: bool = False
    """The folder itself is an installable Python project with a build backend."""
    members: tuple[str, ...] = ()
    """Folders of the workspace members, relative to the app's root."""
    extra_requirements: tuple[str, ...] = ()
    """Requirements that only the app's image names (``RUN pip install gunicorn``)."""
    source: str


class Step(Model):
    """One command that ends. ``cwd`` is relative to the app's root."""

    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    cwd: str = "."
    env: dict[str, str] = {}
    package: str = "."
    """Path of the ``Package`` whose toolchain and environment the command needs."""
    source: str


class BuildStep(Step):
    """A declared build command, with the folders in which its artefact is expected."""

    artefacts: tuple[str, ...] = ()
    """Folders or files, relative to the app's root; any new or changed file counts when empty."""


class EntryModule(Model):
    """A Python module that must import for the app to be called built (``backend.main``)."""

    module: str
    cwd: str = "."
    package: str = "."
    source: str


class TypecheckTool(StrEnum):
    TSC = "tsc"
    PYRIGHT = "pyright"
    MYPY = "mypy"
    TY = "ty"
    GO_VET = "go-vet"
    PHP_LINT = "php-lint"
    DJANGO_CHECK = "django-check"


class TypecheckStep(Step):
    """A type check. For ``tsc``, ``config`` is the tsconfig, never one with an empty file list."""

    tool: TypecheckTool
    config: str | None = None
    """The configuration, relative to the app's root."""


class TestRunner(StrEnum):
    __test__ = False  # the name begins with "Test"; it is no test class

    BUN = "bun"
    VITEST = "vitest"
    JEST = "jest"
    MOCHA = "mocha"
    NODE = "node"
    PYTEST = "pytest"
    UNITTEST = "unittest"
    DJANGO = "django"
    GO = "go"
    PHPUNIT = "phpunit"
    COMMAND = "command"
    """An unknown runner behind a script: only the exit status and its text can be read."""


class TestSuite(Step):
    """One run of one test runner. ``argv`` is how a developer would call it, without reporters."""

    __test__ = False

    runner: TestRunner
    files: tuple[str, ...] = ()
    """The test files found, relative to the app's root (evidence; may be cut at 200)."""


class Role(StrEnum):
    WEB = "web"
    WORKER = "worker"
    PROXY = "proxy"
    """A static file server or reverse proxy that may be replaced by ours when absent."""


class ProxyRoute(Model):
    """One rule of a reverse proxy: requests under ``prefix`` go to ``upstream_port``."""

    prefix: str
    strip_prefix: bool = False
    upstream_port: int


class ProxySite(Model):
    """What a Caddyfile or nginx.conf asks for: files, a fallback, routes to other processes."""

    port: int
    root: str | None = None
    """Folder of static files, relative to the app's root."""
    fallback: str | None = None
    """File served for unknown paths (single-page apps), relative to ``root``."""
    routes: tuple[ProxyRoute, ...] = ()


class Process(Model):
    """One long-running command of the app."""

    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    cwd: str = "."
    env: dict[str, str] = {}
    package: str = "."
    role: Role = Role.WEB
    site: ProxySite | None = None
    """For ``PROXY``: what our stand-in has to serve."""
    source: str


class StartPlan(Model):
    """One way to start the app: steps that end, then processes that stay."""

    prepare: tuple[Step, ...] = ()
    processes: tuple[Process, ...] = Field(min_length=1)
    port: int | None = None
    """The port that the declaration names (EXPOSE, compose, a flag); the listening one counts."""
    dev_server: bool = False
    source: str


class ServiceKind(StrEnum):
    POSTGRES = "postgres"
    MYSQL = "mysql"
    REDIS = "redis"
    MONGODB = "mongodb"
    DATABRICKS = "databricks"


class ServiceNeed(Model):
    """A service that the app reads from its environment, and under which names."""

    kind: ServiceKind
    env_names: tuple[str, ...] = ()
    """The variables the app reads for it (``APP_DATABASE_URL``, ``PGHOST``, …)."""
    url_scheme: str | None = None
    """The scheme the app's code or compose file uses (``postgresql+asyncpg``), when seen."""
    required: bool = True
    """False when the code falls back to something that works without it (SQLite)."""
    host_aliases: tuple[str, ...] = ()
    """Names under which the app reaches it (compose services, ``db``): mapped to loopback."""
    source: str


class EnvVar(Model):
    """An environment variable that the app reads or declares."""

    name: str
    value: str | None = None
    """The declared value or default, None when there is none."""
    required: bool = False
    """The app is known to fail without it (no default where it is read)."""
    secret: bool = False
    source: str


class Plan(Model):
    """Everything discovery read from one folder. Lists are in the order they are to be run."""

    stack: tuple[str, ...] = ()
    """Names of what was recognised, most telling first: ``("trpc", "react", "vite", "bun")``."""
    workdir: str = "/app"
    """Absolute path at which the app's root is mounted (the image's WORKDIR)."""
    packages: tuple[Package, ...] = ()
    builds: tuple[BuildStep, ...] = ()
    entry_modules: tuple[EntryModule, ...] = ()
    typechecks: tuple[TypecheckStep, ...] = ()
    tests: tuple[TestSuite, ...] = ()
    starts: tuple[StartPlan, ...] = ()
    """Candidates, the most trustworthy first."""
    services: tuple[ServiceNeed, ...] = ()
    env: tuple[EnvVar, ...] = ()
    health_paths: tuple[str, ...] = ()
    """Paths that the app declares for health, before any convention."""
    notes: tuple[str, ...] = ()
    """What a reader should know: leftovers, ignored files, things that cannot be followed."""
    errors: tuple[str, ...] = ()
    """Broken files, each as ``path:line: message``; they are findings of ``build``."""

    @property
    def recognised(self) -> bool:
        """Whether anything in the folder says how it is installed or started."""
        return bool(self.packages or self.starts)
