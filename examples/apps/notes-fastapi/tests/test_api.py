from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from notes.api import create_app
from notes.store import NoteStore


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(create_app(NoteStore(str(tmp_path / "notes.db"))))


def test_a_new_note_is_listed(client: TestClient) -> None:
    assert client.post("/api/notes", json={"text": "milk"}).status_code == 201
    assert [note["text"] for note in client.get("/api/notes").json()] == ["milk"]
    assert "1 kept" in client.get("/").text


def test_an_empty_note_is_refused(client: TestClient) -> None:
    assert client.post("/api/notes", json={"text": ""}).status_code == 422


def test_a_deleted_note_is_gone(client: TestClient) -> None:
    note = client.post("/api/notes", json={"text": "milk"}).json()
    assert client.delete(f"/api/notes/{note['id']}").status_code == 204
    assert client.delete(f"/api/notes/{note['id']}").status_code == 404
    assert client.get("/api/notes").json() == []


def test_health_asks_the_database(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
