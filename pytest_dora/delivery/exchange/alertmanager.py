"""Webhook payloads of Alertmanager, as its collector understands them."""

from __future__ import annotations

from datetime import datetime

from pytest_dora.delivery.exchange.edge import Payload, Unusable
from pytest_dora.model.events import Event


def recognises(payload: Payload) -> bool:
    return "groupKey" in payload and isinstance(payload.get("alerts"), list)


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    from pytest_dora.delivery.collectors.alertmanager import incidents_of_webhook

    try:
        return tuple(incidents_of_webhook(payload, observed_at))
    except ValueError as error:
        raise Unusable(str(error)) from error
