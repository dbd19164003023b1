from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from app.catalog import PRODUCTS, Product, find
from app.payments import keep_session_fresh


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    keep_session_fresh()
    yield


app = FastAPI(title="Shop", lifespan=lifespan)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.get("/api/products")
def products() -> list[Product]:
    return PRODUCTS


@app.get("/api/products/{sku}")
def product(sku: str) -> Product:
    found = find(sku)
    if found is None:
        raise HTTPException(404, "no such product")
    return found
