"""From a store of events to what production showed: one app after the other, then the fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_dora.delivery.entities import AppHistory
from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.metrics import numbers
from pytest_dora.delivery.metrics.failure_rate import axis, change_failure_rate
from pytest_dora.delivery.metrics.frequency import deployment_frequency
from pytest_dora.delivery.metrics.lead_time import lead_time_for_changes
from pytest_dora.delivery.metrics.recovery import mttr_minutes
from pytest_dora.delivery.metrics.reliability import cost, reliability, touch
from pytest_dora.delivery.metrics.rework import deployment_rework_rate
from pytest_dora.delivery.observe import Observation, observe
from pytest_dora.delivery.policy import Policy, Window, days_before
from pytest_dora.delivery.records import last_deployment, lead_time, reliability_30d
from pytest_dora.model import dora
from pytest_dora.model.production import AppProduction, CollectedThrough, Production

if TYPE_CHECKING:
    from pytest_dora.delivery.store import Store
    from pytest_dora.model.fleet import Fleet

_FLEET_WIDE = frozenset({"record", "pagerduty", "opsgenie", "devlake", "cdevents"})
"""Sources of incidents that tell of every app: who records one would record others."""


class Owners:
    """Whose an event is. ``services`` maps ``github:owner/repo`` and the like to app ids."""

    def __init__(self, services: Mapping[str, str]) -> None:
        self._services = {name.lower(): app_id for name, app_id in services.items()}

    @classmethod
    def of(cls, fleet: Fleet) -> Owners:
        """As a fleet file joins them. A service of two apps is nobody's: nothing says whose."""
        named: dict[str, str | None] = {}
        for app in fleet.apps:
            for name in app.services.named().values():
                named[name.lower()] = app.app_id if name.lower() not in named else None
        return cls({name: app_id for name, app_id in named.items() if app_id is not None})

    def __call__(self, app_id: str | None, service: str | None) -> str | None:
        if app_id is not None:
            return app_id
        return None if service is None else self._services.get(service.lower())


def production(
    store: Store,
    window: Window,
    now: datetime,
    policy: Policy,
    owners: Owners | None = None,
    apps: Iterable[str] | None = None,
) -> Production:
    """Everything that a store says of a window. Holds one app's events in memory at a time.

    ``apps`` are those to be told of, also where nothing is known of them; None: all in the store.
    """
    owners = owners or Owners({})
    wanted = None if apps is None else set(apps)
    policy = replace(policy, incidents_watched=policy.incidents_watched or _watched(store))
    observed: list[Observation] = []
    found: list[AppProduction] = []
    uncounted: Counter[str] = Counter()
    unjoined: Counter[str] = Counter()
    for app_id, events in store.read_by_app(owners):
        if app_id is None:
            unjoined.update(event.service or "(neither app nor service)" for event in events)
        elif wanted is None or app_id in wanted:
            history = fold(app_id, events, policy.environments)
            seen = observe(history, window, now, policy)
            observed.append(seen)
            uncounted.update(seen.uncounted)
            found.append(_app(history, seen, now, policy))
    known = {one.app_id for one in found}
    found += [_unknown(app_id) for app_id in sorted((wanted or set()) - known)]
    found.sort(key=lambda one: one.app_id)
    return Production(
        now=now,
        window=dora.Window(start=window.start, end=window.end),
        incidents_watched=policy.incidents_watched,
        dora_metrics=dora_metrics(observed, window, policy),
        reliability=reliability(observed),
        cost=cost(observed, policy),
        touch=touch(observed),
        axis=dict(Counter(one.axis.state for one in found)),
        apps=tuple(found),
        collected=tuple(
            CollectedThrough(collector=one.collector, scope=one.scope, data_through=one.data_through)
            for one in store.all_progress()
        ),
        uncounted=dict(uncounted),
        refused={str(reason): count for reason, count in store.refusals().items()},
        unjoined=dict(unjoined),
    )  # fmt: skip


def _watched(store: Store) -> bool:
    return any(event.source in _FLEET_WIDE for event in store.read(kinds=("incident",)))


def dora_metrics(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.DoraMetrics:
    """The five metrics of one app, or of all pooled."""
    return dora.DoraMetrics(
        deployment_frequency=deployment_frequency(observed, window, policy),
        lead_time_for_changes=lead_time_for_changes(observed, window, policy),
        mttr_minutes=mttr_minutes(observed, window, policy),
        change_failure_rate=change_failure_rate(observed, window, policy),
        deployment_rework_rate=deployment_rework_rate(observed, window),
    )


def _app(history: AppHistory, seen: Observation, now: datetime, policy: Policy) -> AppProduction:
    month = observe(history, days_before(now, 30), now, policy)
    return AppProduction(
        app_id=history.app_id,
        axis=axis(seen),
        dora_metrics=dora_metrics([seen], seen.window, policy),
        last_deployment=last_deployment(history),
        lead_time=lead_time(seen.prompt_lead_times, history),
        reliability_30d=reliability_30d(month),
        reliability=reliability([seen]),
        cost=cost([seen], policy),
        touch=touch([seen]),
        uncounted=dict(seen.uncounted),
    )


def _unknown(app_id: str) -> AppProduction:
    empty = dora.DoraMetrics(
        deployment_frequency=dora.DeploymentFrequency(reason=numbers.NOT_OBSERVED),
        lead_time_for_changes=dora.LeadTimeForChanges(reason=numbers.NOT_OBSERVED),
        mttr_minutes=dora.MttrMinutes(reason=numbers.NOT_OBSERVED),
        change_failure_rate=dora.ChangeFailureRate(reason=numbers.NOT_OBSERVED),
        deployment_rework_rate=dora.DeploymentReworkRate(reason=numbers.NOT_OBSERVED),
    )
    return AppProduction(app_id=app_id, dora_metrics=empty)
