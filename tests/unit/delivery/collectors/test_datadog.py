"""Datadog's interfaces as a service of ours on loopback, of the forms its documentation gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.delivery.collectors.datadog import DatadogCollector
from tests.unit.delivery.collectors.fake_service import Request, Response, Service, Store, serving

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LISTS = {"/api/v2/dora/deployments": "deployments", "/api/v2/dora/failures": "failures"}


def iso(moment: datetime) -> str:
    return f"{moment:%FT%TZ}"


def deployment(number: int, started: datetime, *, finished: bool = True) -> dict[str, Any]:
    attributes = {
        "service": "shop",
        "env": "production",
        "team": "backend",
        "version": f"v1.{number}",
        "custom_tags": ["language:java"],
        "git": {"commit_sha": f"{number:040x}", "repository_id": "github.com/example/shop"},
        "started_at": iso(started),
    }
    if finished:
        attributes["finished_at"] = iso(started + timedelta(minutes=5))
    return {"id": f"dep{number}", "type": "dora_deployment", "attributes": attributes}


def failure(number: int, started: datetime, finished: datetime | None = None) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "services": ["shop"],
        "env": "production",
        "name": "Checkout is down",
        "severity": "SEV-1",
        "started_at": iso(started),
    }
    if finished is not None:
        attributes["finished_at"] = iso(finished)
    return {"id": f"fail{number}", "type": "dora_failure", "attributes": attributes}


def incident(number: int, modified: datetime, **more: Any) -> dict[str, Any]:
    attributes = {
        "public_id": number,
        "title": f"incident {number}",
        "created": iso(NOW - 50 * HOUR),
        "detected": iso(NOW - 51 * HOUR),
        "resolved": None,
        "customer_impact_start": None,
        "modified": iso(modified),
        "severity": "UNKNOWN",
        "state": "active",
        "fields": {"services": {"type": "autocomplete", "value": ["shop"]}},
        **more,
    }
    return {"id": f"inc{number}", "type": "incidents", "attributes": attributes}


class Datadog:
    """Lists with a limit and bounds of time, pages of incidents, and series of metrics."""

    def __init__(self) -> None:
        self.deployments: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.all_incidents: list[dict[str, Any]] = []
        self.values: dict[str, Callable[[datetime], float | None]] = {}
        self.step = 3600
        self.trouble: Callable[[Request], Response | None] = lambda _: None

    def answer(self, request: Request) -> Response:
        trouble = self.trouble(request)
        if trouble is not None:
            return trouble
        if request.path in LISTS:
            return self._listed(LISTS[request.path], request)
        if request.path == "/api/v2/incidents":
            size, start = int(request.query["page[size]"]), int(request.query["page[offset]"])
            page = self.all_incidents[start : start + size]
            pagination = {"size": len(page), "offset": start}
            if start + size < len(self.all_incidents):
                pagination["next_offset"] = start + size
            return Response({"data": page, "meta": {"pagination": pagination}})
        assert request.path == "/api/v1/query"
        return self._series(request)

    def _listed(self, kind: str, request: Request) -> Response:
        data = request.body["data"]
        assert data["type"] == f"dora_{kind}_list_request"
        asked = data["attributes"]
        assert asked["query"] == "service:shop"
        assert asked["limit"] <= 1000
        found = [
            one
            for one in getattr(self, kind)
            # as strict as it could be read: neither bound is within
            if asked["from"] < one["attributes"].get("started_at", iso(NOW - HOUR)) < asked["to"]
        ]
        return Response({"data": found[: asked["limit"]]})

    def _series(self, request: Request) -> Response:
        start, end = int(request.query["from"]), int(request.query["to"])
        value = self.values.get(request.query["query"])
        series = []
        if value is not None:
            points = [
                [float(at * 1000), value(datetime.fromtimestamp(at, UTC))]
                for at in range(start - start % self.step, end + self.step, self.step)
            ]
            series = [{"metric": "shop", "interval": self.step, "pointlist": points}]
        return Response({"status": "ok", "res_type": "time_series", "series": series})


@pytest.fixture
def datadog() -> Datadog:
    return Datadog()


@pytest.fixture
def service(datadog: Datadog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("DD_API_KEY", "api-very-secret")
    monkeypatch.setenv("DD_APP_KEY", "app-very-secret")
    monkeypatch.setenv("DD_SITE", "datadoghq.eu")
    with serving(datadog.answer) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def collect(service: Service, waits: list[float]) -> Callable[..., Store]:
    def collecting(store: Store, now: datetime = NOW, **options: Any) -> Store:
        service.requests.clear()
        scope = Scope("shop", "shop", options={"base_url": service.url, **options})
        return store.take(DatadogCollector(waits.append).collect(scope, store.cursor, now))

    return collecting


# --- deployments and failures ---------------------------------------------------------------


def test_a_dora_deployment_is_a_deployment(datadog: Datadog, collect: Callable[..., Store]) -> None:
    started = NOW - 3 * HOUR
    datadog.deployments = [deployment(7, started)]
    store = collect(Store())
    assert store.error is None
    began, ended = store.events.values()
    assert began.key == "datadog/datadoghq.eu/dora/deployment/dep7"
    assert (began.body.version, began.body.commit_sha) == ("v1.7", f"{7:040x}")
    assert began.body.repository == "github.com/example/shop"
    assert began.body.started_at == began.occurred_at == started
    assert (ended.body.state, ended.body.estimated) == ("success", False)
    assert ended.occurred_at == started + timedelta(minutes=5)
    assert (ended.app_id, ended.service, ended.environment) == (
        "shop",
        "datadog:shop",
        "production",
    )
    assert store.through() == NOW


@pytest.mark.parametrize("per_second", [1, 10**3, 10**9])
def test_unix_times_are_read_in_each_unit_of_datadog(
    per_second: int, datadog: Datadog, collect: Callable[..., Store]
) -> None:
    one = deployment(1, NOW - HOUR)
    seconds = int((NOW - HOUR).timestamp())
    one["attributes"] |= {
        "started_at": seconds * per_second,
        "finished_at": (seconds + 60) * per_second,
    }
    datadog.trouble = lambda request: (
        Response({"data": [one]}) if request.path.endswith("/deployments") else None
    )
    store = collect(Store())
    assert [event.occurred_at for event in store.events.values()] == [
        NOW - HOUR,
        NOW - HOUR + timedelta(minutes=1),
    ]


@pytest.mark.parametrize("started", ["2026-03-01T00:00:00", "soon", 12, 10**15, True, {"at": 1}])
def test_a_time_that_is_none_is_refused_by_name(
    started: object, datadog: Datadog, collect: Callable[..., Store]
) -> None:
    one = deployment(1, NOW - HOUR)
    one["attributes"]["started_at"] = started
    datadog.trouble = lambda request: (
        Response({"data": [one]}) if request.path.endswith("/deployments") else None
    )
    store = collect(Store())
    assert "data.0.attributes.started_at" in str(store.error)
    assert store.events == {}


def test_history_is_read_in_slices_of_time(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    datadog.deployments = [deployment(day, NOW - timedelta(days=day)) for day in range(1, 89)]
    store = collect(Store())
    assert len(store.of("deployment")) == 88
    asked = [one for one in service.requests if one.path.endswith("/deployments")]
    assert len(asked) == 3
    assert {one.headers["DD-API-KEY"] for one in asked} == {"api-very-secret"}
    assert {one.headers["DD-APPLICATION-KEY"] for one in asked} == {"app-very-secret"}


def test_a_slice_that_is_full_is_halved_until_all_is_seen(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    start = NOW - timedelta(days=2)
    datadog.deployments = [
        deployment(number, start + timedelta(seconds=7 * number)) for number in range(2500)
    ]
    store = collect(Store())
    assert store.error is None
    assert len(store.of("deployment")) == len(store.of("deployment_status")) == 2500
    assert len(service.requests) > 6


def test_an_event_on_the_border_of_two_slices_is_not_lost(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    first = NOW - timedelta(days=90)
    datadog.deployments = [deployment(n, first + timedelta(days=30 * n)) for n in range(3)]
    assert len(collect(Store()).of("deployment")) == 3


def test_more_than_the_limit_within_a_second_is_told(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.deployments = [deployment(number, NOW - HOUR) for number in range(1000)]
    store = collect(Store())
    assert "1000 deployments or more within a second" in str(store.error)
    assert store.through() is None


def test_a_deployment_that_was_not_finished_is_looked_at_again(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    started = NOW - timedelta(days=20)
    datadog.deployments = [deployment(1, started, finished=False)]
    store = collect(Store())
    assert len(store.events) == 1
    collect(store, NOW + timedelta(days=10))
    datadog.deployments = [deployment(1, started)]
    collect(store, NOW + timedelta(days=20))
    assert [event.body.kind for event in store.events.values()] == [
        "deployment",
        "deployment_status",
    ]
    assert store.cursor["deployments"]["open_since"] is None


def test_a_failure_is_an_incident_that_ends_later(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    started = NOW - timedelta(days=40)
    datadog.failures = [failure(1, started)]
    store = collect(Store())
    [event] = store.of("incident")
    assert event.body.started_at == event.occurred_at == started
    assert (event.body.title, event.body.severity) == ("Checkout is down", "SEV-1")
    assert event.body.resolved_at is None
    datadog.failures = [failure(1, started, NOW + HOUR)]
    collect(store, NOW + 2 * HOUR)
    collect(store, NOW + 3 * HOUR)
    opened, resolved = store.of("incident")
    assert opened.body.incident == resolved.body.incident
    assert resolved.body.resolved_at == NOW + HOUR


def test_a_failure_that_was_corrected_contradicts_nothing(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.failures = [failure(1, NOW - HOUR)]
    store = collect(Store())
    datadog.failures[0]["attributes"]["severity"] = "SEV-3"
    assert [event.body.severity for event in collect(store).of("incident")] in (
        ["SEV-1", "SEV-3"],
        ["SEV-3", "SEV-1"],
    )


def test_an_event_that_is_sent_days_late_is_seen(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    store = collect(Store())
    datadog.failures = [failure(1, NOW - timedelta(days=5), NOW)]
    assert len(collect(store, NOW + HOUR).of("incident")) == 1


def test_a_failure_without_a_start_is_left_out_and_told(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.failures = [failure(1, NOW - HOUR)]
    del datadog.failures[0]["attributes"]["started_at"]
    store = collect(Store())
    assert store.error is None
    assert store.of("incident") == []
    assert "fail1 has no start" in store.notes()[0]


# --- incidents ------------------------------------------------------------------------------


def test_incidents_of_the_service_are_read_page_by_page(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    other = {"services": {"type": "autocomplete", "value": ["mail"]}}
    none = {"services": {"type": "autocomplete", "value": None}}
    datadog.all_incidents = [
        *(incident(number, NOW - 40 * HOUR) for number in range(230)),
        incident(900, NOW - HOUR, fields=other),
        incident(901, NOW - HOUR, fields=none),
        incident(902, NOW - HOUR, is_test=True),
        incident(
            903,
            NOW - HOUR,
            severity="SEV-2",
            resolved=iso(NOW - HOUR),
            customer_impact_start=iso(NOW - 52 * HOUR),
        ),
    ]
    store = collect(Store(), dora=False, incidents=True)
    assert [one.query["page[offset]"] for one in service.requests] == ["0", "100", "200"]
    assert len(store.events) == 231
    event = next(one for one in store.events.values() if "inc903" in one.key)
    assert event.key == "datadog/datadoghq.eu/incident/inc903/2026-03-10T11:00:00+00:00"
    assert event.body.started_at == NOW - 52 * HOUR
    assert event.body.detected_at == NOW - 51 * HOUR
    assert event.body.resolved_at == NOW - HOUR
    assert event.body.severity == "SEV-2"
    plain = next(one for one in store.events.values() if "/inc0/" in one.key)
    assert (plain.body.started_at, plain.body.severity) == (None, None)


def test_only_incidents_that_were_modified_are_told_again(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.all_incidents = [incident(number, NOW - 40 * HOUR) for number in range(3)]
    store = collect(Store(), dora=False, incidents=True)
    datadog.all_incidents[1] = incident(1, NOW + HOUR, resolved=iso(NOW + HOUR))
    collect(store, NOW + 2 * HOUR, dora=False, incidents=True)
    assert [len(batch.events) for batch in store.batches] == [1, 0]
    assert store.of("incident")[-1].body.resolved_at == NOW + HOUR


def test_an_incident_that_changed_while_others_were_read_is_not_missed(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.all_incidents = [incident(1, NOW - 40 * HOUR)]
    store = collect(Store(), dora=False, incidents=True)
    datadog.all_incidents = [incident(1, NOW - timedelta(seconds=30))]
    collect(store, NOW + HOUR, dora=False, incidents=True)
    assert len(store.of("incident")) == 2


def test_what_is_deleted_between_two_pages_hides_no_other(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.all_incidents = [incident(number, NOW - 40 * HOUR) for number in range(250)]
    datadog.trouble = lambda request: (
        Response({}, 400) if request.query.get("page[offset]") == "200" else None
    )
    store = collect(Store(), dora=False, incidents=True)
    assert len(store.events) == 200
    datadog.trouble = lambda _: None
    del datadog.all_incidents[10:60]
    assert collect(store, dora=False, incidents=True).error is None
    assert len(store.events) == 250


def test_incidents_are_asked_for_only_when_that_is_wished(
    service: Service, collect: Callable[..., Store]
) -> None:
    collect(Store())
    assert {one.path for one in service.requests} == set(LISTS)


# --- metrics --------------------------------------------------------------------------------

UPTIME = "avg:synthetics.up{service:$app}.rollup(avg, $step)"
HITS = "sum:hits{service:$app}.as_count().rollup(sum, $step)"
BROKEN = "sum:broken{service:$app}.as_count().rollup(sum, $step)"


def filled(query: str) -> str:
    return query.replace("$app", "shop").replace("$step", "3600")


def test_metrics_become_health_of_each_complete_period(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    datadog.values = {
        filled(UPTIME): lambda at: 0.5 if at.hour == 3 else 1.0,
        filled(HITS): lambda at: None if at.hour == 4 else 100.0,
        filled(BROKEN): lambda _: 2.0,
    }
    options = {
        "dora": False,
        "uptime": UPTIME,
        "requests": HITS,
        "queries": HITS,
        "query_failures": BROKEN,
        "history": "1d",
    }
    store = collect(Store(), NOW + timedelta(minutes=10), **options)
    assert store.error is None
    health = store.of("health")
    assert len(health) == len(store.of("query_failures")) == 22
    # 12:10 is no quarter of an hour after the period that ended at 12:00
    assert health[-1].body.end == NOW - HOUR == store.through()
    assert health[0].body.start == NOW - 23 * HOUR
    at_three = next(one.body for one in health if one.body.start.hour == 3)
    assert (at_three.uptime, at_three.requests, at_three.errors) == (0.5, 100, None)
    at_four = next(one.body for one in health if one.body.start.hour == 4)
    assert (at_four.uptime, at_four.requests) == (1.0, None)
    failures = store.of("query_failures")[0].body
    assert (failures.queries, failures.failures) == (100, 2)
    collect(store, NOW + timedelta(minutes=70), **options)
    assert len(store.of("health")) == 23
    assert len(service.requests) == 4


def test_metrics_of_a_long_time_come_in_several_batches(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.values = {filled(UPTIME): lambda _: 1.0}
    store = collect(Store(), dora=False, uptime=UPTIME, history="10d")
    assert len(store.of("health")) == 239
    assert [len(batch.events) for batch in store.batches] == [100, 100, 39, 0]
    assert [batch.data_through for batch in store.batches] == [None, None, None, NOW - HOUR]


def test_what_was_not_measured_is_no_health(collect: Callable[..., Store]) -> None:
    store = collect(Store(), dora=False, uptime=UPTIME, history="1d")
    assert store.events == {}
    assert store.through() == NOW - HOUR


def answering(body: dict[str, Any]) -> Callable[[Request], Response | None]:
    return lambda request: Response(body) if request.path == "/api/v1/query" else None


MIDNIGHT = 1773100800000  # 2026-03-10T00:00:00Z


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": "error", "error": "no api-very-secret here"}, "no *** here"),
        ({"status": "ok", "series": [{"pointlist": []}, {"pointlist": []}]}, "gives 2 series"),
        (
            {"status": "ok", "series": [{"pointlist": [[MIDNIGHT + 60_000, 1.0]]}]},
            "end the query with .rollup(…, $step)",
        ),
        ({"status": "ok", "series": [{"pointlist": [[MIDNIGHT, 99.5]]}]}, "uptime"),
        ({"status": "ok", "series": [{"pointlist": "none"}]}, "pointlist"),
    ],
)
def test_a_query_that_gives_no_such_number_is_told(
    body: dict[str, Any], said: str, datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.trouble = answering(body)
    store = collect(Store(), dora=False, uptime=UPTIME, history="1d")
    assert said in str(store.error)
    assert store.events == {}


# --- what holds for all ---------------------------------------------------------------------


def everything(datadog: Datadog) -> dict[str, Any]:
    days = [NOW - timedelta(days=day) for day in range(1, 80)]
    datadog.deployments = [deployment(number, day) for number, day in enumerate(days)]
    datadog.failures = [failure(number, day, day + HOUR) for number, day in enumerate(days)]
    datadog.all_incidents = [incident(number, day) for number, day in enumerate(days * 3)]
    datadog.values = {filled(UPTIME): lambda _: 1.0}
    return {"incidents": True, "uptime": UPTIME, "history": "80d"}


def test_reading_everything_again_gives_equal_events(
    datadog: Datadog, collect: Callable[..., Store]
) -> None:
    options = everything(datadog)
    store = collect(Store(), **options)
    assert store.error is None
    known = dict(store.events)
    store.cursor = None
    collect(store, NOW + timedelta(minutes=10), **options)
    assert store.events.keys() == known.keys()


def test_wherever_it_is_cut_nothing_is_lost_or_doubled(
    datadog: Datadog, service: Service, collect: Callable[..., Store]
) -> None:
    options = everything(datadog)
    whole = collect(Store(), **options).events
    asked = len(service.requests)
    assert asked > 20
    for count in range(0, asked, 3):
        store = Store()
        datadog.trouble = lambda _, count=count: (
            Response({}, cut=True) if len(service.requests) > count else None
        )
        assert "cannot be reached" in str(collect(store, **options).error)
        assert len(store.events) < len(whole)
        assert store.through() is None
        datadog.trouble = lambda _: None
        assert collect(store, **options).error is None
        assert store.events == whole
        assert store.through() == NOW - HOUR


def test_a_rate_limit_is_waited_for(
    datadog: Datadog, collect: Callable[..., Store], waits: list[float]
) -> None:
    headers = {
        "X-RateLimit-Limit": "300",
        "X-RateLimit-Period": "60",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "23",
    }
    refusals = iter([True, True])
    datadog.deployments = [deployment(1, NOW - HOUR)]
    datadog.trouble = lambda _: (
        Response({"errors": ["Too many requests"]}, 429, headers) if next(refusals, False) else None
    )
    assert len(collect(Store()).events) == 2
    assert waits == [23, 23]


@pytest.mark.parametrize(("status", "said"), [(403, "DD_API_KEY or DD_APP_KEY"), (400, "400")])
def test_no_secret_is_told(
    status: int, said: str, datadog: Datadog, collect: Callable[..., Store]
) -> None:
    datadog.trouble = lambda _: Response(
        {"errors": ["api-very-secret and app-very-secret"]}, status
    )
    store = collect(Store())
    assert said in str(store.error)
    assert "very-secret" not in store.text()


@pytest.mark.parametrize("missing", ["DD_API_KEY", "DD_APP_KEY"])
def test_without_keys_nothing_is_asked(
    missing: str, service: Service, collect: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(missing, " ")
    assert f"{missing} is not set" in str(collect(Store()).error)
    assert service.requests == []


@pytest.mark.parametrize(
    "options",
    [{"incident": True}, {"step": 1}, {"site": "datadoghq.com/evil"}, {"history": "soon"}],
)
def test_a_wrong_option_is_named(options: dict[str, Any], collect: Callable[..., Store]) -> None:
    store = collect(Store(), **options)
    assert f"the options of shop: {next(iter(options))}" in str(store.error)


def test_a_name_with_spaces_is_quoted(
    datadog: Datadog, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    datadog.trouble = lambda _: Response({"data": []})
    scope = Scope('my "shop"', options={"base_url": service.url})
    Store().take(DatadogCollector().collect(scope, None, NOW))
    asked = service.requests[0].body["data"]["attributes"]["query"]
    assert asked == 'service:"my \\"shop\\""'


def test_a_cursor_of_another_form_is_refused(collect: Callable[..., Store]) -> None:
    store = Store()
    store.cursor = {"page": 3}
    assert "the cursor of shop" in str(collect(store).error)
