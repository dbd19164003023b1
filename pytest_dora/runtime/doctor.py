"""What this machine can judge, and the one line that mends each lack."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pytest_dora.model.settings import SandboxMode
from pytest_dora.runtime.sandbox.select import choose_tier, self_test
from pytest_dora.runtime.sandbox.spec import SandboxUnavailable, Tier
from pytest_dora.runtime.services.postgres import find_postgres
from pytest_dora.runtime.toolchains import describe_all


@dataclass(frozen=True)
class Ability:
    """One thing that evaluations need: what is there, or how to get it."""

    name: str
    found: str | None
    needed_for: str
    way_out: str


def abilities(mode: SandboxMode = SandboxMode.AUTO) -> tuple[Ability, ...]:
    """Everything that is looked for, found or not."""
    return (_sandbox(mode), *_tools(), _postgres())


def _sandbox(mode: SandboxMode) -> Ability:
    way_out = "apt-get install bubblewrap (or your system's package of that name)"
    try:
        found: str | None = choose_tier(mode).value
    except SandboxUnavailable:
        found = None
    return Ability("sandbox", found, "everything", way_out)


_NEEDED_FOR = {
    "node": "JavaScript and TypeScript apps",
    "npm": "apps with package.json",
    "bun": "apps with bun.lock",
    "pnpm": "apps with pnpm-lock.yaml",
    "yarn": "apps with yarn.lock",
    "python": "Python apps",
    "uv": "Python apps",
    "go": "Go apps",
    "php": "PHP apps",
    "composer": "PHP apps",
}


def _tools() -> list[Ability]:
    return [
        Ability(one.name, one.version, _NEEDED_FOR.get(one.name, "some apps"), one.way_out)
        for one in describe_all()
    ]


def _postgres() -> Ability:
    return Ability(
        "postgresql",
        find_postgres(),
        "apps that need PostgreSQL",
        "pip install 'pytest-dora[postgres]'",
    )


def examine() -> list[str]:
    """The lines of ``pytest-dora doctor``."""
    lines = [f"{os.cpu_count()} processors; uid {os.geteuid()}"]
    for ability in abilities():
        if ability.found is not None:
            lines.append(f"  ok       {ability.name:<11} {ability.found}")
        else:
            lines.append(
                f"  missing  {ability.name:<11} for {ability.needed_for}: {ability.way_out}"
            )
    for tier in (Tier.BUBBLEWRAP, Tier.LANDLOCK):
        tried = self_test(tier)
        weak = sorted(name for name, held in tried.held.items() if not held)
        state = "holds" if tried.passed else tried.error or f"did not hold: {', '.join(weak)}"
        lines.append(f"  {tier.value} self-test: {state}")
    return lines


def header_lines(mode: SandboxMode = SandboxMode.AUTO) -> list[str]:
    """The lines of a run's header: how strong the walls are, and what is missing."""
    found = abilities(mode)
    sandbox = found[0].found or "none that works"
    if mode is SandboxMode.NONE:
        sandbox = "NONE: the apps run with your rights, your files and your network"
    missing = [ability for ability in found[1:] if ability.found is None]
    lines = [f"sandbox: {sandbox}"]
    if missing:
        lacks = "; ".join(f"no {one.name} ({one.needed_for}: {one.way_out})" for one in missing)
        lines.append(f"not judged here: {lacks}")
    return lines


def sandbox_facts(mode: SandboxMode) -> dict[str, object]:
    """What every report records of the walls."""
    tier = choose_tier(mode)
    if tier is Tier.NONE:
        return {"tier": tier.value, "self_test": None}
    return {"tier": tier.value, "self_test": dict(self_test(tier).held)}
