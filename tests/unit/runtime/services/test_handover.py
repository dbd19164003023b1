from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.model.plan import ServiceKind, ServiceNeed
from pytest_dora.runtime.services.handover import Credentials, environment, part_of, url

DATABASE = Credentials("shop_1", "shop_user", "s3cret")


def need(*names: str, scheme: str | None = None) -> ServiceNeed:
    return ServiceNeed(
        kind=ServiceKind.POSTGRES, env_names=names, url_scheme=scheme, source="a test"
    )


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("DATABASE_URL", "url"),
        ("APP_DATABASE_URL", "url"),
        ("POSTGRES_PRISMA_URL", "url"),
        ("DATABASE_URL_UNPOOLED", "url"),
        ("SQLALCHEMY_DATABASE_URI", "url"),
        ("PG_DSN", "url"),
        ("DB_CONNECTION_STRING", "url"),
        ("PG_CONN_STR", "url"),
        ("databaseUrl", "url"),
        ("PGHOST", "host"),
        ("DB_HOST", "host"),
        ("DB_HOSTNAME", "host"),
        ("POSTGRES_SERVER", "host"),
        ("PGHOSTADDR", "host"),
        ("PGPORT", "port"),
        ("DB_PORT", "port"),
        ("PGUSER", "user"),
        ("DB_USERNAME", "user"),
        ("POSTGRES_USER", "user"),
        ("DBUSER", "user"),
        ("PGPASSWORD", "password"),
        ("DB_PASS", "password"),
        ("DATABASE_PASSWORD", "password"),
        ("DB_PWD", "password"),
        ("PGDATABASE", "name"),
        ("DB_NAME", "name"),
        ("DBNAME", "name"),
        ("POSTGRES_DB", "name"),
        ("DB_DATABASE", "name"),
        ("PGSSLMODE", "sslmode"),
        ("DB_SSL", "ssl"),
        ("DB_POOL_SIZE", None),
        ("DATABASE_TIMEOUT", None),
        ("PG_SCHEMA", None),
        ("DB_CONNECTION", None),
        ("HOSTING", None),
        ("IMPORT", None),
        ("_", None),
        ("", None),
    ],
)
def test_a_variables_name_says_what_it_asks_for(variable: str, part: str | None) -> None:
    assert part_of(variable) == part


def test_the_app_gets_every_name_that_it_reads() -> None:
    values = environment(need("APP_DB_URL", "DB_HOST", "DB_PORT", "DB_USER", "DB_PASS", "DB_NAME"),
                         DATABASE, port=5433)  # fmt: skip
    assert values["APP_DB_URL"] == "postgresql://shop_user:s3cret@127.0.0.1:5433/shop_1"
    assert [values[f"DB_{part}"] for part in ("HOST", "PORT", "USER", "PASS", "NAME")] == [
        "127.0.0.1", "5433", "shop_user", "s3cret", "shop_1",
    ]  # fmt: skip


def test_common_names_are_set_even_when_no_code_reads_them() -> None:
    values = environment(need(), DATABASE)
    assert values["DATABASE_URL"] == "postgresql://shop_user:s3cret@127.0.0.1:5432/shop_1"
    assert values["PGDATABASE"] == values["POSTGRES_DB"] == "shop_1"
    assert values["PGPASSWORD"] == values["POSTGRES_PASSWORD"] == "s3cret"
    assert values["PGSSLMODE"] == "disable"


@pytest.mark.parametrize(
    ("seen", "variable", "scheme"),
    [
        (None, "DATABASE_URL", "postgresql"),
        ("postgres", "DATABASE_URL", "postgres"),
        ("postgresql+asyncpg", "DATABASE_URL", "postgresql+asyncpg"),
        ("postgresql+psycopg2", "DB_URL", "postgresql+psycopg2"),
        (None, "ASYNC_DATABASE_URL", "postgresql+asyncpg"),
        ("sqlite", "DATABASE_URL", "postgresql"),
        ("javascript:alert(1)//", "DATABASE_URL", "postgresql"),
    ],
)
def test_the_address_has_the_scheme_that_the_code_expects(
    seen: str | None, variable: str, scheme: str
) -> None:
    values = environment(need(variable, scheme=seen), DATABASE)
    assert values[variable].partition("://")[0] == scheme


def test_variables_that_choose_the_driver_are_set_only_when_read() -> None:
    assert environment(need("DB_CONNECTION"), DATABASE)["DB_CONNECTION"] == "pgsql"
    assert "DB_CONNECTION" not in environment(need(), DATABASE)


def test_a_server_that_may_want_tls_is_asked_for_it_only_where_libpq_reads_the_address() -> None:
    secured = Credentials("a", "b", "c", sslmode="require")
    assert url(secured, "postgresql", "h", 1).endswith("?sslmode=require")
    assert "?" not in url(secured, "postgresql+asyncpg", "h", 1)
    assert environment(need("DB_SSL"), secured)["DB_SSL"] == "true"
    assert environment(need("DB_SSL"), DATABASE)["DB_SSL"] == "false"


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@given(words, words, words, st.integers(1, 65535))
def test_every_part_comes_back_out_of_the_address(
    name: str, user: str, password: str, port: int
) -> None:
    address = urlsplit(url(Credentials(name, user, password), "postgresql", "127.0.0.1", port))
    assert (address.hostname, address.port) == ("127.0.0.1", port)
    assert unquote(address.username or "") == user
    assert unquote(address.password or "") == password
    assert unquote(address.path.removeprefix("/")) == name


@given(st.lists(st.text(max_size=30), max_size=5), st.none() | st.text(max_size=30))
def test_whatever_an_app_calls_its_variables_only_those_and_ours_are_set(
    names: list[str], scheme: str | None
) -> None:
    values = environment(need(*names, scheme=scheme), DATABASE)
    assert set(values) <= {*names, *environment(need(), DATABASE)}
    assert all("\n" not in value and "\x00" not in value for value in values.values())
