"""What was spent on an app in a window, each amount once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pytest_dora.delivery.entities import AppHistory, Deployment
from pytest_dora.delivery.policy import Window
from pytest_dora.delivery.releases import when


@dataclass(frozen=True)
class _Item:
    """Something that has a price: what it says of it, and the names by which others may."""

    category: str
    at: datetime | None
    usd: float | None
    names: frozenset[str]


def cost_of(history: AppHistory, window: Window) -> tuple[float | None, tuple[int, int]]:
    """All that was spent on all attempts, and of how many generations and deployments it is known.

    A cost that refers to something of its category replaces what that says of itself, and counts
    when that took place; any other cost counts when it was spent.
    """
    referred: dict[tuple[str, str], list[float]] = {}
    for _, body in history.costs:
        if body.reference is not None:
            referred.setdefault((body.category, body.reference), []).append(body.usd)
    spent: list[float] = []
    used: set[tuple[str, str]] = set()
    known = every = 0
    for item in _items(history):
        found = {(item.category, name) for name in item.names} & referred.keys()
        used |= found
        if item.at not in window:
            continue
        paid = [usd for key in sorted(found) for usd in referred[key]]
        price = math.fsum(paid) if paid else item.usd
        if price is not None:
            spent.append(price)
        if item.category != "build":
            every += 1
            known += price is not None
    spent += [
        body.usd
        for at, body in history.costs
        if at in window and (body.category, body.reference or "") not in used
    ]
    return (math.fsum(spent) if spent else None), (known, every)


def _items(history: AppHistory) -> Iterator[_Item]:
    for made, names in zip(history.generations, history.generation_names, strict=True):
        yield _Item("generation", made.prompt_at, made.cost_usd, names)
    for built, names in zip(history.builds, history.build_names, strict=True):
        yield _Item("build", built.started_at, built.cost_usd, names)
    for deployed in history.production:
        yield _Item("deployment", when(deployed), deployed.cost_usd, _names(deployed))


def _names(one: Deployment) -> frozenset[str]:
    """Its keys, and what it was called when it was recorded."""
    keys = (one.key, *one.also)
    recorded = (key.rpartition("/")[2] for key in keys) if "record" in one.sources else ()
    return frozenset((*keys, *recorded))
