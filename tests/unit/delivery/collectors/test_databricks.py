"""Databricks' own SDK against a workspace of ours on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.delivery.collectors.databricks import DatabricksCollector
from tests.unit.delivery.collectors.fake_service import Request, Response, Service, Store, serving

pytest.importorskip("databricks.sdk")

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TOKEN = "dapi-very-secret"
DEPLOYMENTS = "/api/2.0/apps/shop/deployments"


def deployment(number: int, state: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    created = NOW - timedelta(days=300 - number)
    ended = None if state == "IN_PROGRESS" else f"{created + timedelta(minutes=2):%FT%TZ}"
    return {
        "deployment_id": f"d{number:03}",
        "create_time": f"{created:%FT%TZ}",
        "update_time": ended or f"{created:%FT%TZ}",
        "mode": "SNAPSHOT",
        "creator": "someone@example.org",
        "status": {"state": state, "message": "as told"},
        **more,
    }


class Workspace:
    """The two calls that are read, with pages of ``page`` deployments, newest first."""

    def __init__(self, page: int = 3) -> None:
        self.page = page
        self.deployments: list[dict[str, Any]] = []
        self.app: dict[str, Any] = {"name": "shop"}
        self.becomes("RUNNING")
        self.trouble: Callable[[Request], Response | None] = lambda _: None

    def becomes(self, state: str, compute: str = "ACTIVE") -> None:
        self.app |= {"app_status": {"state": state}, "compute_status": {"state": compute}}

    def answer(self, request: Request) -> Response:
        trouble = self.trouble(request)
        if trouble is not None:
            return trouble
        if request.path == DEPLOYMENTS:
            start = int(request.query.get("page_token", 0))
            newest = sorted(self.deployments, key=lambda one: one["create_time"], reverse=True)
            body: dict[str, Any] = {"app_deployments": newest[start : start + self.page]}
            if start + self.page < len(newest):
                body["next_page_token"] = str(start + self.page)
            return Response(body)
        if request.path == "/api/2.0/apps/shop":
            return Response(self.app)
        return Response({"error_code": "NOT_FOUND", "message": "no such thing"}, 404)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Workspace()


@pytest.fixture
def service(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving(workspace.answer) as running:
        monkeypatch.setenv("DATABRICKS_HOST", running.url)
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def collect(waits: list[float]) -> Callable[..., Store]:
    def collecting(store: Store, now: datetime = NOW, **scope: Any) -> Store:
        scoped = Scope(**{"name": "shop", "app_id": "shop", "environment": "production", **scope})
        return store.take(DatabricksCollector(waits.append).collect(scoped, store.cursor, now))

    return collecting


def states(store: Store) -> dict[str, str]:
    return {
        event.body.deployment.rsplit("/", 1)[1]: event.body.state
        for event in store.of("deployment_status")
    }


def test_every_page_of_deployments_is_read_through_the_sdk(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(number) for number in range(8)]
    workspace.deployments[3] = deployment(3, "FAILED")
    workspace.deployments[4] = deployment(4, "CANCELLED")
    store = collect(Store())
    assert store.error is None
    tokens = [one.query.get("page_token") for one in service.requests if one.path == DEPLOYMENTS]
    assert tokens == [None, "3", "6"]
    assert len(store.of("deployment")) == 8
    found = states(store)
    assert found.pop("d003") == "failed"
    assert found.pop("d004") == "cancelled"
    assert set(found.values()) == {"success"}
    assert store.through() == NOW
    event = store.of("deployment_status")[0]
    host = service.url.removeprefix("http://")
    assert event.key == f"databricks/{host}/app/shop/deployment/d000/SUCCEEDED"
    assert event.occurred_at == NOW - timedelta(days=300) + timedelta(minutes=2)
    assert event.body.estimated is True
    assert (event.app_id, event.service) == ("shop", "databricks:shop")
    assert event.environment == "production"


def test_many_deployments_come_in_several_batches(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.page = 50
    workspace.deployments = [deployment(number) for number in range(120)]
    store = collect(Store())
    assert len(store.events) == 240
    assert [len(batch.events) for batch in store.batches] == [100, 100, 40]
    assert [batch.data_through for batch in store.batches] == [None, None, NOW]


def test_a_deployment_in_progress_is_looked_at_again(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(1), deployment(299, "IN_PROGRESS")]
    store = collect(Store())
    assert states(store) == {"d001": "success", "d299": "in_progress"}
    later = NOW + timedelta(hours=1)
    ended = deployment(299, git_source={"resolved_commit": "f" * 40, "branch": "main"})
    workspace.deployments = [deployment(1), ended, deployment(300)]
    collect(store, later)
    assert states(store) == {"d001": "success", "d299": "success", "d300": "success"}
    new = [event.key.rsplit("/deployment/", 1)[1] for event in store.batches[0].events]
    assert sorted(new) == ["d299", "d299/SUCCEEDED", "d299/commit", "d300", "d300/SUCCEEDED"]
    assert store.through() == later
    collect(store, later)
    assert store.batches[0].events == ()


def test_one_that_stays_in_progress_is_given_up(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(299, "IN_PROGRESS")]
    store = collect(Store())
    assert store.cursor["open"] == ["d299"]
    collect(store, NOW + timedelta(days=8))
    assert store.cursor["open"] == []
    assert states(store) == {"d299": "in_progress"}


def test_one_created_in_the_same_second_as_the_last_is_seen(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(1)]
    store = collect(Store())
    workspace.deployments.append(deployment(1, deployment_id="twin"))
    assert set(states(collect(store))) == {"d001", "twin"}
    assert len(store.batches[0].events) == 2


def test_the_commit_and_its_repository_are_told_without_credentials(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    repository = {"url": "https://user:pass@example.org/shop.git", "provider": "gitHub"}
    source = {"resolved_commit": "c" * 40, "git_repository": repository}
    workspace.deployments = [deployment(1, git_source=source)]
    store = collect(Store())
    body = next(event.body for key, event in store.events.items() if key.endswith("/commit"))
    assert (body.commit_sha, body.repository) == ("c" * 40, "https://example.org/shop.git")


def test_reading_everything_again_gives_equal_events(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(number) for number in range(7)]
    store = collect(Store())
    known = dict(store.events)
    store.cursor = None
    collect(store, NOW + timedelta(days=1))
    assert store.events == known
    assert len(store.batches[0].events) == len(known)


def test_a_cut_connection_loses_and_doubles_nothing(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.page = 60
    workspace.deployments = [deployment(number) for number in range(150)]
    workspace.trouble = lambda request: (
        Response({"app_deployments": []}, cut=True)
        if request.query.get("page_token") == "60"
        else None
    )
    store = collect(Store())
    assert store.error is not None
    assert "cannot be read" in str(store.error)
    assert 0 < len(store.events) < 300
    assert store.batches[-1].data_through is None
    workspace.trouble = lambda _: None
    workspace.deployments.append(deployment(250))
    assert collect(store).error is None
    assert len(store.events) == 302
    assert store.through() == NOW


def test_a_rate_limit_is_waited_for(
    workspace: Workspace, service: Service, collect: Callable[..., Store], waits: list[float]
) -> None:
    workspace.deployments = [deployment(1)]
    refusals = iter([True, True])
    limited = Response(
        {"error_code": "RESOURCE_EXHAUSTED", "message": "slow down"}, 429, {"Retry-After": "7"}
    )
    workspace.trouble = lambda request: (
        limited if request.path == DEPLOYMENTS and next(refusals, False) else None
    )
    store = collect(Store())
    assert store.error is None
    assert states(store) == {"d001": "success"}
    assert [int(seconds) for seconds in waits] == [7, 7]


def test_a_limit_of_hours_is_not_waited_for(
    workspace: Workspace, service: Service, collect: Callable[..., Store], waits: list[float]
) -> None:
    limited = Response({"error_code": "X", "message": "slow"}, 429, {"Retry-After": "7200"})
    workspace.trouble = lambda request: limited if request.path == DEPLOYMENTS else None
    store = collect(Store())
    assert "come again in 7200 s" in str(store.error)
    assert waits == []


def test_a_limit_that_does_not_end_ends_the_collection(
    workspace: Workspace, service: Service, collect: Callable[..., Store], waits: list[float]
) -> None:
    limited = Response({"error_code": "X", "message": "slow"}, 429, {"Retry-After": "1"})
    workspace.trouble = lambda request: limited if request.path == DEPLOYMENTS else None
    store = collect(Store())
    assert "slow" in str(store.error)
    assert len(waits) == 4


def test_an_outage_has_only_the_moments_at_which_it_was_seen(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.becomes("CRASHED")
    store = collect(Store())
    collect(store, NOW + timedelta(hours=1))
    [event] = store.of("incident")
    assert event.body.detected_at == NOW
    assert event.body.started_at is None
    assert event.body.resolved_at is None
    assert event.body.incident_kind == "outage"
    workspace.becomes("DEPLOYING")
    assert len(collect(store, NOW + timedelta(hours=2)).of("incident")) == 1
    workspace.becomes("RUNNING")
    collect(store, NOW + timedelta(hours=3))
    collect(store, NOW + timedelta(hours=4))
    _, resolved = store.of("incident")
    assert resolved.body.incident == event.body.incident
    assert resolved.body.resolved_at == NOW + timedelta(hours=3)
    workspace.becomes("UNAVAILABLE", "ERROR")
    collect(store, NOW + timedelta(hours=5))
    assert len({one.body.incident for one in store.of("incident")}) == 2


@pytest.mark.parametrize("compute", ["STOPPED", "STOPPING", "STARTING", "UPDATING", "DELETING"])
def test_an_app_that_was_stopped_is_no_outage(
    compute: str, workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.becomes("UNAVAILABLE", compute)
    assert collect(Store()).of("incident") == []


def test_a_state_that_is_not_known_is_told_and_asked_for_again(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    workspace.deployments = [deployment(299, "PAUSED")]
    store = collect(Store())
    assert [event.body.kind for event in store.events.values()] == ["deployment"]
    assert "d299" in store.notes()[0]
    workspace.deployments = [deployment(299)]
    assert states(collect(store)) == {"d299": "success"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"create_time": "2026-01-01T00:00:00"}, "create_time of the deployment d001"),
        ({"update_time": None}, "update_time of the deployment d001"),
        ({"deployment_id": None}, "has no id"),
        ({"status": "broken"}, "cannot be read"),
    ],
)
def test_what_is_of_another_form_is_refused_by_name(
    change: dict[str, Any],
    named: str,
    workspace: Workspace,
    service: Service,
    collect: Callable[..., Store],
) -> None:
    workspace.deployments = [deployment(1, **change)]
    store = collect(Store())
    assert named in str(store.error)
    assert store.events == {}


def test_the_token_is_sent_and_never_told(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    refusal = {"error_code": "PERMISSION_DENIED", "message": f"{TOKEN} may not"}
    workspace.trouble = lambda request: (
        Response(refusal, 403) if request.path == DEPLOYMENTS else None
    )
    store = collect(Store())
    assert "DATABRICKS_TOKEN" in str(store.error)
    assert TOKEN not in store.text()
    sent = [one for one in service.requests if one.path == DEPLOYMENTS]
    assert {one.headers["Authorization"] for one in sent} == {f"Bearer {TOKEN}"}
    workspace.trouble = lambda _: None
    workspace.deployments = [deployment(1)]
    assert TOKEN not in collect(Store()).text()


def test_an_app_that_does_not_exist_is_named(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    assert "has no app nowhere" in str(collect(Store(), name="nowhere").error)


def test_a_service_principal_gets_its_own_token(
    workspace: Workspace,
    service: Service,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "client")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "client-secret")
    workspace.deployments = [deployment(1)]

    def oauth(request: Request) -> Response | None:
        if request.path == "/.well-known/databricks-config":
            return Response({"oidc_endpoint": f"{service.url}/oidc"})
        if request.path.endswith("/.well-known/oauth-authorization-server"):
            found = {"authorization_endpoint": f"{service.url}/authorize"}
            return Response({**found, "token_endpoint": f"{service.url}/oidc/v1/token"})
        if request.path == "/oidc/v1/token":
            return Response({"access_token": "made", "token_type": "Bearer", "expires_in": 3600})
        return None

    workspace.trouble = oauth
    store = collect(Store())
    assert store.error is None
    assert states(store) == {"d001": "success"}
    sent = [one for one in service.requests if one.path == DEPLOYMENTS]
    assert [one.headers["Authorization"] for one in sent] == ["Bearer made"]


def test_the_scope_may_name_another_workspace(
    workspace: Workspace,
    service: Service,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://elsewhere.invalid")
    workspace.deployments = [deployment(1)]
    assert len(collect(Store(), options={"host": service.url}).events) == 2


def test_no_configuration_file_is_read(
    workspace: Workspace,
    service: Service,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text("[another]\nhost = https://elsewhere.invalid\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "of-somebody")
    assert collect(Store()).error is None


def test_a_workspace_that_cannot_be_reached_is_told_soon(
    workspace: Workspace, collect: Callable[..., Store]
) -> None:
    with socket.socket() as reserved:  # bound and not listening: refuses
        reserved.bind(("127.0.0.1", 0))
        began = time.monotonic()
        store = collect(Store(), options={"host": f"http://127.0.0.1:{reserved.getsockname()[1]}"})
    assert "cannot be reached" in str(store.error)
    assert time.monotonic() - began < 20


def test_a_host_without_a_name_in_dns_is_told_soon(
    workspace: Workspace, collect: Callable[..., Store]
) -> None:
    began = time.monotonic()
    store = collect(Store(), options={"host": "https://workspace.invalid"})
    assert "workspace.invalid cannot be reached" in str(store.error)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "DATABRICKS_HOST is not set"),
        ("http://example.org", "is not https"),
        ("https://user:pass@example.org", "no address of a workspace"),
        ("ftp://example.org", "no address of a workspace"),
        ("https://example.org:port", "no address of a workspace"),
    ],
)
def test_a_host_that_may_not_get_the_token_is_refused(
    host: str,
    said: str,
    workspace: Workspace,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    store = collect(Store(), options={"host": host})
    assert said in str(store.error)
    assert "pass" not in str(store.error)


def test_without_credentials_nothing_is_asked(
    workspace: Workspace,
    service: Service,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    assert "DATABRICKS_TOKEN is not set" in str(collect(Store()).error)
    assert service.requests == []


def test_a_cursor_of_another_form_is_refused(
    workspace: Workspace, service: Service, collect: Callable[..., Store]
) -> None:
    store = Store()
    store.cursor = {"page": 3}
    assert "the cursor of shop" in str(collect(store).error)
