"""The requests to GitHub that a collection needs, each with its answer read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from pytest_dora.delivery.collectors.base import CollectError
from pytest_dora.delivery.collectors.github.payloads import (
    CommitPayload,
    ComparisonPage,
    DeploymentPayload,
    JobPayload,
    JobsPage,
    PullPayload,
    RunPayload,
    RunsPage,
    StatusPayload,
    parsed_list,
)
from pytest_dora.delivery.collectors.parsing import parsed
from pytest_dora.delivery.http import AnswerError, Api

HEADERS = {
    # GitHub knows the first, its own description only the second
    "Accept": "application/vnd.github+json, application/json;q=0.9",
    "X-GitHub-Api-Version": "2022-11-28",
}
_PAGE = {"per_page": 100}
_MOST_RUNS = 1000
"""GitHub gives no more results than these for one filter, however many there are."""
_MOST_COMMITS = 1000
_SECOND = timedelta(seconds=1)
_GONE = (404, 410)


class Repository:
    """One repository as GitHub's REST API tells of it. Raises CollectError."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._path = f"repos/{name}"
        self.clock: datetime | None = None
        """GitHub's own time at its first answer."""

    def deployment_pages(self) -> Iterator[list[DeploymentPayload]]:
        """All deployments, the newest first."""
        for answer in self._api.pages(f"{self._path}/deployments", _PAGE):
            self._read_clock(answer.headers.get("date", ""))
            yield list(parsed_list(DeploymentPayload, answer.body, "github: a deployment"))

    def deployment(self, number: int) -> DeploymentPayload | None:
        """None when it was deleted."""
        answer = self._existing(f"{self._path}/deployments/{number}")
        return None if answer is None else parsed(DeploymentPayload, answer, "github: a deployment")

    def statuses(self, number: int) -> list[StatusPayload]:
        pages = self._api.pages(f"{self._path}/deployments/{number}/statuses", _PAGE)
        return [
            status
            for answer in pages
            for status in parsed_list(StatusPayload, answer.body, "github: a deployment status")
        ]

    def runs(
        self, start: datetime, end: datetime, notes: list[str]
    ) -> Iterator[tuple[datetime, list[RunPayload]]]:
        """Runs created in slices of time, the earliest first, each with the end of its slice.

        A slice with more runs than GitHub tells of is halved until it has fewer.
        """
        slices = [(start.replace(microsecond=0), end.replace(microsecond=0))]
        while slices:
            first, last = slices.pop()
            created = f"{_stamp(first)}..{_stamp(last)}"
            pages = self._api.pages(f"{self._path}/actions/runs", {"created": created, **_PAGE})
            answer = next(pages)
            self._read_clock(answer.headers.get("date", ""))
            page = parsed(RunsPage, answer.body, "github: a list of workflow runs")
            if page.total_count >= _MOST_RUNS:
                if last > first:
                    middle = first + (last - first) // 2
                    middle = middle.replace(microsecond=0)
                    slices += [(middle + _SECOND, last), (first, middle)]
                    continue
                notes.append(
                    f"more than {_MOST_RUNS} workflow runs of one second ({_stamp(first)}): "
                    "GitHub tells of no more"
                )
            runs = list(page.workflow_runs)
            for answer in pages:
                runs += parsed(
                    RunsPage, answer.body, "github: a list of workflow runs"
                ).workflow_runs
            yield last, runs

    def run(self, number: int, attempt: int | None = None) -> RunPayload | None:
        """A run as its latest attempt, or as an earlier one. None when it was deleted."""
        path = f"{self._path}/actions/runs/{number}"
        answer = self._existing(path if attempt is None else f"{path}/attempts/{attempt}")
        return None if answer is None else parsed(RunPayload, answer, "github: a workflow run")

    def jobs(self, run: RunPayload) -> list[JobPayload]:
        """The jobs of one attempt; none when they were deleted."""
        path = f"{self._path}/actions/runs/{run.id}/attempts/{run.run_attempt}/jobs"
        try:
            return [
                job
                for answer in self._api.pages(path, _PAGE)
                for job in parsed(JobsPage, answer.body, "github: a list of jobs").jobs
            ]
        except AnswerError as error:
            if error.status in _GONE:
                return []
            raise

    def compare(self, base: str, head: str) -> tuple[list[CommitPayload], bool] | None:
        """The commits of ``head`` that ``base`` lacks, in order, and whether there are more.

        None when GitHub cannot tell: a commit is gone, or the two have no ancestor in common.
        """
        path = f"{self._path}/compare/{quote(base, safe='')}...{quote(head, safe='')}"
        commits: list[CommitPayload] = []
        try:
            for answer in self._api.pages(path, _PAGE):
                commits += parsed(ComparisonPage, answer.body, "github: a comparison").commits
                if len(commits) >= _MOST_COMMITS and "next" in answer.links:
                    return commits[:_MOST_COMMITS], True
        except AnswerError as error:
            if error.status in _GONE:
                return None
            raise
        return commits, False

    def pulls(self, sha: str) -> list[PullPayload]:
        """The pull requests that have a commit."""
        try:
            return [
                pull
                for answer in self._api.pages(f"{self._path}/commits/{sha}/pulls", _PAGE)
                for pull in parsed_list(PullPayload, answer.body, "github: a pull request")
            ]
        except AnswerError as error:
            if error.status in (*_GONE, 422):  # a commit of a fork that is gone
                return []
            raise

    def _existing(self, path: str) -> object | None:
        try:
            body: object = self._api.get(path).body
            return body
        except AnswerError as error:
            if error.status in _GONE:
                return None
            raise

    def _read_clock(self, date: str) -> None:
        if self.clock is not None:
            return
        try:
            clock = parsedate_to_datetime(date)
        except (ValueError, TypeError):
            return
        self.clock = clock if clock.tzinfo else clock.replace(tzinfo=UTC)


def checked_name(name: str) -> str:
    """``owner/repo``, or CollectError."""
    parts = name.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") or not set(part) <= _NAME for part in parts):
        raise CollectError(f"github: {name!r} is no repository: write it as owner/repo")
    return name


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
