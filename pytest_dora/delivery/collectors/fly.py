"""Releases of an app on Fly.io as deployments.

Whether anything happened is asked of the REST API in one request; only then are releases read
page by page from GraphQL, which alone knows ``updatedAt`` and ``revertedTo``. Fly tells no moment
at which a release finished: ``updatedAt`` of one that has ended stands for it, marked estimated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.parse import quote

from pydantic import Field

from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.parsing import Answered, Moment, parsed, secret_from, shown
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model
from pytest_dora.model.events import DeploymentBody, DeploymentState, DeploymentStatusBody, Event

_TOKEN = "FLY_API_TOKEN"
_PAGE = 100
_GIVEN_UP = timedelta(days=7)
"""A release in progress for longer was abandoned by its ``fly deploy``, and never ends."""
_STATES = {
    "pending": DeploymentState.PENDING,
    "running": DeploymentState.IN_PROGRESS,
    "complete": DeploymentState.SUCCESS,
    "succeeded": DeploymentState.SUCCESS,
    "failed": DeploymentState.FAILED,
    "interrupted": DeploymentState.CANCELLED,
    "cancelled": DeploymentState.CANCELLED,
}
_BEGUN = (DeploymentState.PENDING, DeploymentState.IN_PROGRESS)
_QUERY = """
query($app: String!, $first: Int!, $after: String) {
  app(name: $app) {
    releasesUnprocessed(first: $first, after: $after) {
      nodes { id version status createdAt updatedAt imageRef revertedTo }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


class _Listed(Answered):
    """A release as REST lists it."""

    version: int
    in_progress: bool = False


class _List(Answered):
    releases: tuple[_Listed, ...]


class _Release(Answered):
    """A release as GraphQL tells it."""

    id: str | None = None
    version: int
    status: str
    created_at: Moment = Field(alias="createdAt")
    updated_at: Moment = Field(alias="updatedAt")
    image: str | None = Field(None, alias="imageRef")
    reverted_to: int | None = Field(None, alias="revertedTo")

    @property
    def state(self) -> DeploymentState | None:
        return _STATES.get(self.status.lower())

    def is_open(self, now: datetime) -> bool:
        """Whether its end may still come."""
        ended = self.state is not None and self.state not in _BEGUN
        return not ended and now - self.created_at < _GIVEN_UP


class _PageInfo(Answered):
    more: bool = Field(alias="hasNextPage")
    end: str | None = Field(None, alias="endCursor")


class _Page(Answered):
    releases: tuple[_Release, ...] = Field(alias="nodes")
    info: _PageInfo = Field(alias="pageInfo")


class _App(Answered):
    page: _Page = Field(alias="releasesUnprocessed")


class _Data(Answered):
    app: _App | None


class _Problem(Answered):
    message: str


class _Answer(Answered):
    data: _Data | None = None
    errors: tuple[_Problem, ...] = ()


class _Walk(Model):
    """A way from the newest release down to the last known one, which may be interrupted."""

    began: Moment
    after: str | None = None
    top: int = 0
    open: tuple[int, ...] = ()


class _Place(Model):
    through: int = 0
    """Every release up to this version is known ..."""
    open: tuple[int, ...] = ()
    """... but for how these ended."""
    walk: _Walk | None = None

    def wants(self, version: int) -> bool:
        return version > self.through or version in self.open

    def ends_in(self, page: Sequence[_Release]) -> bool:
        """Whether no release of interest comes after this page.

        Newest first is what Fly does and nowhere promises: believed only where it is seen.
        """
        descending = all(one.version > other.version for one, other in pairwise(page))
        lowest = min(self.open, default=self.through + 1)
        return bool(page) and descending and page[-1].version <= lowest


class FlyCollector:
    """Reads the app ``scope.name`` with the token in ``FLY_API_TOKEN``.

    ``scope.options["base_url"]`` or ``FLY_API_BASE_URL`` names another address than
    https://api.fly.io.
    """

    name = "fly"

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        place = parsed(_Place, cursor or {}, f"fly: the cursor of {scope.name}")
        named = scope.options.get("base_url") or os.environ.get("FLY_API_BASE_URL")
        with Api(
            str(named or "https://api.fly.io"),
            name=self.name,
            headers={"Authorization": _authorization(secret_from(_TOKEN, name=self.name))},
            secret=_TOKEN,
            wait=self._wait,
        ) as api:
            if place.walk is not None:
                place = yield from _walk(api, scope, place, place.walk, now)
            if _has_news(api, scope, place):
                yield from _walk(api, scope, place, _Walk(began=now), now)
            else:
                yield Batch((), place.model_dump(mode="json"), now)


def _walk(
    api: Api, scope: Scope, place: _Place, walk: _Walk, now: datetime
) -> Generator[Batch, None, _Place]:
    """Batches, one a page; returns the place that they reach."""
    while True:
        page = _page(api, scope, walk.after)
        wanted = [one for one in page.releases if place.wants(one.version)]
        ended = place.ends_in(page.releases) or not page.info.more
        if not ended and page.info.end in (None, walk.after):
            raise CollectError(f"fly: the pages of {scope.name} lead in a circle")
        walk = _Walk(
            began=walk.began,
            after=page.info.end,
            top=max(walk.top, *(one.version for one in page.releases), 0),
            open=tuple(sorted({*walk.open, *(one.version for one in wanted if one.is_open(now))})),
        )
        if ended:
            reached = _Place(through=max(place.through, walk.top), open=walk.open)
        else:
            reached = place.model_copy(update={"walk": walk})
        yield Batch(
            tuple(event for one in wanted for event in _events(scope, one, now)),
            reached.model_dump(mode="json"),
            walk.began if ended else None,
            tuple(_unknown(scope, one) for one in wanted if one.state is None),
        )
        if ended:
            return reached


def _authorization(token: str) -> str:
    """As ``fly`` itself does it: macaroons have their own scheme, other tokens are bearers."""
    if token.startswith(("Bearer ", "FlyV1 ")):
        return token
    macaroon = any(one.startswith(("fm1r_", "fm2_")) for one in token.split(","))
    return f"FlyV1 {token}" if macaroon else f"Bearer {token}"


def _has_news(api: Api, scope: Scope, place: _Place) -> bool:
    answer = api.get(f"api/v1/apps/{quote(scope.name, safe='')}/releases", {"limit": _PAGE})
    releases = parsed(_List, answer.body, f"fly: the list of releases of {scope.name}").releases
    if any(one.version > place.through for one in releases):
        return True
    # one that was in progress and is no longer listed is looked for among the older ones
    waiting = {one.version for one in releases if one.in_progress}
    return not waiting.issuperset(place.open)


def _page(api: Api, scope: Scope, after: str | None) -> _Page:
    variables = {"app": scope.name, "first": _PAGE, "after": after}
    body = api.post("graphql", {"query": _QUERY, "variables": variables}).body
    answer = parsed(_Answer, body, f"fly: a page of releases of {scope.name}")
    if answer.errors:
        said = shown("; ".join(one.message for one in answer.errors), _TOKEN)
        raise CollectError(f"fly: {scope.name} cannot be read: {said}")
    if answer.data is None or answer.data.app is None:
        raise CollectError(f"fly: there is no app {scope.name} that this token may read")
    return answer.data.app.page


def _unknown(scope: Scope, release: _Release) -> str:
    return (
        f"fly: {scope.name} v{release.version} has the status {release.status[:40]!r}, which is "
        "not known here: it counts as neither served nor failed"
    )


def _events(scope: Scope, release: _Release, now: datetime) -> Iterator[Event]:
    """The release, and its state where that is known. The first holds only what never changes."""
    version = f"v{release.version}"
    key = f"fly/{scope.name}/release/{release.id or version}"
    reverts = release.reverted_to is not None

    def event(key: str, at: datetime, body: DeploymentBody | DeploymentStatusBody) -> Event:
        return Event(
            key=key,
            source=FlyCollector.name,
            app_id=scope.app_id,
            service=f"fly:{scope.name}",
            environment=scope.environment,
            occurred_at=at,
            observed_at=now,
            body=body,
        )

    yield event(
        key,
        release.created_at,
        DeploymentBody(
            deployment=key,
            created_at=release.created_at,
            version=version,
            artifact=release.image,
            # null does not say that it is none: an old image can be deployed by its name, too
            rollback=True if reverts else None,
            rollback_to=f"v{release.reverted_to}" if reverts else None,
        ),
    )
    if release.state is not None:
        at = release.created_at if release.state in _BEGUN else release.updated_at
        yield event(
            f"{key}/{release.status.lower()}",
            at,
            DeploymentStatusBody(deployment=key, state=release.state, estimated=True),
        )
