"""What Datadog answers: only the fields that are read, by the names of its API's documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from pytest_dora.delivery.collectors.parsing import Answered, Moment, moment_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix_or_iso(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int):
        return moment_of(value)
    for low, high, per_second in (
        (10**8, 10**11, 1),
        (10**11, 10**14, 10**3),
        (10**17, 10**20, 10**9),
    ):
        if low <= value < high:
            return _EPOCH + timedelta(microseconds=value * 10**6 // per_second)
    raise ValueError("a number that is no Unix time in seconds, milliseconds or nanoseconds")


Time = Annotated[datetime, BeforeValidator(_unix_or_iso)]


class Git(Answered):
    commit_sha: str | None = None
    repository_id: str | None = None


class Attributes(Answered):
    env: str | None = None
    started_at: Time | None = None
    finished_at: Time | None = None


class Deployment(Attributes):
    git: Git | None = None
    version: str | None = None


class Failure(Attributes):
    name: str | None = None
    severity: str | None = None


class DeploymentItem(Answered):
    id: str
    attributes: Deployment


class FailureItem(Answered):
    id: str
    attributes: Failure


class Deployments(Answered):
    data: tuple[DeploymentItem, ...]


class Failures(Answered):
    data: tuple[FailureItem, ...]


class FieldValue(Answered):
    value: Any = None


class IncidentAttributes(Answered):
    title: str
    modified: Moment
    severity: str | None = None
    detected: Moment | None = None
    resolved: Moment | None = None
    customer_impact_start: Moment | None = None
    is_test: bool = False
    fields: dict[str, FieldValue] = {}

    def concerns(self, service: str) -> bool:
        field = self.fields.get("services")
        value = field.value if field is not None else None
        return value == service or (isinstance(value, list) and service in value)


class Incident(Answered):
    id: str
    attributes: IncidentAttributes


class Pagination(Answered):
    next_offset: int | None = None


class Meta(Answered):
    pagination: Pagination = Pagination()


class IncidentPage(Answered):
    data: tuple[Incident, ...]
    meta: Meta = Meta()


class Series(Answered):
    pointlist: tuple[tuple[float, float | None], ...]


class Timeseries(Answered):
    status: str = "ok"
    error: str | None = None
    series: tuple[Series, ...] = ()
