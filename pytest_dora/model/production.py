"""What production itself showed, beside the five metrics: reliability, touch, money, the axis."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from pytest_dora.model.base import Model
from pytest_dora.model.dora import (
    DeploymentMetrics,
    DoraMetrics,
    LeadTimeMetrics,
    Number,
    ReliabilityMetrics,
    Window,
)


class Proof(StrEnum):
    """The production axis, from observed deployments alone."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    """The upper 95 % bound of the change failure rate is at most 15 %."""
    BREACHED = "breached"
    """Its lower bound is above 15 %."""


class Axis(Model):
    """``needed`` is how many further deployments without a failure would prove it."""

    state: Proof = Proof.UNPROVEN
    judged: int = 0
    failed: int = 0
    needed: int | None = None
    reason: str | None = None


class Reliability(Model):
    """Of the window; percentages of time or of requests, milliseconds."""

    uptime: Number = Number()
    error_rate: Number = Number()
    p50_ms: Number = Number()
    """Median over the periods of their own p50, weighted by requests: no p50 of all requests."""
    p99_ms: Number = Number()
    query_failure_rate: Number = Number()


class DeliveryCost(Model):
    """Money of a window. Failed generations are part of it."""

    total: Number = Number()
    per_deployment: Number = Number()
    coverage: Number = Number()
    """Percent of generations and deployments of which the cost is known."""
    human_per_app: Number = Number()
    """What the evaluator says that a person would cost for one such app."""
    ratio_to_human: Number = Number()


class Touch(Model):
    """Who deployed. Zero-touch is what nobody started: neither by hand nor by a push."""

    zero_touch_rate: Number = Number()
    automated: int = 0
    ci: int = 0
    manual: int = 0
    unknown: int = 0


class AppProduction(Model):
    """One app in production, in a window."""

    app_id: str
    axis: Axis = Axis()
    dora_metrics: DoraMetrics = DoraMetrics()
    last_deployment: DeploymentMetrics = DeploymentMetrics()
    lead_time: LeadTimeMetrics = LeadTimeMetrics()
    """Of the last prompt that reached production."""
    reliability_30d: ReliabilityMetrics = ReliabilityMetrics()
    """Always of the last 30 days, whatever the window."""
    reliability: Reliability = Reliability()
    cost: DeliveryCost = DeliveryCost()
    touch: Touch = Touch()
    uncounted: dict[str, int] = Field(default_factory=dict)


class CollectedThrough(Model):
    """How far one collector has read one scope."""

    collector: str
    scope: str
    data_through: datetime | None = None


class FleetProduction(Model):
    """What a store of events says of a fleet, beside the five metrics and the apps."""

    now: datetime
    window: Window
    incidents_watched: bool
    """Whether incidents of any app would be known; else that is decided app by app, and without
    it no failure rate is told."""
    reliability: Reliability = Reliability()
    cost: DeliveryCost = DeliveryCost()
    touch: Touch = Touch()
    axis: dict[Proof, int] = Field(default_factory=dict)
    collected: tuple[CollectedThrough, ...] = ()
    uncounted: dict[str, int] = Field(default_factory=dict)
    """Facts that no metric can use, by the reason why."""
    refused: dict[str, int] = Field(default_factory=dict)
    """Events that the store refused, by the reason why."""
    unjoined: dict[str, int] = Field(default_factory=dict)
    """Events of services that no app of the fleet file has."""
    notes: tuple[str, ...] = ()


class Production(FleetProduction):
    """All that a store of events says (``pytest-dora metrics``)."""

    schema_version: Literal[1] = 1
    dora_metrics: DoraMetrics = DoraMetrics()
    apps: tuple[AppProduction, ...] = ()
