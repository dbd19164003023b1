"""Fly.io's two interfaces as a service of ours on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.delivery.collectors.fly import FlyCollector
from tests.unit.delivery.collectors.fake_service import Request, Response, Service, Store, serving

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
REST = "/api/v1/apps/shop/releases"


def release(version: int, status: str = "complete", **more: Any) -> dict[str, Any]:
    created = NOW - timedelta(hours=1000 - version)
    return {
        "id": f"id{version}",
        "version": version,
        "status": status,
        "createdAt": f"{created:%FT%TZ}",
        "updatedAt": f"{created + timedelta(minutes=4):%FT%TZ}",
        "imageRef": f"registry.fly.io/shop:deployment-{version}",
        "revertedTo": None,
        **more,
    }


class Fly:
    """The list of REST and the pages of GraphQL, whose cursors are offsets; newest first."""

    def __init__(self) -> None:
        self.releases: list[dict[str, Any]] = []
        self.trouble: Callable[[Request], Response | None] = lambda _: None
        self.ascending = False

    def answer(self, request: Request) -> Response:
        trouble = self.trouble(request)
        if trouble is not None:
            return trouble
        ordered = sorted(self.releases, key=lambda one: one["version"], reverse=not self.ascending)
        if request.path == REST:
            listed = [
                {
                    "id": one["id"],
                    "version": one["version"],
                    "stable": False,
                    "in_progress": one["status"] in ("pending", "running"),
                    "status": one["status"],
                    "strategy": "ROLLING",
                    "user": "someone@example.org",
                    "created_at": one["createdAt"],
                    "image_ref": one["imageRef"],
                }
                for one in ordered[: int(request.query["limit"])]
            ]
            return Response({"releases": listed})
        assert (request.method, request.path) == ("POST", "/graphql")
        asked = request.body["variables"]
        if asked["app"] != "shop":
            return Response({"data": {"app": None}})
        start = int(asked["after"] or 0)
        end = start + asked["first"]
        info = {"hasNextPage": end < len(ordered), "endCursor": str(end)}
        page = {"nodes": ordered[start:end], "pageInfo": info}
        return Response({"data": {"app": {"releasesUnprocessed": page}}})


@pytest.fixture
def fly() -> Fly:
    return Fly()


@pytest.fixture
def service(fly: Fly, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("FLY_API_TOKEN", "fm2_very,fm2_secret")
    with serving(fly.answer) as running:
        monkeypatch.setenv("FLY_API_BASE_URL", running.url)
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def collect(service: Service, waits: list[float]) -> Callable[..., Store]:
    def collecting(store: Store, now: datetime = NOW, **scope: Any) -> Store:
        service.requests.clear()
        scoped = Scope(**{"name": "shop", "app_id": "shop", "environment": "production", **scope})
        return store.take(FlyCollector(waits.append).collect(scoped, store.cursor, now))

    return collecting


def states(store: Store) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in store.of("deployment_status"):
        found[event.body.deployment.rsplit("/", 1)[1]] = event.body.state
    return found


def asked_after(service: Service) -> list[str | None]:
    return [one.body["variables"]["after"] for one in service.requests if one.method == "POST"]


def test_a_release_is_a_deployment_and_its_end_is_estimated(
    fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(7)]
    store = collect(Store())
    assert store.error is None
    began, ended = store.events.values()
    assert began.key == "fly/shop/release/id7"
    assert (began.body.version, began.body.artifact) == (
        "v7",
        "registry.fly.io/shop:deployment-7",
    )
    assert began.body.created_at == NOW - timedelta(hours=993)
    assert (began.body.rollback, began.body.rollback_to) == (None, None)
    assert ended.key == "fly/shop/release/id7/complete"
    assert (ended.body.state, ended.body.estimated) == ("success", True)
    assert ended.occurred_at == began.occurred_at + timedelta(minutes=4)
    assert (ended.app_id, ended.service, ended.environment) == ("shop", "fly:shop", "production")
    assert store.through() == NOW


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("complete", "success"),
        ("succeeded", "success"),
        ("failed", "failed"),
        ("interrupted", "cancelled"),
        ("cancelled", "cancelled"),
        ("running", "in_progress"),
        ("pending", "pending"),
    ],
)
def test_every_status_of_fly_has_a_state(
    status: str, state: str, fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(999, status)]
    assert states(collect(Store())) == {"id999": state}


def test_a_release_that_reverts_is_a_rollback(fly: Fly, collect: Callable[..., Store]) -> None:
    fly.releases = [release(3, revertedTo=1)]
    body = collect(Store()).of("deployment")[0].body
    assert (body.rollback, body.rollback_to) == (True, "v1")


def test_a_release_without_an_id_is_known_by_its_version(
    fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(3, id=None)]
    assert "fly/shop/release/v3/complete" in collect(Store()).events


def test_all_pages_are_read(fly: Fly, service: Service, collect: Callable[..., Store]) -> None:
    fly.releases = [release(version) for version in range(1, 251)]
    store = collect(Store())
    assert asked_after(service) == [None, "100", "200"]
    assert len(store.events) == 500
    assert [len(batch.events) for batch in store.batches] == [200, 200, 100]
    assert [batch.data_through for batch in store.batches] == [None, None, NOW]


def test_nothing_new_costs_one_request(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(version) for version in range(1, 151)]
    store = collect(Store())
    later = NOW + timedelta(hours=1)
    collect(store, later)
    assert [one.path for one in service.requests] == [REST]
    assert store.batches[0].events == ()
    assert store.through() == later


def test_only_what_is_new_is_read(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(version) for version in range(1, 251)]
    store = collect(Store())
    fly.releases.append(release(251))
    collect(store)
    assert asked_after(service) == [None]
    assert [event.key for event in store.batches[0].events] == [
        "fly/shop/release/id251",
        "fly/shop/release/id251/complete",
    ]


def test_a_release_in_progress_is_looked_at_again(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(998), release(999, "running")]
    store = collect(Store())
    assert states(store) == {"id998": "success", "id999": "in_progress"}
    collect(store)
    assert asked_after(service) == []
    fly.releases = [release(998), release(999, "failed"), release(1000)]
    collect(store)
    assert states(store) == {"id998": "success", "id999": "failed", "id1000": "success"}
    assert store.cursor == {"through": 1000, "open": [], "walk": None}


def test_an_old_one_in_progress_is_found_behind_many_later_ones(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(900, "running"), *(release(version) for version in range(901, 1001))]
    store = collect(Store())
    assert (store.cursor["through"], store.cursor["open"]) == (1000, [900])
    fly.releases[0] = release(900)
    fly.releases.extend(release(version) for version in range(1001, 1021))
    collect(store)
    assert asked_after(service) == [None, "100"]
    assert states(store)["id900"] == "success"
    assert len(store.of("deployment")) == 121


def test_one_that_stays_in_progress_is_given_up(fly: Fly, collect: Callable[..., Store]) -> None:
    fly.releases = [release(999, "running")]
    store = collect(Store())
    assert store.cursor["open"] == [999]
    fly.releases.append(release(1000))
    collect(store, NOW + timedelta(days=8))
    assert store.cursor["open"] == []


def test_a_status_that_is_not_known_is_told_and_asked_for_again(
    fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(999, "paused\x1b[31m")]
    store = collect(Store())
    assert states(store) == {}
    assert "v999 has the status 'paused\\x1b[31m'" in store.notes()[0]
    fly.releases = [release(999)]
    assert states(collect(store)) == {"id999": "success"}


def test_an_order_that_is_not_newest_first_hides_nothing(
    fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(version) for version in range(1, 101)]
    store = collect(Store())
    fly.ascending = True
    fly.releases.extend(release(version) for version in range(101, 230))
    fly.trouble = lambda request: (
        Response({"releases": [{"version": 229, "in_progress": False}]})
        if request.path == REST
        else None
    )
    collect(store)
    assert len(store.of("deployment")) == 229


def test_a_cut_connection_is_tried_again(
    fly: Fly, collect: Callable[..., Store], waits: list[float]
) -> None:
    cuts = iter([True, True])
    fly.releases = [release(1)]
    fly.trouble = lambda request: (
        Response({"data": {}}, cut=True)
        if request.path == "/graphql" and next(cuts, False)
        else None
    )
    assert states(collect(Store())) == {"id1": "success"}
    assert len(waits) == 2


def test_a_walk_that_was_cut_goes_on_where_it_was(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(version) for version in range(1, 351)]
    fly.trouble = lambda request: (
        Response({"data": {}}, cut=True)
        if request.path == "/graphql" and request.body["variables"]["after"] == "200"
        else None
    )
    store = collect(Store())
    assert "cannot be reached" in str(store.error)
    assert len(store.events) == 400
    assert store.through() is None
    fly.trouble = lambda _: None
    fly.releases.extend([release(351), release(352, "failed")])
    later = NOW + timedelta(hours=5)
    collect(store, later)
    assert store.error is None
    assert asked_after(service) == ["200", "300", None]
    assert [batch.data_through for batch in store.batches] == [None, NOW, later]
    assert len(store.of("deployment")) == 352
    assert len(store.of("deployment_status")) == 352


@settings(max_examples=20, deadline=None)
@given(
    first=st.integers(0, 260),
    more=st.integers(0, 230),
    failing=st.integers(0, 5),
)
def test_whatever_is_cut_nothing_is_lost_or_doubled(first: int, more: int, failing: int) -> None:
    fly = Fly()
    fly.releases = [release(version) for version in range(1, first + 1)]
    with pytest.MonkeyPatch.context() as patch, serving(fly.answer) as service:
        patch.setenv("FLY_API_TOKEN", "secret")
        scope = Scope("shop", options={"base_url": service.url})
        store = Store()

        def refuse_from(count: int) -> None:
            fly.trouble = lambda _: Response({}, 400) if len(service.requests) > count else None

        refuse_from(failing)
        store.take(FlyCollector(wait=lambda _: None).collect(scope, None, NOW))
        fly.releases.extend(release(version) for version in range(first + 1, first + more + 1))
        refuse_from(1000)
        store.take(FlyCollector().collect(scope, store.cursor, NOW))
    assert store.error is None
    assert len(store.of("deployment")) == first + more
    assert len(store.of("deployment_status")) == first + more


def test_reading_everything_again_gives_equal_events(
    fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(version) for version in range(1, 121)]
    store = collect(Store())
    known = dict(store.events)
    store.cursor = None
    collect(store, NOW + timedelta(days=2))
    assert store.events == known


def test_a_rate_limit_is_waited_for(
    fly: Fly, collect: Callable[..., Store], waits: list[float]
) -> None:
    refusals = iter([True])
    fly.releases = [release(1)]
    fly.trouble = lambda _: (
        Response({}, 429, {"Retry-After": "11"}) if next(refusals, False) else None
    )
    assert states(collect(Store())) == {"id1": "success"}
    assert waits == [11]


@pytest.mark.parametrize(
    ("token", "header"),
    [
        ("plain", "Bearer plain"),
        ("fm2_abc", "FlyV1 fm2_abc"),
        ("fo1_org,fm1r_abc", "FlyV1 fo1_org,fm1r_abc"),
        ("FlyV1 fm2_abc", "FlyV1 fm2_abc"),
        ("Bearer plain", "Bearer plain"),
    ],
)
def test_a_token_is_sent_as_its_kind_is(
    token: str,
    header: str,
    fly: Fly,
    service: Service,
    collect: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLY_API_TOKEN", f"{token}\n")
    fly.releases = [release(1)]
    assert collect(Store()).error is None
    assert {one.headers["Authorization"] for one in service.requests} == {header}


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response({"message": "fm2_secret"}, 401), "FLY_API_TOKEN"),
        (Response({"errors": [{"message": "not for fm2_very"}]}), "not for ***"),
        (Response({"message": "fm2_secret broke"}, 418), "418"),
    ],
)
def test_no_secret_is_told(
    response: Response, said: str, fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(1)]
    fly.trouble = lambda request: response if request.path == "/graphql" else None
    store = collect(Store())
    assert said in str(store.error)
    assert "fm2_" not in store.text()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"createdAt": "2026-01-01T00:00:00"}, "createdAt"),
        ({"createdAt": 1767225600}, "createdAt"),
        ({"updatedAt": None}, "updatedAt"),
        ({"version": "seven"}, "version"),
        ({"status": None}, "status"),
    ],
)
def test_what_is_of_another_form_is_refused_by_name(
    change: dict[str, Any], field: str, fly: Fly, collect: Callable[..., Store]
) -> None:
    fly.releases = [release(1)]
    broken = {**release(1), **change}
    page = {"nodes": [broken], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    fly.trouble = lambda request: (
        Response({"data": {"app": {"releasesUnprocessed": page}}})
        if request.path == "/graphql"
        else None
    )
    store = collect(Store())
    assert field in str(store.error)
    assert store.events == {}


def test_pages_that_lead_in_a_circle_end(fly: Fly, collect: Callable[..., Store]) -> None:
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    fly.releases = [release(1)]
    fly.trouble = lambda request: (
        Response({"data": {"app": {"releasesUnprocessed": page}}})
        if request.path == "/graphql"
        else None
    )
    assert "circle" in str(collect(Store()).error)


def test_an_app_without_releases_is_known_to_have_none(collect: Callable[..., Store]) -> None:
    store = collect(Store())
    assert (store.events, store.through()) == ({}, NOW)


def test_an_app_that_is_hidden_is_named(fly: Fly, collect: Callable[..., Store]) -> None:
    fly.trouble = lambda request: (
        Response({"releases": [{"version": 1}]}) if request.method == "GET" else None
    )
    assert "no app other" in str(collect(Store(), name="other").error)


def test_another_host_never_gets_the_token(
    fly: Fly, service: Service, collect: Callable[..., Store]
) -> None:
    with serving(lambda _: Response({"releases": []})) as elsewhere:
        fly.trouble = lambda _: Response({}, 302, {"Location": f"{elsewhere.url}{REST}"})
        assert "another host" in str(collect(Store()).error)
        assert elsewhere.requests == []


def test_without_a_token_nothing_is_asked(
    service: Service, collect: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLY_API_TOKEN")
    assert "FLY_API_TOKEN is not set" in str(collect(Store()).error)
    assert service.requests == []


def test_a_cursor_of_another_form_is_refused(collect: Callable[..., Store]) -> None:
    store = Store()
    store.cursor = {"page": 3}
    assert "the cursor of shop" in str(collect(store).error)
