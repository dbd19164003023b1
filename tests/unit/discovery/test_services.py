from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Plan, ServiceKind, ServiceNeed

Planner = Callable[[dict[str, Any]], Plan]


def needs(found: Plan) -> dict[ServiceKind, ServiceNeed]:
    return {one.kind: one for one in found.services}


def node(*dependencies: str, **files: str) -> dict[str, Any]:
    manifest = {"dependencies": dict.fromkeys(dependencies, "1")}
    return {"package.json": manifest, **{k.replace("__", "."): v for k, v in files.items()}}


def python(requirements: str, text: str) -> dict[str, Any]:
    return {"requirements.txt": requirements.replace(" ", "\n"), "main.py": f"import os\n{text}\n"}


def test_a_variable_that_the_code_insists_on_makes_the_database_required(plan: Planner) -> None:
    text = "new Pool({ connectionString: process.env['SHOP_DATABASE_URL']! })"
    found = needs(plan(node("pg", index__ts=f"import {{ Pool }} from 'pg'\n{text}")))
    need = found[ServiceKind.POSTGRES]
    assert need.env_names == ("SHOP_DATABASE_URL",)
    assert need.required
    assert need.source == "index.ts:2"


@pytest.mark.parametrize(
    ("text", "kind", "scheme", "required"),
    [
        ('URL = os.environ.get("DATABASE_URL", "postgresql://a:b@db/x")', ServiceKind.POSTGRES, "postgresql", True),
        ('URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://a:b@db/x")', ServiceKind.POSTGRES, "postgresql+asyncpg", True),
        ('URL = os.environ["DATABASE_URL"]', ServiceKind.POSTGRES, None, True),
        ('URL = os.environ.get("DATABASE_URL", "sqlite:///x.db")', ServiceKind.POSTGRES, None, False),
        ('URL = os.environ.get("DATABASE_URL", "").replace(\n    "postgres://", "postgresql://") or \\\n    "sqlite:///x"', ServiceKind.POSTGRES, "postgresql", False),
        ('url = os.getenv("DATABASE_URL")\nif not url:\n    url = "sqlite:///app.db"', ServiceKind.POSTGRES, None, False),
        ('url = os.getenv("DATABASE_URL")\nif url.startswith("sqlite://"):\n    pass', ServiceKind.POSTGRES, None, True),
        ('h = os.getenv("DB_HOST", "localhost"); u = os.environ["DB_USER"]', ServiceKind.POSTGRES, None, True),
        ('u = os.getenv("MYSQL_URL", "mysql+pymysql://a@b/c")', ServiceKind.MYSQL, "mysql+pymysql", True),
        ('u = os.getenv("MONGO_URI", "mongodb://localhost/x")', ServiceKind.MONGODB, "mongodb", True),
        ('u = os.getenv("REDIS_URL") or "redis://"', ServiceKind.REDIS, "redis", False),
        ('u = os.environ["REDIS_URL"]', ServiceKind.REDIS, None, True),
    ],
)  # fmt: skip
def test_what_the_expression_says(
    plan: Planner, text: str, kind: ServiceKind, scheme: str | None, required: bool
) -> None:
    found = needs(plan(python("psycopg2-binary", text)))
    assert (found[kind].url_scheme, found[kind].required) == (scheme, required)
    assert found[kind].env_names


def test_a_driver_alone_is_no_requirement(plan: Planner) -> None:
    found = needs(plan(python("psycopg2-binary redis", "x = 1")))
    assert not found[ServiceKind.POSTGRES].required
    assert not found[ServiceKind.REDIS].required
    assert found[ServiceKind.POSTGRES].env_names == ()
    assert found[ServiceKind.POSTGRES].source == "requirements.txt"


def test_no_driver_and_no_variable_is_no_service(plan: Planner) -> None:
    assert plan(python("fastapi", "x = 1")).services == ()


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"drizzle.config.ts": "export default {dialect: 'postgresql'}"}, ServiceKind.POSTGRES),
        ({"drizzle.config.ts": "export default {dialect: 'mysql'}"}, ServiceKind.MYSQL),
        (
            {"prisma/schema.prisma": 'datasource db {\n provider = "mongodb"\n}'},
            ServiceKind.MONGODB,
        ),
    ],
)
def test_the_dialect_says_which_database_a_plain_name_means(
    plan: Planner, config: dict[str, str], kind: ServiceKind
) -> None:
    files = node("drizzle-orm", index__ts="connect(process.env.DATABASE_URL!)") | config
    assert set(needs(plan(files))) == {kind}


def test_a_prisma_schema_names_its_variable(plan: Planner) -> None:
    schema = 'datasource db {\n  provider = "postgresql"\n  url = env("PRISMA_DATABASE_URL")\n}\n'
    need = needs(plan(node("@prisma/client", **{"prisma/schema__prisma": schema})))[
        ServiceKind.POSTGRES
    ]
    assert (need.env_names, need.required) == (("PRISMA_DATABASE_URL",), True)
    assert need.source == "prisma/schema.prisma:3"


def test_a_prisma_schema_for_sqlite_needs_nothing(plan: Planner) -> None:
    schema = 'datasource db {\n  provider = "sqlite"\n  url = env("DATABASE_URL")\n}\n'
    found = plan(node("@prisma/client", **{"prisma/schema__prisma": schema}))
    assert not any(need.required for need in found.services)


def test_a_pool_without_arguments_reads_the_drivers_own_variables(plan: Planner) -> None:
    need = needs(plan(node("pg", a__ts="import pg from 'pg'\nnew pg.Pool()")))[ServiceKind.POSTGRES]
    assert need.required
    assert "PGHOST" in need.env_names


def test_an_address_in_the_code_is_required_and_has_no_name(plan: Planner) -> None:
    text = "from sqlalchemy import create_engine\ne = create_engine('postgresql://u@localhost/x')"
    need = needs(plan(python("psycopg sqlalchemy", text)))[ServiceKind.POSTGRES]
    assert (need.env_names, need.required, need.url_scheme) == ((), True, "postgresql")
    assert need.source == "main.py:3"


@pytest.mark.parametrize(
    ("requirements", "text", "required"),
    [
        ("databricks-sdk", "from databricks.sdk import WorkspaceClient", True),
        ("databricks-sdk", "x = 1", False),
        ("pandas", "from databricks.sdk import WorkspaceClient", False),
    ],
)
def test_databricks_is_required_when_it_is_imported_and_installed(
    plan: Planner, requirements: str, text: str, required: bool
) -> None:
    need = needs(plan(python(requirements, text)))[ServiceKind.DATABRICKS]
    assert need.required is required


def test_addresses_of_databases_do_not_come_from_the_image(plan: Planner) -> None:
    found = plan(
        python("psycopg", 'u = os.environ["DATABASE_URL"]')
        | {
            "Dockerfile": "FROM python\nENV DATABASE_URL=postgresql://a@db/x LEVEL=1\nCMD python main.py"
        }
    )
    assert found.starts[0].processes[0].env == {"LEVEL": "1"}


def test_parts_of_an_address_belong_to_one_need(plan: Planner) -> None:
    text = "\n".join(
        f'os.environ["DB_{one}"]' for one in ("HOST", "PORT", "USER", "PASSWORD", "NAME")
    )
    need = needs(plan(python("pymysql", text)))[ServiceKind.MYSQL]
    assert need.env_names == ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME")


def test_an_app_finds_its_database_under_the_name_that_its_compose_file_gives_it(
    plan: Planner,
) -> None:
    compose = "services:\n  app: {build: .}\n  db.main: {image: 'postgres:16'}\n"
    need = needs(plan(node("pg", a__ts="import pg from 'pg'") | {"compose.yaml": compose}))
    assert need[ServiceKind.POSTGRES].host_aliases == ("db.main",)


def test_a_compose_name_that_is_no_host_name_is_no_alias(plan: Planner) -> None:
    compose = 'services:\n  "db evil.example": {image: "postgres:16"}\n'
    need = needs(plan(node("pg", a__ts="import pg from 'pg'") | {"compose.yaml": compose}))
    assert need[ServiceKind.POSTGRES].host_aliases == ()
