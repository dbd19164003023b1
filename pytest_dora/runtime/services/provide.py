"""The services of one stage: started, handed over by name, taken back at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_dora.model.plan import Plan, ServiceKind
from pytest_dora.model.result import Outcome
from pytest_dora.runtime.stage import Stage, StageFailed
from pytest_dora.runtime.toolchains import ToolMissing

if TYPE_CHECKING:
    from pytest_dora.runtime.engine import Engine
    from pytest_dora.runtime.relay import Relay

POSTGRES_PORT = 5432
DATABASE_HOP = 0.002
"""Seconds. No real database answers as fast as a loopback, and tests that compare the times of two
statements fail on one that does: they would be flaky here and nowhere else."""


@dataclass
class Provided:
    """What a stage's sandboxes are given, and the services that could not be."""

    env: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    bridges: list[tuple[int, Relay]] = field(default_factory=list)
    missing: tuple[ServiceKind, ...] = ()
    undo: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        for action in reversed(self.undo):
            action()
        self.undo.clear()


def provide(plan: Plan, app_id: str, stage: Stage, engine: Engine) -> Provided:
    """Fresh services for one stage of an app. Raises StageFailed (inconclusive) when a service
    that we could provide cannot be started here.
    """
    needed = [need for need in plan.services if need.required]
    provided = Provided(
        missing=tuple(need.kind for need in needed if need.kind is not ServiceKind.POSTGRES)
    )
    if any(need.kind is ServiceKind.POSTGRES for need in needed):
        try:
            _postgres(plan, f"{app_id}/{stage.value}", engine, provided)
        except ToolMissing as missing:
            raise StageFailed(
                stage, Outcome.INCONCLUSIVE, "service_missing", str(missing)
            ) from missing
    return provided


def _postgres(plan: Plan, owner: str, engine: Engine, provided: Provided) -> None:
    from pytest_dora.runtime.relay import Relay
    from pytest_dora.runtime.services.handover import environment

    database = engine.postgres.database(owner)
    provided.undo.append(lambda: engine.postgres.drop(database))
    env: dict[str, str] = {}
    hosts: list[str] = []
    for need in plan.services:
        if need.kind is ServiceKind.POSTGRES:
            env.update(environment(need, database))
            hosts += need.host_aliases
    relay = Relay(database.connect, hop=DATABASE_HOP)
    provided.undo.append(relay.close)
    provided.bridges.append((POSTGRES_PORT, relay))
    provided.env = env
    provided.hosts = tuple(dict.fromkeys(hosts))
