import pytest
from fastapi.testclient import TestClient

from app.main import app


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("SHOP_PAYMENT_KEY", "test-0000")
    return TestClient(app)


def test_products_are_listed(client):
    assert [product["sku"] for product in client.get("/api/products").json()] == ["mug", "cap", "tee"]


def test_one_product_is_shown(client):
    assert client.get("/api/products/mug").json()["cents"] == 950


def test_an_unknown_product_is_not_found(client):
    assert client.get("/api/products/car").status_code == 404
