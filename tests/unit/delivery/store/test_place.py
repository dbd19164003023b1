"""Addresses: what can be opened, what is said of the rest, and that no password is told."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pytest_dora.delivery.store import Store, StoreError
from pytest_dora.delivery.store.place import find_place, notices_of
from tests.unit.delivery.store.conftest import PASSWORD
from tests.unit.delivery.store.facts import deployment


@pytest.mark.parametrize(
    "typed",
    ["{}/dora.db", "sqlite:///{}/dora.db", "sqlite+pysqlite:///{}/dora.db", Path("{}/dora.db")],
)
def test_a_file_is_named_by_its_path_or_its_address(typed: str | Path, tmp_path: Path) -> None:
    named = type(typed)(str(typed).format(tmp_path))
    with Store.open(named) as store:
        assert store.shown == f"{tmp_path}/dora.db"
    with Store.open(tmp_path / "dora.db", create=False) as store:
        assert store.count() == 0


def test_a_relative_file_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///a b#%ä.db") as store:
        monkeypatch.chdir("/")
        store.append([deployment(1)])
        assert Path(store.shown).parent == tmp_path
    assert Path(store.shown).is_file()


@pytest.mark.parametrize("typed", ["postgres://", "postgresql://", "postgresql+psycopg://"])
def test_every_spelling_of_a_postgresql_address_works(
    typed: str, database: Callable[[], str]
) -> None:
    address = database()
    with Store.open(address.replace("postgresql://", typed)) as store:
        store.append([deployment(1)])
        assert store.notices == ()
        assert store.shown == address.replace(f":{PASSWORD}", "")
        assert PASSWORD not in repr(store)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("mysql://u:top-secret@h/db", "no store can be kept in mysql"),
        ("postgresql+asyncpg://u:top-secret@h/db", r"kept in postgresql\+asyncpg"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite://host/x.db", "has no host"),
        ("sqlite:///x.db?mode=ro", "has no host, driver or options"),
        ("sqlite+aiosqlite:///x.db", "has no host, driver or options"),
        ("sqlite:x.db", "cannot be read"),
        ("postgresql:u:top-secret@h/db", "cannot be read"),
        ("postgresql://u:x@top-secret@h/db", "%40"),
        ("postgresql://u:x@top-secret/y@h/db", "%40"),
        ("postgresql://u@h:top-secret/db", "cannot be read"),
        ("/nowhere/at/all/x.db", "no folder /nowhere/at/all: make it"),
        ("/", "is a folder: name a file in it"),
    ],
)
def test_an_address_that_cannot_be_opened_is_said_without_its_secrets(
    typed: str, said: str
) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        Store.open(typed)
    assert "top-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("top-secret", "no-secret"), "password authentication failed"),
        (("/delivery", "/no-delivery"), "does not exist"),
        (("@127.0.0.1:", "@127.0.0.2:"), "is the server up"),
        (("@127.0.0.1:", "@127.0.0.1:1"), "invalid port number"),
    ],
)
def test_a_server_that_refuses_is_said_without_the_password(
    database: Callable[[], str], changes: tuple[str, str], said: str
) -> None:
    address = database().replace(*changes)
    with pytest.raises(StoreError, match=said) as caught:
        Store.open(address)
    assert "secret" not in str(caught.value)


def test_a_user_without_rights_learns_what_is_lacking(database: Callable[[], str]) -> None:
    address = database()
    with psycopg.connect(address, autocommit=True) as owner:
        owner.execute("DROP SCHEMA public")
    with pytest.raises(StoreError, match="schema"):
        Store.open(address)


def test_without_its_driver_postgresql_is_said_to_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"needs psycopg: pip install 'pytest-dora\[postgres\]'"):
        Store.open("postgresql://u:top-secret@127.0.0.1:1/x")


def test_a_store_that_must_be_there_is_not_made(
    tmp_path: Path, database: Callable[[], str]
) -> None:
    file = tmp_path / "dora.db"
    for place in (str(file), database()):
        with pytest.raises(StoreError, match="there is no store"):
            Store.open(place, create=False)
    assert not file.exists()


@pytest.mark.parametrize("content", [b"no database, but long enough to be one" * 99, b"x" * 100])
def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"notes\.txt.*name another file"):
        Store.open(file)
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE item (id)")
    raw.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"holds something else \(table 'item'\)"):
        Store.open(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_another_programs_tables_may_lie_beside_ours_on_a_server_but_not_in_our_place(
    database: Callable[[], str],
) -> None:
    address = database()
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("CREATE TABLE item (id int)")
    with Store.open(address) as store:
        assert store.append([deployment(1)]).new == 1
    address = database()
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("CREATE TABLE events (id int)")
    with pytest.raises(StoreError, match=r"table 'events'.*schema"):
        Store.open(address)


def test_a_file_in_a_place_that_does_not_last_is_opened_with_a_notice(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder, "x.db")) as store:
        (notice,) = store.notices
    assert "does not last" in notice
    assert "x.db" in notice


def test_a_disk_in_memory_is_known_wherever_it_is_mounted() -> None:
    mounted = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    folders = [one[1] for one in mounted if one[2] == "tmpfs" and os.path.isdir(one[1])]
    assert folders
    for folder in folders:
        (notice,) = notices_of(find_place(Path(folder, "x.db")))
        assert "in memory" in notice or "emptied" in notice


def test_a_file_on_a_lasting_disk_is_opened_without_a_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pytest_dora.delivery.store.place._filesystem", lambda _file: "ext4"
    )  # whatever the machine of this test has
    assert notices_of(find_place(Path(__file__).with_name("x.db"))) == ()


@pytest.mark.parametrize(
    ("kind", "said"), [("nfs4", "network disk"), ("overlay", "container"), ("tmpfs", "in memory")]
)
def test_the_disk_decides_what_is_said(
    monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    monkeypatch.setattr("pytest_dora.delivery.store.place._filesystem", lambda _file: kind)
    (notice,) = notices_of(find_place(Path(__file__).with_name("x.db")))
    assert said in notice
