from pydantic import BaseModel


class Product(BaseModel):
    sku: str
    title: str
    cents: int


PRODUCTS = [
    Product(sku="mug", title="Mug", cents=950),
    Product(sku="cap", title="Cap", cents=1450),
    Product(sku="tee", title="T-shirt", cents=1990),
]


def find(sku: str) -> Product | None:
    return next((product for product in PRODUCTS if product.sku == sku), None)
