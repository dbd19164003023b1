"""Real servers in real sandboxes, and clients that try what an app must not be able to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from pytest_dora.runtime.host import ToolMissing
from pytest_dora.runtime.relay import Fault, Relay
from pytest_dora.runtime.sandbox.box import Sandbox
from pytest_dora.runtime.sandbox.spec import SandboxSpec, Tier
from pytest_dora.runtime.services import postgres, postgres_external
from pytest_dora.runtime.services.postgres import Database, PostgresServer
from pytest_dora.runtime.services.postgres_cluster import Cluster, ClusterFailed
from pytest_dora.runtime.services.postgres_install import (
    Installation,
    find_installation,
    find_postgres,
    installations,
)

INSTALLATIONS = tuple(installations())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with closing(PostgresServer(cache, tmp_path_factory.mktemp("run"))) as server:
        yield server


@pytest.fixture
def database(server: PostgresServer) -> Iterator[Database]:
    one = server.database("shop/tests")
    yield one
    server.drop(one)


@contextmanager
def bridged(database: Database) -> Iterator[int]:
    """A port of this machine's loopback that leads to the database's server."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    with closing(Relay(database.connect)) as relay:
        relay.serve(listener)
        yield port


@contextmanager
def session(
    database: Database, user: str | None = None, name: str | None = None
) -> Iterator[psycopg.Connection]:
    with (
        bridged(database) as port,
        psycopg.connect(
            host="127.0.0.1",
            port=port,
            user=user or database.user,
            password=database.password,
            dbname=name or database.name,
            sslmode=database.sslmode,
            connect_timeout=10,
            autocommit=True,
        ) as connection,
    ):
        yield connection


# --- what an app can do ---------------------------------------------------------------------


def test_a_server_is_found_here() -> None:
    assert INSTALLATIONS
    assert find_postgres() == f"{INSTALLATIONS[0].version} ({INSTALLATIONS[0].bin_dir})"


@pytest.mark.parametrize("installation", INSTALLATIONS, ids=lambda one: one.version)
def test_every_server_found_here_starts_and_serves(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "find_installation", lambda: installation)
    with closing(PostgresServer(tmp_path / "cache", tmp_path / "run")) as server:
        database = server.database("shop/tests")
        with session(database) as client:
            (version,) = client.execute("SHOW server_version").fetchone() or ("",)
            assert version.split()[0] == installation.version
            client.execute("CREATE TABLE t (a int)")
    assert list((tmp_path / "run").iterdir()) == []


def test_the_role_owns_its_database_and_its_schema(database: Database) -> None:
    with session(database) as client:
        client.execute("CREATE TABLE item (id serial PRIMARY KEY, name text)")
        client.execute("INSERT INTO item (name) VALUES ('ä')")
        assert client.execute("SELECT name FROM item").fetchall() == [("ä",)]
        client.execute("DROP SCHEMA public CASCADE")
        client.execute("CREATE SCHEMA public")
        client.execute("CREATE TABLE item (id int)")
        client.execute("CREATE EXTENSION pgcrypto")


def test_every_stage_gets_an_empty_database_of_its_own(server: PostgresServer) -> None:
    first = server.database("shop/tests")
    with session(first) as client:
        client.execute("CREATE TABLE left_over (a int)")
    second = server.database("shop/tests")
    assert (first.name, first.user, first.password) != (second.name, second.user, second.password)
    with session(second) as client:
        assert client.execute("SELECT to_regclass('left_over')").fetchone() == (None,)
    server.drop(first)
    server.drop(second)


@pytest.mark.parametrize(
    "owner", ["shop/tests", "..", "'; DROP TABLE x; --", '"', "ÄÖ/日本", "A" * 300, "", "\x00\n"]
)
def test_an_apps_name_never_becomes_sql(server: PostgresServer, owner: str) -> None:
    database = server.database(owner)
    assert len(database.name) <= 63
    with session(database) as client:
        assert client.execute("SELECT current_database()").fetchone() == (database.name,)
    server.drop(database)


def test_writes_are_as_durable_as_in_production(database: Database) -> None:
    with session(database) as client:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert client.execute(f"SHOW {setting}").fetchone() == ("on",)
        (most,) = client.execute("SHOW max_connections").fetchone() or ("0",)
        assert int(most) >= 200


def test_a_pool_of_a_hundred_connections_is_served(database: Database) -> None:
    with bridged(database) as port:
        pool = [
            psycopg.connect(
                host="127.0.0.1", port=port, user=database.user, password=database.password,
                dbname=database.name,
            )
            for _ in range(100)
        ]  # fmt: skip
        assert {client.execute("SELECT 1").fetchone() for client in pool} == {(1,)}
        for client in pool:
            client.close()


# --- what it must not be able to do ---------------------------------------------------------


@pytest.fixture(scope="module")
def intruder(server: PostgresServer) -> Iterator[Database]:
    """The database of an app that tries whatever it can; nothing of it may succeed."""
    one = server.database("evil/tests")
    yield one
    server.drop(one)


@pytest.fixture(scope="module")
def neighbour(server: PostgresServer) -> Iterator[Database]:
    """Another app's database with something in it."""
    one = server.database("bank/server")
    with session(one) as client:
        client.execute("CREATE TABLE secret (a text)")
        client.execute("INSERT INTO secret VALUES ('theirs')")
    yield one
    server.drop(one)


@pytest.mark.parametrize("target", ["neighbour", "postgres", "template1"])
def test_no_other_database_lets_the_role_in(
    intruder: Database, neighbour: Database, target: str
) -> None:
    name = neighbour.name if target == "neighbour" else target
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied"),
        session(intruder, name=name),
    ):
        raise AssertionError


@pytest.mark.parametrize("user", ["postgres", "neighbour", "nobody"])
def test_the_password_opens_no_other_role(
    intruder: Database, neighbour: Database, user: str
) -> None:
    wanted = neighbour.user if user == "neighbour" else user
    with pytest.raises(psycopg.OperationalError), session(intruder, user=wanted):
        raise AssertionError


@pytest.mark.parametrize("password", ["", "postgres", "wrong"])
def test_a_wrong_password_is_refused(intruder: Database, password: str) -> None:
    with bridged(intruder) as port, pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host="127.0.0.1", port=port, user=intruder.user, password=password,
            dbname=intruder.name, passfile="/dev/null",
        )  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER ROLE CURRENT_USER CREATEDB CREATEROLE",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "GRANT pg_execute_server_program TO CURRENT_USER",
        "GRANT pg_read_server_files TO CURRENT_USER",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SELECT pg_read_file('postgresql.auto.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_reload_conf()",
        "SELECT lo_import('/etc/passwd')",
        "SET log_statement = 'none'",
        "SET log_min_messages = 'panic'",
        "ALTER SYSTEM SET fsync = off",
        "CREATE EXTENSION dblink",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
        "LOAD '/tmp/evil.so'",
        "SELECT rolpassword FROM pg_authid",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    ],
)
def test_the_role_cannot_rise_nor_leave_its_database(intruder: Database, statement: str) -> None:
    with (
        session(intruder) as client,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)),
    ):
        client.execute(statement)


def test_the_role_cannot_use_up_every_connection(
    database: Database, server: PostgresServer
) -> None:
    held: list[psycopg.Connection] = []

    def take_all(port: int) -> None:
        while True:
            held.append(
                psycopg.connect(
                    host="127.0.0.1", port=port, user=database.user, password=database.password,
                    dbname=database.name,
                )
            )  # fmt: skip

    with bridged(database) as port:
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            take_all(port)
        server.drop(server.database("somebody/else"))
        for client in held:
            client.close()


def test_the_administrators_socket_is_seen_by_no_app(database: Database) -> None:
    with Sandbox.open(SandboxSpec("app")) as app:
        found = app.run(
            ["sh", "-c", "find / -name '.s.PGSQL*' 2>/dev/null; ls /tmp"],
            env={"PATH": "/usr/bin:/bin"},
            timeout=20,
        )
    assert "PGSQL" not in found.output
    assert "dora-pg" not in found.output
    assert database.password not in found.output


# --- what is seen of it ---------------------------------------------------------------------


def test_logins_and_statements_are_seen_with_their_parameters_places(
    server: PostgresServer, database: Database
) -> None:
    assert server.statements(database) == ()
    started = datetime.now(UTC)
    with session(database) as client:
        client.execute("SELECT 1")
        client.execute("SELECT %s::text", ("x\ny",))
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT * FROM missing")
    seen = server.statements(database, since=started) or ()
    assert [one.kind for one in seen] == ["connect", "statement", "statement", "statement", "error"]
    assert [one.text for one in seen[1:4]] == [
        "SELECT 1", "SELECT $1::text", "SELECT * FROM missing",
    ]  # fmt: skip
    assert {one.user for one in seen} == {database.user}
    assert len({one.session for one in seen}) == 1
    assert server.statements(database, since=datetime.now(UTC)) == ()


def test_what_others_do_is_not_mixed_in(
    server: PostgresServer, database: Database, neighbour: Database
) -> None:
    with session(neighbour) as client:
        client.execute("SELECT 'theirs'")
    assert server.query(database, "SELECT 'ours, asked by us'") == '"ours, asked by us"\n'
    assert server.statements(database) == ()


def test_questions_of_ours_have_no_more_rights_than_the_app(
    server: PostgresServer, database: Database
) -> None:
    with session(database) as client:
        client.execute("CREATE TABLE t (a int, b text)")
        client.execute("INSERT INTO t VALUES (1, 'x,y'), (2, NULL)")
    assert server.query(database, "SELECT * FROM t ORDER BY a") == '1,"x,y"\n2,\n'
    with pytest.raises(ClusterFailed, match="permission denied"):
        server.query(database, "SELECT rolpassword FROM pg_authid")


# --- life and death -------------------------------------------------------------------------


def test_dropping_cuts_off_whoever_is_connected(server: PostgresServer) -> None:
    database = server.database("shop/server")
    with session(database) as client:
        client.execute("SELECT 1")
        server.drop(database)
        server.settle()
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError), session(database):
        raise AssertionError
    server.drop(database)
    server.settle()


def test_a_cut_wire_is_an_error_and_a_mended_one_works_again(database: Database) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    relay = Relay(database.connect)
    relay.serve(listener)

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=port, user=database.user, password=database.password,
            dbname=database.name,
        )  # fmt: skip

    with closing(relay):
        client = connect()
        relay.inject(Fault.RESET)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        client.close()
        relay.inject(Fault.NONE)
        with connect() as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_died_comes_back_with_its_data(cache: Path, tmp_path: Path) -> None:
    with closing(PostgresServer(cache, tmp_path / "run")) as server:
        database = server.database("shop/server")
        with session(database) as client:
            client.execute("CREATE TABLE kept (a int)")
            client.execute("INSERT INTO kept VALUES (7)")
        backend = server._backend
        assert isinstance(backend, postgres._Local)
        assert backend.cluster._sandbox is not None
        backend.cluster._sandbox.kill_processes()
        server.drop(server.database("another/tests"))
        with session(database) as client:
            assert client.execute("SELECT a FROM kept").fetchall() == [(7,)]
        assert [one.text for one in server.statements(database) or ()][-1] == "SELECT a FROM kept"


def test_closing_leaves_no_process_no_file_and_no_thread(cache: Path, tmp_path: Path) -> None:
    server = PostgresServer(cache, tmp_path / "run")
    threads = set(threading.enumerate())
    server.database("shop/server")
    backend = server._backend
    assert isinstance(backend, postgres._Local)
    folder = str(backend.cluster._folder)
    assert folder in _command_lines()
    server.close()
    server.close()
    assert list((tmp_path / "run").iterdir()) == []
    deadline = time.monotonic() + 30
    while folder in _command_lines() or set(threading.enumerate()) - threads:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


_TWO = """
import sys
from pathlib import Path
from pytest_dora.runtime.services.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]), Path(sys.argv[2]))
print(server.query(server.database("a/b"), "SELECT 42"))
server.close()
"""


def test_workers_that_start_at_once_share_one_template(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _TWO, str(tmp_path / "cache")]
    workers = [
        subprocess.Popen([*arguments, str(tmp_path / f"run{n}")], stdout=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    assert [worker.communicate(timeout=120)[0].strip() for worker in workers] == ["42"] * 3
    assert len([one for one in (tmp_path / "cache/postgres").iterdir() if one.is_dir()]) == 1


def test_no_server_program_is_a_missing_tool_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pytest_dora.runtime.services.postgres_install._folders", lambda _host: iter(())
    )
    with pytest.raises(ToolMissing) as caught:
        PostgresServer(tmp_path, tmp_path / "run").database("shop/tests")
    assert caught.value.way_out == "pip install 'pytest-dora[postgres]'"
    assert find_postgres() is None


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = find_installation()
    real = Cluster._make_data

    def broken(cluster: Cluster) -> None:
        real(cluster)
        with (cluster._data / "postgresql.conf").open("a") as settings:
            settings.write("shared_buffers = 'plenty'\n")

    monkeypatch.setattr(Cluster, "_make_data", broken)
    with pytest.raises(ClusterFailed, match=r"ended with status(.|\n)*shared_buffers"):
        Cluster(installation, cache, tmp_path / "run", Tier.BUBBLEWRAP)
    assert list((tmp_path / "run").iterdir()) == []


# --- a server that the evaluator names ------------------------------------------------------


@pytest.fixture
def named(cache: Path, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Addresses of a server on this machine's loopback, for an administrator of given rights."""
    with closing(Cluster(find_installation(), cache, tmp_path / "named", Tier.BUBBLEWRAP)) as one:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with closing(Relay(one.connect)) as relay:
            relay.serve(listener)

            def address(rights: str) -> str:
                one.sql(f"CREATE ROLE dba LOGIN {rights} PASSWORD 'top-secret'")
                return f"postgresql://dba:top-secret@127.0.0.1:{port}/postgres"

            yield address


@pytest.mark.parametrize("rights", ["SUPERUSER", "CREATEROLE CREATEDB"])
def test_databases_are_made_and_dropped_on_a_named_server(
    named: Callable[[str], str], tmp_path: Path, rights: str
) -> None:
    url = named(rights)
    with closing(PostgresServer(tmp_path / "cache", tmp_path / "run", url=url)) as server:
        database = server.database("shop/tests")
        with session(database) as client:
            client.execute("CREATE TABLE t (a int)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                client.execute("CREATE ROLE another")
        assert server.statements(database) is None
        assert "top-secret" not in repr(database)
        server.drop(database)
        server.close()
        with psycopg.connect(url) as admin:
            left = admin.execute("SELECT datname FROM pg_database WHERE datname ~ 'shop'")
            assert left.fetchall() == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "url", ["postgresql://u:top-secret@127.0.0.1:1/x", "postgresql://u:top-secret@h:bad/x"]
)
def test_a_named_server_that_does_not_answer_is_said_without_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ToolMissing, match="--dora-postgres") as caught:
        PostgresServer(tmp_path, tmp_path, url=url).database("shop/tests")
    assert "top-secret" not in str(caught.value)


def test_rights_that_do_not_suffice_are_said(named: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="permission denied"):
        PostgresServer(tmp_path, tmp_path, url=named("NOCREATEDB")).database("shop/tests")


def test_a_named_server_without_psycopg_is_a_missing_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    server = postgres_external.ExternalServer("postgresql://u@127.0.0.1:1/x")
    with pytest.raises(ToolMissing) as caught:
        server.create("a", "b")
    assert caught.value.tool == "psycopg"


# --- as an app meets it ---------------------------------------------------------------------

_CLIENT = r"""
import os, socket, struct
sock = socket.create_connection((os.environ["PGHOST"], int(os.environ["PGPORT"])))
body = b"\0\3\0\0user\0" + os.environ["PGUSER"].encode() + b"\0database\0x\0\0"
sock.sendall(struct.pack(">i", len(body) + 4) + body)
kind, _, method = struct.unpack(">cii", sock.recv(9))
print(kind.decode(), method, socket.gethostbyname("db"))
"""


def test_an_app_reaches_it_on_its_own_loopback_and_under_its_compose_name(
    database: Database,
) -> None:
    from pytest_dora.model.plan import ServiceKind, ServiceNeed
    from pytest_dora.runtime.services.handover import environment

    need = ServiceNeed(kind=ServiceKind.POSTGRES, host_aliases=("db",), source="a test")
    spec = SandboxSpec("app", hosts=need.host_aliases, env={"PATH": "/usr/bin:/bin"})
    with Sandbox.open(spec) as app, closing(Relay(database.connect)) as relay:
        relay.serve(app.listen(5432))
        done = app.run(
            [os.path.realpath("/usr/bin/python3"), "-c", _CLIENT],
            env=environment(need, database),
            timeout=20,
        )
    assert done.output.strip() == "R 10 127.0.0.1", done.output  # asks for SCRAM
