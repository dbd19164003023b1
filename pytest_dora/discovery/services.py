"""Databases and workspaces the app reads from its environment, and under which names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_dora.discovery.compose import Compose
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.env import Read, is_side_script
from pytest_dora.model.plan import EnvVar, ServiceKind, ServiceNeed

DRIVERS: Mapping[ServiceKind, frozenset[str]] = {
    ServiceKind.POSTGRES: frozenset(
        "pg postgres pg-promise @neondatabase/serverless @vercel/postgres slonik pg-pool postgres.js"
        " psycopg psycopg2 psycopg2-binary psycopg-binary asyncpg aiopg pg8000 dj-database-url".split()
    ),
    ServiceKind.MYSQL: frozenset(
        "mysql mysql2 mariadb pymysql mysqlclient aiomysql asyncmy mysql-connector-python".split()
    ),
    ServiceKind.REDIS: frozenset(
        "redis ioredis bullmq bull connect-redis @upstash/redis rq celery aioredis django-redis flask-redis hiredis".split()
    ),
    ServiceKind.MONGODB: frozenset(
        "mongodb mongoose mongoist pymongo motor mongoengine beanie odmantic djongo".split()
    ),
    ServiceKind.DATABRICKS: frozenset(
        "databricks-sdk databricks-sql-connector databricks-connect databricks-langchain databricks-openai databricks-agents"
        " databricks-sqlalchemy databricks-ai-bridge @databricks/sql @databricks/sdk-experimental @databricks/appkit"
        " @databricks/langchainjs @databricks/ai-sdk-provider @databricks/lakebase".split()
    ),
}
_IMPORTS = re.compile(
    r"(?m)^\s*(?:from|import)\s+databricks\b|[\"']@databricks/(?:sql|sdk-experimental|appkit|langchainjs|ai-sdk-provider|lakebase)[\"'/]"
)
_MODULES: Mapping[ServiceKind, re.Pattern[str]] = {
    ServiceKind.POSTGRES: re.compile(
        r"(?m)^\s*(?:from|import)\s+(?:psycopg2?|asyncpg|aiopg|pg8000)\b"
        r"|[\"'](?:pg|postgres|pg-promise|slonik|@neondatabase/serverless|@vercel/postgres|drizzle-orm/(?:node-postgres|postgres-js|neon-\w+))[\"']"
    ),
    ServiceKind.MYSQL: re.compile(
        r"(?m)^\s*(?:from|import)\s+(?:pymysql|MySQLdb|aiomysql|mysql)\b|[\"'](?:mysql2?(?:/promise)?|mariadb)[\"']"
    ),
    ServiceKind.REDIS: re.compile(
        r"(?m)^\s*(?:from|import)\s+(?:redis|aioredis|rq|celery)\b|[\"'](?:redis|ioredis|bullmq|bull|@upstash/redis)[\"']"
    ),
    ServiceKind.MONGODB: re.compile(
        r"(?m)^\s*(?:from|import)\s+(?:pymongo|motor|mongoengine|beanie)\b|[\"'](?:mongodb|mongoose)[\"']"
    ),
    ServiceKind.DATABRICKS: _IMPORTS,
}
_WORDS: Mapping[ServiceKind, tuple[str, ...]] = {
    ServiceKind.POSTGRES: (
        "psycopg",
        "asyncpg",
        "aiopg",
        "pg8000",
        "pg",
        "postgres",
        "slonik",
        "neon",
    ),
    ServiceKind.MYSQL: ("mysql", "MySQLdb", "mariadb"),
    ServiceKind.REDIS: ("redis", "rq", "celery", "bull"),
    ServiceKind.MONGODB: ("mongo", "motor", "beanie"),
    ServiceKind.DATABRICKS: ("databricks",),
}
_SCHEMES = (
    (re.compile(r"\b(postgres(?:ql)?(?:\+\w{1,20})?)://"), ServiceKind.POSTGRES),
    (re.compile(r"\b((?:mysql|mariadb)(?:\+\w{1,20})?)://"), ServiceKind.MYSQL),
    (re.compile(r"\b(rediss?)://"), ServiceKind.REDIS),
    (re.compile(r"\b(mongodb(?:\+srv)?)://"), ServiceKind.MONGODB),
)
_NAMES = (
    (
        re.compile(
            r"^PG(?:HOST|PORT|USER|PASSWORD|DATABASE|SSLMODE)$|POSTGRES|^PG_|_PG_|LAKEBASE_(?:HOST|URL)|^NEON_"
        ),
        ServiceKind.POSTGRES,
    ),
    (re.compile(r"MYSQL|MARIADB"), ServiceKind.MYSQL),
    (re.compile(r"REDIS|^CELERY_BROKER_URL$|^CELERY_RESULT_BACKEND$|^KV_URL$"), ServiceKind.REDIS),
    (re.compile(r"MONGO"), ServiceKind.MONGODB),
    (re.compile(r"^DATABRICKS_(?!APP_PORT)"), ServiceKind.DATABRICKS),
)
_ANY_DATABASE = re.compile(
    r"(?:^|_)(?:DATABASE|DB)_(?:URL|URI|DSN|HOST|PORT|USER|USERNAME|PASSWORD|PASS|NAME|DATABASE|CONNECTION)$"
    r"|^SQLALCHEMY_DATABASE_URI$|^DATABASE$|^DB_(?:URL|URI)$|^(?:DIRECT|SHADOW_DATABASE)_URL$|^DSN$"
)
_WITHOUT_DATABASE = re.compile(r"sqlite", re.IGNORECASE)
_SQLITE_FALLBACK = re.compile(
    r"(?<!startswith\([\"'])sqlite(?:\+\w+)?://|sqlite3\.connect|better-sqlite3|:memory:"
)
_DIALECT = re.compile(
    r"""(?:dialect|provider|client|driver)\s*[:=]\s*["'](postgres(?:ql)?|pg|mysql2?|mongodb|cockroachdb)["']"""
)
_LITERAL_URL = re.compile(r"[\"'`](?:postgres(?:ql)?|mysql|mongodb|rediss?)(?:\+\w+)?://")
_URL_STARTS = ("postgres", "mysql", "mongodb", "redis://", "rediss://")
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LIBPQ = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")


@dataclass
class _Evidence:
    """What speaks for one kind of service."""

    names: list[str] = field(default_factory=list)
    scheme: str | None = None
    required: bool = False
    optional: bool = False
    source: str | None = None
    hosts: list[str] = field(default_factory=list)

    def add(self, name: str, source: str) -> None:
        if name not in self.names:
            self.names.append(name)
        self.source = self.source or source


def services(
    context: Context,
    files: Sequence[str],
    found: Sequence[Read],
    declared: Sequence[EnvVar],
    compose: Compose | None,
) -> tuple[ServiceNeed, ...]:
    """One need per kind, with the names that the app reads for it."""
    evidence = {kind: _Evidence() for kind in ServiceKind}
    dependencies = _dependencies(context)
    drivers = {kind: sorted(names & set(dependencies)) for kind, names in DRIVERS.items()}
    imported = {
        kind: _importer(context, files, kind)
        for kind in ServiceKind
        if drivers[kind] or kind is ServiceKind.DATABRICKS
    }
    database = _main_database(context, files, drivers, compose)
    for read in found:
        if is_side_script(read.path) and read.name not in {one.name for one in declared}:
            continue
        _weigh_read(context, evidence, read, database)
    for variable in declared:
        by_platform = variable.required and "env[" in variable.source
        if not by_platform and variable.name in {read.name for read in found}:
            continue
        _weigh_declared(evidence, variable, drivers, database)
    _weigh_compose(evidence, compose, database)
    _weigh_literals(context, evidence, files)
    result: list[ServiceNeed] = []
    for kind in ServiceKind:
        need = _need(context, kind, evidence[kind], drivers[kind], imported.get(kind), dependencies)
        if need is not None:
            result.append(need)
    return tuple(result)


def _importer(context: Context, files: Sequence[str], kind: ServiceKind) -> str | None:
    """The first file that imports a driver of the kind."""
    pattern, words = _MODULES[kind], _WORDS[kind]
    for path in files:
        text = context.tree.source(path)
        if any(word in text for word in words) and pattern.search(text):
            return path
    return None


def _need(
    context: Context,
    kind: ServiceKind,
    seen: _Evidence,
    drivers: Sequence[str],
    imported: str | None,
    dependencies: Mapping[str, str],
) -> ServiceNeed | None:
    source = seen.source or imported or (dependencies[drivers[0]] if drivers else None)
    if source is None:
        return None
    names = tuple(seen.names)
    required = seen.required and not seen.optional
    if kind is ServiceKind.POSTGRES and not names and imported and drivers and not seen.optional:
        # drivers without any arguments read libpq's own variables
        text = context.tree.source(imported)
        if re.search(
            r"new (?:pg\.)?(?:Pool|Client)\(\s*\)|postgres\(\s*\)|psycopg2?\.connect\(\s*\)", text
        ):
            names, required = _LIBPQ, True
    if kind is ServiceKind.DATABRICKS:
        required = required or (imported is not None and bool(drivers))
    return ServiceNeed(
        kind=kind,
        env_names=names,
        url_scheme=seen.scheme,
        required=required,
        host_aliases=tuple(seen.hosts),
        source=source,
    )


def _weigh_read(
    context: Context,
    evidence: Mapping[ServiceKind, _Evidence],
    read: Read,
    database: ServiceKind | None,
) -> None:
    scheme, by_url = _scheme_of(read.statement if _is_url_name(read.name) else read.default or "")
    kind = by_url or _kind_of_name(read.name, database)
    if kind is None:
        return
    seen = evidence[kind]
    seen.add(read.name, read.source)
    if by_url:
        seen.scheme = seen.scheme or scheme
    if kind in (ServiceKind.POSTGRES, ServiceKind.MYSQL, ServiceKind.MONGODB):
        if _falls_back(context, read):
            seen.optional = True
        else:
            seen.required = True
    elif kind is ServiceKind.REDIS:
        seen.required = seen.required or read.required
    else:
        seen.required = seen.required or read.required


def _weigh_declared(
    evidence: Mapping[ServiceKind, _Evidence],
    variable: EnvVar,
    drivers: Mapping[ServiceKind, Sequence[str]],
    database: ServiceKind | None,
) -> None:
    """A name that only an example file or a platform file has."""
    scheme, by_url = _scheme_of(variable.value or "")
    kind = by_url or _kind_of_name(variable.name, database)
    platform = variable.required and "env[" in variable.source
    if kind is None and platform:
        kind = ServiceKind.DATABRICKS
    if kind is None:
        return
    if kind is ServiceKind.DATABRICKS or drivers[kind] or platform or by_url:
        seen = evidence[kind]
        seen.add(variable.name, variable.source)
        seen.scheme = seen.scheme or scheme
        seen.required = seen.required or platform


def _weigh_compose(
    evidence: Mapping[ServiceKind, _Evidence],
    compose: Compose | None,
    database: ServiceKind | None,
) -> None:
    if compose is None:
        return
    services_ = compose.services.values()
    beside = {service.kind: service.name for service in services_ if service.kind}
    for service in services_:
        if service.kind is not None and _HOST_NAME.fullmatch(service.name):
            evidence[service.kind].hosts.append(service.name)
    for known, name in beside.items():
        seen = evidence[known]
        seen.source = seen.source or f"{compose.path}:services.{name}"
        seen.required = seen.required or known is not ServiceKind.REDIS
    for service in services_:
        if service.kind is not None:
            continue
        for variable, value in service.env.items():
            scheme, by_url = _scheme_of(value)
            kind = by_url or _kind_of_name(variable, database)
            if kind in beside and kind is not None:
                evidence[kind].add(variable, f"{compose.path}:services.{service.name}.environment")
                evidence[kind].scheme = evidence[kind].scheme or scheme


def _weigh_literals(
    context: Context, evidence: Mapping[ServiceKind, _Evidence], files: Iterable[str]
) -> None:
    """Addresses that are written into the code; no variable can move them."""
    for path in files:
        if is_side_script(path):
            continue
        text = context.tree.source(path)
        if not any(scheme in text for scheme in _URL_STARTS):
            continue
        for match in _LITERAL_URL.finditer(text):
            scheme, kind = _scheme_of(match[0])
            if kind is None or evidence[kind].names or evidence[kind].optional:
                continue
            line_start = text.rfind("\n", 0, match.start()) + 1
            if re.match(
                r"\s*(?:#|//|\*)|.*(?:startswith|startsWith|replace)\(",
                text[line_start : match.start() + 1],
            ):
                continue
            if _SQLITE_FALLBACK.search(text):
                continue
            line = text.count("\n", 0, match.start()) + 1
            evidence[kind].source = evidence[kind].source or f"{path}:{line}"
            evidence[kind].scheme = evidence[kind].scheme or scheme
            evidence[kind].required = kind is not ServiceKind.REDIS


def _falls_back(context: Context, read: Read) -> bool:
    """Whether the code works without the database: SQLite in the expression or beside it."""
    if read.default and _WITHOUT_DATABASE.search(read.default):
        return True
    if _WITHOUT_DATABASE.search(read.statement):
        return True
    if read.required:
        return False
    return _SQLITE_FALLBACK.search(context.tree.source(read.path)) is not None


def _main_database(
    context: Context,
    files: Sequence[str],
    drivers: Mapping[ServiceKind, Sequence[str]],
    compose: Compose | None,
) -> ServiceKind | None:
    """Which database names such as ``DATABASE_URL`` mean."""
    for service in compose.services.values() if compose else ():
        if service.kind in (ServiceKind.POSTGRES, ServiceKind.MYSQL, ServiceKind.MONGODB):
            return service.kind
    for path in files:
        name = path.rsplit("/", 1)[-1]
        if name.startswith(("drizzle.config", "knexfile", "ormconfig")) or path.endswith(".prisma"):
            match = _DIALECT.search(context.tree.source(path))
            if match:
                word = match[1]
                if word.startswith("mysql"):
                    return ServiceKind.MYSQL
                return ServiceKind.MONGODB if word == "mongodb" else ServiceKind.POSTGRES
    for kind in (ServiceKind.POSTGRES, ServiceKind.MYSQL, ServiceKind.MONGODB):
        if drivers[kind]:
            return kind
    return None


def _kind_of_name(name: str, database: ServiceKind | None) -> ServiceKind | None:
    for pattern, kind in _NAMES:
        if pattern.search(name):
            return kind
    return database if _ANY_DATABASE.search(name) else None


def _is_url_name(name: str) -> bool:
    return re.search(r"(?:URL|URI|DSN|BROKER|BACKEND|CONNECTION|DATABASE)", name) is not None


def _scheme_of(text: str) -> tuple[str | None, ServiceKind | None]:
    """The scheme the code ends up with: ``postgres://`` replaced by another counts as the other."""
    for pattern, kind in _SCHEMES:
        found = pattern.findall(text)
        if found:
            return max(found, key=len), kind
    return None, None


def _dependencies(context: Context) -> dict[str, str]:
    """Every dependency of the app with the file that names it."""
    found: dict[str, str] = {}
    for node in context.node:
        for name in node.dependencies:
            found.setdefault(name, node.file)
    for python in context.python:
        manifest = next(iter(_manifests(context, python.path)), "pyproject.toml")
        for name in sorted(python.names):
            found.setdefault(name, manifest)
    for package in context.packages:
        for requirement in package.extra_requirements:
            found.setdefault(re.split(r"[\[<>=~! ]", requirement)[0].lower(), package.source)
    return found


def _manifests(context: Context, path: str) -> Iterator[str]:
    for package in context.packages:
        if package.path == path and package.ecosystem.value == "python":
            yield from package.manifests
