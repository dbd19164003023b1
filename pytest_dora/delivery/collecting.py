"""Reading services into a store: which collectors there are, what they read, and how far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from pytest_dora.delivery.collectors.base import CollectError, Collector, Scope

if TYPE_CHECKING:
    from pytest_dora.delivery.store import Store
    from pytest_dora.model.fleet import Fleet

GROUP = "pytest_dora.collectors"
BUILTIN = {
    "alertmanager": "pytest_dora.delivery.collectors.alertmanager:Alertmanager",
    "databricks": "pytest_dora.delivery.collectors.databricks:DatabricksCollector",
    "datadog": "pytest_dora.delivery.collectors.datadog:DatadogCollector",
    "fly": "pytest_dora.delivery.collectors.fly:FlyCollector",
    "github": "pytest_dora.delivery.collectors.github:GitHub",
    "prometheus": "pytest_dora.delivery.collectors.prometheus:Prometheus",
}
"""Imported when they are asked for: some of their libraries take seconds."""


@dataclass
class Collected:
    """What came of one scope. ``error`` is a sentence; what was stored before it is good."""

    collector: str
    scope: str
    new: int = 0
    known: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data_through: datetime | None = None
    error: str | None = None


def names() -> list[str]:
    """Every collector that exists here."""
    return sorted({*BUILTIN, *(found.name for found in entry_points(group=GROUP))})


def load(name: str) -> Collector:
    """A collector by its name. Raises CollectError for an unknown or a broken one."""
    for found in entry_points(group=GROUP):
        if found.name == name:
            try:
                return cast("Callable[[], Collector]", found.load())()
            except Exception as error:
                raise CollectError(f"{name}: {found.value} cannot be used: {error!r}") from error
    if name not in BUILTIN:
        raise CollectError(f"{name}: no such collector; there are {', '.join(names())}")
    module, _, attribute = BUILTIN[name].partition(":")
    return cast("Callable[[], Collector]", getattr(import_module(module), attribute))()


def scopes(fleet: Fleet, wanted: Iterable[str] = ()) -> Iterator[tuple[str, Scope]]:
    """What a fleet file says that there is to read: its apps' services and its ``[[collect]]``."""
    chosen = set(wanted)
    seen: set[tuple[str, str]] = set()
    for entry in fleet.collect:
        if chosen and entry.collector not in chosen:
            continue
        scope = Scope(entry.scope, entry.app, entry.environment, entry.options)
        if (entry.collector, label(scope)) in seen:
            raise CollectError(f"{entry.collector} {label(scope)}: is to be collected twice")
        seen |= {(entry.collector, label(scope)), (entry.collector, scope.name)}
        yield entry.collector, scope
    for app in fleet.apps:
        for kind, named in app.services.named().items():
            name = named.partition(":")[2]
            if (kind, name) not in seen and (not chosen or kind in chosen):
                seen.add((kind, name))
                # whose it is, the fleet file says when metrics are told: it may change its mind
                yield kind, Scope(name)


def label(scope: Scope) -> str:
    """What a scope is called: one server may be read for many apps, from another place each."""
    return scope.name if scope.app_id is None else f"{scope.name} ({scope.app_id})"


def collect(store: Store, name: str, scope: Scope, now: datetime) -> Collected:
    """Read one scope from where it was left. Never raises for what a service does."""
    from pytest_dora.delivery.store import Progress, StoreError

    result = Collected(name, label(scope))
    try:
        before = store.progress(name, result.scope)
        cursor = before.cursor if before is not None else None
        result.data_through = before.data_through if before is not None else None
        for batch in load(name).collect(scope, cursor, now):
            progress = Progress(name, result.scope, batch.cursor, batch.data_through)
            appended = store.append(batch.events, progress)
            result.new += appended.new
            result.known += appended.known
            for reason, count in appended.refused.items():
                result.refused[str(reason)] = result.refused.get(str(reason), 0) + count
            result.notes += batch.notes
            result.data_through = batch.data_through or result.data_through
    except (CollectError, StoreError) as error:
        result.error = str(error)
    return result
