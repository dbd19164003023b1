"""The report of a run. Every key always exists; what was not observed is null with a reason.

Durations are seconds and money is US dollars unless a name says otherwise; a ``rate`` is between
0 and 1, a ``percent`` or ``percentage`` between 0 and 100; times are UTC.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from pytest_dora.model.app import Generation, Origin
from pytest_dora.model.base import Model
from pytest_dora.model.dora import (
    DeploymentMetrics,
    DoraMetrics,
    LeadTimeMetrics,
    ReliabilityMetrics,
)
from pytest_dora.model.production import AppProduction, FleetProduction
from pytest_dora.model.result import Outcome
from pytest_dora.model.settings import Level, Settings

__all__ = [
    "SCHEMA_VERSION",
    "AppReport",
    "DeploymentMetrics",
    "LeadTimeMetrics",
    "ReliabilityMetrics",
    "Report",
    "RunInfo",
    "RunStatus",
]

SCHEMA_VERSION = 1

Interval = tuple[float, float]
"""Lower and upper bound."""


class RunStatus(StrEnum):
    STARTED = "started"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class Tool(Model):
    name: str = "pytest-dora"
    version: str | None = None


class SandboxInfo(Model):
    """How apps were confined, and what the sandbox's own trial of its walls gave."""

    tier: str | None = None
    self_test: dict[str, JsonValue] | None = None
    notes: tuple[str, ...] = ()


class RunInfo(Model):
    """When, where and how a run took place."""

    id: str
    started_at: datetime
    finished_at: datetime | None = None
    tool: Tool = Tool()
    python: str | None = None
    platform: str | None = None
    cpus: int | None = None
    cores: float | None = None
    """Cores that checks shared; may be fewer than ``cpus``."""
    workers: int | None = None
    sandbox: SandboxInfo = SandboxInfo()
    versions: dict[str, str] = Field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    shard: tuple[int, int] | None = None
    """``(i, n)``: this run is shard i of n."""
    checks_known: tuple[str, ...] = ()
    """Every check that exists here, selected or not; empty when unknown."""
    merged_from: tuple[str, ...] = ()
    """Ids of the runs that were merged into this one."""
    notes: tuple[str, ...] = ()


class GateStatus(StrEnum):
    NOT_REQUESTED = "not_requested"
    EVALUATED = "evaluated"
    NOT_EVALUATED = "not_evaluated"


class Gate(Model):
    """Whether enough apps reach a level. ``met`` is null unless a share was required."""

    status: GateStatus
    level: Level | None = None
    fail_under: float | None = None
    apps_total: int = 0
    apps_reaching: int | None = None
    apps_reaching_by_waiver: int | None = None
    """Of ``apps_reaching``, those that would not without a waiver."""
    percent: float | None = None
    ci95: Interval | None = None
    """Wilson interval of ``percent``, in percent."""
    met: bool | None = None
    reasons: tuple[str, ...] = ()


class LevelDefinition(Model):
    """What a level asks for in this run."""

    level: Level
    requirements: tuple[str, ...]
    available: bool
    """False when checks it needs do not exist or were not selected; nobody has it then."""
    reason: str | None = None


class LevelStatus(Model):
    """Whether an app reaches a level; null with a reason when that cannot be told."""

    reached: bool | None
    by_waiver: bool = False
    reason: str | None = None


class AppliedWaiver(Model):
    """A waiver of the evaluator, and what it did in this run."""

    check: str
    reason: str
    expires: date
    status: Literal["applied", "unused", "expired"]


class CheckSummary(Model):
    """One result without its evidence, which stands in the app's own file."""

    outcome: Outcome
    reason: str | None = None
    message: str = ""
    score: int | None = None
    verified_score: int | None = None
    seconds: float | None = None
    failing: tuple[str, ...] = ()
    """Probes of the failing findings."""
    attempts: int = 0
    blocked_by: str | None = None
    waived: bool = False
    cache_key: str | None = None


class LeadTimeParts(Model):
    """Seconds of each part; null when unknown."""

    generation: float | None = None
    install: float | None = None
    build: float | None = None
    start: float | None = None
    """From the first start to the first healthy answer."""


class AppLeadTime(LeadTimeMetrics):
    """From the prompt to an artefact that answers, as this run saw it.

    ``build_*`` covers installation and build. ``deployment_*`` is null: nothing was deployed.
    ``total_lead_time_sec`` is the sum of ``parts``, null when one is missing.
    """

    basis: Literal["estimated", "observed"] = "estimated"
    parts: LeadTimeParts = LeadTimeParts()
    missing: tuple[str, ...] = ()
    reason: str | None = None


class AppCost(Model):
    """What one app cost so far."""

    generation_usd: float | None = None
    """The generation that gave the app evaluated here."""
    attempts_usd: float | None = None
    """All generations of the app, failed and replaced ones too."""
    attempts: int | None = None
    build_usd: float | None = None
    deployment_usd: float | None = None
    total_usd: float | None = None
    """Sum of what is known of attempts, build and deployment."""
    evaluation_cpu_seconds: float | None = None
    reason: str | None = None


class AppReport(Model):
    """All that a run says of one app, but for the evidence."""

    app_id: str
    origin: Origin
    generator: str | None = None
    model: str | None = None
    prompt_id: str | None = None
    attempt: int | None = None
    stack: tuple[str, ...] = ()
    fingerprint: str | None = None
    loc: int | None = None
    coverage_percent: float | None = None
    """Lines that the app's own tests ran."""
    folder: bool = True
    """False for a generation that left nothing to evaluate."""
    level: Level | None = None
    """The highest level reached."""
    level_reason: str | None = None
    levels: dict[Level, LevelStatus] = Field(default_factory=dict)
    next_level_needs: tuple[str, ...] = ()
    deployable: bool | None = None
    pass_rate_applicable: float | None = None
    pass_rate_all: float | None = None
    appeval_100: float | None = None
    eff_units: float | None = None
    generation: Generation | None = None
    claimed_generation: Generation | None = None
    """What the app says of its own generation: published, never counted."""
    lead_time: AppLeadTime = AppLeadTime()
    cost: AppCost = AppCost()
    waivers: tuple[AppliedWaiver, ...] = ()
    notes: tuple[str, ...] = ()
    production: AppProduction | None = None
    """What production showed of the app; null without a store of delivery events."""
    details: str | None = None
    """The file with findings and evidence, relative to the report."""
    checks: dict[str, CheckSummary] = Field(default_factory=dict)


class Durations(Model):
    """Seconds of one check over the apps in which it ran."""

    p50: float | None = None
    p90: float | None = None
    max: float | None = None


class CheckTotals(Model):
    """One check over all apps."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    blocked: int = 0
    not_applicable: int = 0
    inconclusive: int = 0
    error: int = 0
    crashed: int = 0
    not_run: int = 0
    waived: int = 0
    pass_rate: float | None = None
    """Passed of all but the not applicable: what could not be judged is no pass."""
    ci95: Interval | None = None
    seconds: Durations = Durations()


class Outlier(Model):
    app_id: str
    value: float
    score: float | None = None
    """Modified z-score; null where the interquartile range decided."""


class Consistency(Model):
    """How much the apps differ in one metric; null when there are too few samples."""

    n: int
    mean: float | None = None
    std_dev: float | None = None
    cv: float | None = None
    median: float | None = None
    mad: float | None = None
    outliers: tuple[Outlier, ...] = ()


class FleetCost(Model):
    """What the fleet cost; failed generations are part of it."""

    total_usd: float | None = None
    apps_with_cost: int = 0
    apps_without_cost: int = 0
    median_usd: float | None = None
    per_deployable_app_usd: float | None = None
    reason: str | None = None


class Report(Model):
    """The one report of a run (``report.json``)."""

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    status: RunStatus
    run: RunInfo
    settings: Settings | None = None
    gate: Gate
    dora_metrics: DoraMetrics
    levels: tuple[LevelDefinition, ...] = ()
    apps: tuple[AppReport, ...] = ()
    checks: dict[str, CheckTotals] = Field(default_factory=dict)
    consistency: dict[str, Consistency] = Field(default_factory=dict)
    cost: FleetCost = FleetCost()
    production: FleetProduction | None = None
    """What production showed beside ``dora_metrics``; null without a store."""
    notes: tuple[str, ...] = ()
