"""From a store of events to what production showed: one app after the other, then the fleet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from pytest_dora.delivery.entities import AppHistory
from pytest_dora.delivery.fold import fold
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
from pytest_dora.model.events import Event
from pytest_dora.model.production import AppProduction, CollectedThrough, Production

if TYPE_CHECKING:
    from pytest_dora.delivery.store import Store
    from pytest_dora.model.fleet import Fleet

_READ_INCIDENTS = frozenset({"prometheus", "alertmanager"})
"""Those that always read alerts. Datadog's incidents are optional, and Databricks tells only of an
outage that goes on at that very moment: that they told of none says too little."""
_READ_DEPLOYMENTS = frozenset({"github", "fly", "databricks", "datadog"})
_LABELLED = re.compile(r".* \((?P<app>.+)\)$", re.DOTALL)


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
    unseen = set(apps or ())
    wanted = frozenset(unseen) if apps is not None else None
    read = _Read(store, owners)
    observed: list[Observation] = []
    found: list[AppProduction] = []
    unjoined: Counter[str] = Counter()
    for app_id, events in chain(store.read_by_app(owners), _without_events(unseen)):
        if app_id is None:
            unjoined.update(event.service or "(neither app nor service)" for event in events)
        elif wanted is None or app_id in wanted:
            unseen.discard(app_id)
            # what was told later is not known yet
            known = (event for event in events if event.occurred_at <= now)
            history = fold(app_id, known, policy.environments)
            watched = policy.incidents_watched or read.watches(app_id, window)
            own = replace(policy, incidents_watched=watched)
            until = read.deployments_until(history)
            seen = observe(history, window, now, own, known_until=until)
            month = observe(history, days_before(now, 30), now, own, known_until=until)
            observed.append(seen)
            found.append(_app(history, seen, month, own))
    return Production(
        now=now,
        window=dora.Window(start=window.start, end=window.end),
        incidents_watched=policy.incidents_watched,
        dora_metrics=dora_metrics(observed, window, policy),
        reliability=reliability(observed),
        cost=cost(observed, policy),
        touch=touch(observed),
        axis=dict(Counter(one.axis.state for one in found)),
        apps=tuple(sorted(found, key=lambda one: one.app_id)),
        collected=tuple(
            CollectedThrough(collector=one.collector, scope=one.scope, data_through=one.data_through)
            for one in store.all_progress()
        ),
        uncounted=dict(sum((Counter(one.uncounted) for one in observed), Counter())),
        refused={str(reason): count for reason, count in store.refusals().items()},
        unjoined=dict(unjoined),
    )  # fmt: skip


def _without_events(unseen: Collection[str]) -> Iterator[tuple[str, list[Event]]]:
    """The apps of which nothing was told; to be asked when all others have been."""
    yield from ((app_id, []) for app_id in sorted(unseen))


class _Read:
    """Up to when collectors have read what is of each app."""

    def __init__(self, store: Store, owners: Owners) -> None:
        self._incidents: dict[str, datetime] = {}
        self._deployments: dict[tuple[str, str], datetime] = {}
        for one in store.all_progress():
            labelled = _LABELLED.match(one.scope)
            app_id = labelled["app"] if labelled else owners(None, f"{one.collector}:{one.scope}")
            if app_id is None or one.data_through is None:
                continue
            if one.collector in _READ_INCIDENTS:
                before = self._incidents.get(app_id, one.data_through)
                self._incidents[app_id] = max(before, one.data_through)
            if one.collector in _READ_DEPLOYMENTS:
                self._deployments[app_id, one.collector] = one.data_through

    def watches(self, app_id: str, window: Window) -> bool:
        """Whether a collector of incidents has read an app up to a day before the window's end."""
        through = self._incidents.get(app_id)
        return through is not None and through >= window.end - timedelta(days=1)

    def deployments_until(self, history: AppHistory) -> datetime | None:
        """Up to when deployments are known of an app that only collectors tell of."""
        sources = {source for one in history.deployments for source in one.sources}
        through = [self._deployments.get((history.app_id, source)) for source in sources]
        known = [moment for moment in through if moment is not None]
        return max(known) if known and len(known) == len(through) else None


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


def _app(
    history: AppHistory, seen: Observation, month: Observation, policy: Policy
) -> AppProduction:
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
