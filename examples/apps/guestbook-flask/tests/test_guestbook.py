import pytest

from app import app


@pytest.fixture
def client():
    return app.test_client()


def test_health(client):
    assert client.get("/health").get_json()["status"] == "ok"


def test_a_name_is_required(client):
    assert client.post("/sign", data={"message": "hello"}).status_code == 400


def test_the_page_is_shown(client):
    assert client.get("/").status_code == 200
