"""Deployments of a Databricks App, and whether the app was seen to be down.

Read with Databricks' own SDK. It lists deployments in no documented order and cannot be asked for
later ones only, so all are listed each time, and only new ones and those that were in progress
become events; a collection that was cut starts its list again. The service tells no moment at
which a deployment finished: ``update_time`` of one that has ended stands for it, marked estimated.

Of outages it tells only the present: one is noticed when a collection sees it, and over when a
later collection sees the app running. What began and ended in between was never seen.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.parsing import Moment, moment_of, parsed, secret_from, shown
from pytest_dora.model.base import Model
from pytest_dora.model.events import (
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
    IncidentKind,
)

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.apps import (
        App,
        AppDeployment,
        AppDeploymentStatus,
        ApplicationStatus,
        ComputeStatus,
    )

_BATCH = 100
_TIMEOUT = 10
_ATTEMPTS = 4
_LONGEST_WAIT = 900.0
_GIVEN_UP = timedelta(days=7)
"""A deployment in progress for longer never ends."""
_SECRETS = ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET")
_STATES = {
    "IN_PROGRESS": DeploymentState.IN_PROGRESS,
    "SUCCEEDED": DeploymentState.SUCCESS,
    "FAILED": DeploymentState.FAILED,
    "CANCELLED": DeploymentState.CANCELLED,
}
_Body = DeploymentBody | DeploymentStatusBody | IncidentBody


class _Place(Model):
    through: Moment | None = None
    """Creation of the latest deployment that is known: every earlier one is known, too ..."""
    latest: tuple[str, ...] = ()
    """(those that were created in that very moment)"""
    open: tuple[str, ...] = ()
    """... but for how these ended."""
    down_since: Moment | None = None
    """When the app was first seen to be down, if it has not been seen running since."""

    def wants(self, deployment: str, created: datetime) -> bool:
        if self.through is None or created > self.through or deployment in self.open:
            return True
        return created == self.through and deployment not in self.latest


class DatabricksCollector:
    """Reads the app ``scope.name`` of the workspace ``DATABRICKS_HOST``.

    ``scope.options["host"]`` names another workspace. Credentials are ``DATABRICKS_TOKEN``, or
    ``DATABRICKS_CLIENT_ID`` and ``DATABRICKS_CLIENT_SECRET``; no configuration file is read.
    """

    name = "databricks"

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        place = parsed(_Place, cursor or {}, f"databricks: the cursor of {scope.name}")
        host = _host(scope)
        client = _client(host, self._wait)
        reading = _Reading(scope, urlsplit(host).netloc, place, now)
        for deployment in _listed(client, host, scope.name):
            reading.add(deployment)
            if len(reading.events) >= _BATCH:
                yield Batch(reading.taken(), place.model_dump(mode="json"))
        reading.see(_seen(client, host, scope.name))
        yield Batch(
            reading.taken(), reading.place().model_dump(mode="json"), now, tuple(reading.notes)
        )


class _Reading:
    """One reading of an app's deployments and state, as events."""

    def __init__(self, scope: Scope, workspace: str, place: _Place, now: datetime) -> None:
        self._scope, self._before, self._now = scope, place, now
        self._base = f"databricks/{workspace}/app/{scope.name}"
        self._through, self._latest = place.through, set(place.latest)
        self._open: set[str] = set()
        self._down_since = place.down_since
        self.events: list[Event] = []
        self.notes: list[str] = []

    def taken(self) -> tuple[Event, ...]:
        events, self.events = tuple(self.events), []
        return events

    def place(self) -> _Place:
        return _Place(
            through=self._through,
            latest=tuple(sorted(self._latest)),
            open=tuple(sorted(self._open)),
            down_since=self._down_since,
        )

    def add(self, deployment: AppDeployment) -> None:
        """The deployment, its commit once that is known, and its state, each its own event."""
        name = deployment.deployment_id
        if not name:
            raise CollectError(f"databricks: a deployment of {self._scope.name} has no id")
        created = self._time(name, "create_time", deployment.create_time)
        if not self._before.wants(name, created):
            return
        if self._through is None or created > self._through:
            self._through, self._latest = created, set()
        if created == self._through:
            self._latest.add(name)
        key = f"{self._base}/deployment/{name}"
        body = DeploymentBody(deployment=key, created_at=created, started_at=created)
        self._event(key, created, body)
        git = getattr(deployment, "git_source", None)  # unknown to older versions of the SDK
        if git is not None and git.resolved_commit:
            body = DeploymentBody(
                deployment=key,
                commit_sha=git.resolved_commit,
                repository=_without_user(git.git_repository.url) if git.git_repository else None,
            )
            self._event(f"{key}/commit", created, body)
        told = _state(deployment.status)
        state = _STATES.get(told or "")
        if state is None:
            self.notes.append(
                f"databricks: the deployment {name} of {self._scope.name} has a state that is not "
                "known here: it counts as neither served nor failed"
            )
        else:
            begun = state is DeploymentState.IN_PROGRESS
            at = created if begun else self._time(name, "update_time", deployment.update_time)
            status = DeploymentStatusBody(deployment=key, state=state, estimated=True)
            self._event(f"{key}/{told}", at, status)
        if state in (None, DeploymentState.IN_PROGRESS) and self._now - created < _GIVEN_UP:
            self._open.add(name)

    def see(self, app: App) -> None:
        """Note that the app is down, or that it runs again; the moments are those of seeing."""
        state = _state(app.app_status)
        if self._down_since is None:
            if _is_down(app):
                self._down_since = self._now
                self._event(
                    self._outage(self._now),
                    self._now,
                    IncidentBody(
                        incident=self._outage(self._now),
                        incident_kind=IncidentKind.OUTAGE,
                        title=f"{self._scope.name} is {state}",
                        detected_at=self._now,
                    ),
                )
        elif state == "RUNNING":
            incident = self._outage(self._down_since)
            body = IncidentBody(
                incident=incident, detected_at=self._down_since, resolved_at=self._now
            )
            self._down_since = None
            self._event(f"{incident}/{state}", self._now, body)

    def _outage(self, since: datetime) -> str:
        return f"{self._base}/outage/{since.isoformat()}"

    def _time(self, deployment: str, field: str, value: str | None) -> datetime:
        try:
            return moment_of(value)
        except ValueError as error:
            raise CollectError(
                f"databricks: {field} of the deployment {deployment} of {self._scope.name}: {error}"
            ) from None

    def _event(self, key: str, at: datetime, body: _Body) -> None:
        event = Event(
            key=key,
            source=DatabricksCollector.name,
            app_id=self._scope.app_id,
            service=f"databricks:{self._scope.name}",
            environment=self._scope.environment,
            occurred_at=at,
            observed_at=self._now,
            body=body,
        )
        self.events.append(event)


def _is_down(app: App) -> bool:
    """Whether it should run and does not. An app that was stopped is unavailable on purpose."""
    down = _state(app.app_status) in ("CRASHED", "UNAVAILABLE")
    return down and _state(app.compute_status) in ("ACTIVE", "ERROR")


def _state(status: ApplicationStatus | ComputeStatus | AppDeploymentStatus | None) -> str | None:
    return status.state.value if status is not None and status.state is not None else None


def _host(scope: Scope) -> str:
    """The workspace's address. Raises CollectError when a token may not be sent there."""
    named = str(scope.options.get("host") or os.environ.get("DATABRICKS_HOST", "")).strip()
    if not named:
        raise CollectError(
            "databricks: DATABRICKS_HOST is not set; put the workspace's address there"
        )
    address = named if "://" in named else f"https://{named}"
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        known, parts = False, urlsplit("")
    if not known:
        raise CollectError("databricks: the host is no address of a workspace")
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise CollectError(f"databricks: {parts.hostname} is not https, and would show the token")
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _client(host: str, wait: Callable[[float], None]) -> WorkspaceClient:
    """The SDK's client, with nothing from configuration files, and patience that ends."""
    try:
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.clock import Clock
        from databricks.sdk.config import Config
    except ImportError as error:
        raise CollectError(
            "databricks: its SDK is not installed: pip install 'pytest-dora[databricks]'"
        ) from error

    class Patience(Clock):
        """Time in which the SDK's deadline for retries is a number of attempts."""

        waits = 0

        def time(self) -> float:
            return self.waits

        def sleep(self, seconds: float) -> None:
            if seconds > _LONGEST_WAIT:
                raise CollectError(
                    f"databricks: its limit is reached; come again in {seconds // 1:.0f} s"
                )
            self.waits += 1
            wait(seconds)

    credentials = _credentials()
    _reach(host, wait)
    with _told(host):
        config = Config(
            host=host,
            profile="",
            http_timeout_seconds=_TIMEOUT,
            retry_timeout_seconds=1,  # for what it asks before the first call, by a clock of its own
            disable_async_token_refresh=True,
            clock=Patience(),
            **credentials,
        )
        config.retry_timeout_seconds = _ATTEMPTS
        return WorkspaceClient(config=config)


def _credentials() -> dict[str, Any]:
    if os.environ.get("DATABRICKS_CLIENT_ID") and not os.environ.get("DATABRICKS_TOKEN"):
        return {
            "auth_type": "oauth-m2m",
            "client_id": secret_from("DATABRICKS_CLIENT_ID", name="databricks"),
            "client_secret": secret_from("DATABRICKS_CLIENT_SECRET", name="databricks"),
        }
    return {"auth_type": "pat", "token": secret_from("DATABRICKS_TOKEN", name="databricks")}


def _reach(host: str, wait: Callable[[float], None]) -> None:
    """Raises CollectError when nothing answers, which the SDK takes minutes to find out."""
    import httpx2

    loopback = _is_loopback(urlsplit(host).hostname or "")
    for last in (False, True):
        try:
            httpx2.head(host, timeout=_TIMEOUT, follow_redirects=False, trust_env=not loopback)
            return
        except httpx2.TransportError as error:
            if last:
                raise CollectError(
                    f"databricks: {host} cannot be reached ({type(error).__name__}); "
                    "is DATABRICKS_HOST right?"
                ) from None
            wait(1.0)


@contextmanager
def _told(host: str, app: str | None = None) -> Iterator[None]:
    """What the SDK raises, as CollectError."""
    from databricks.sdk import errors

    try:
        yield
    except (errors.Unauthenticated, errors.PermissionDenied) as error:
        raise CollectError(
            f"databricks: {host} refuses: {shown(str(error), *_SECRETS)}; is DATABRICKS_TOKEN set, "
            "and may it read this app?"
        ) from None
    except errors.NotFound:
        raise CollectError(f"databricks: {host} has no app {app}, or hides it") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = error.__cause__ or error
        raise CollectError(
            f"databricks: {host} cannot be read: {type(reason).__name__}: "
            f"{shown(str(reason), *_SECRETS)}"
        ) from None


def _listed(client: WorkspaceClient, host: str, app: str) -> Iterator[AppDeployment]:
    with _told(host, app):
        yield from client.apps.list_deployments(app)


def _seen(client: WorkspaceClient, host: str, app: str) -> App:
    with _told(host, app):
        return client.apps.get(app)
