"""What GitHub answers, as far as it is read. Whatever else an answer holds is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import Field

from pytest_dora.delivery.collectors.base import CollectError
from pytest_dora.delivery.collectors.parsing import Answered, Moment, parsed


class User(Answered):
    type: str | None = None


class DeploymentPayload(Answered):
    id: int
    sha: str
    ref: str = ""
    environment: str
    original_environment: str | None = None
    """Where it was meant to go when it was made; a status may send it elsewhere."""
    creator: User | None = None
    created_at: Moment
    updated_at: Moment


class StatusPayload(Answered):
    id: int
    state: str
    environment: str | None = None
    created_at: Moment


class RunPayload(Answered):
    id: int
    name: str | None = None
    event: str = ""
    run_attempt: int = Field(1, ge=1)
    conclusion: str | None = None
    head_sha: str
    head_branch: str | None = None
    created_at: Moment
    """When the first attempt was asked for; a re-run does not change it."""
    run_started_at: Moment | None = None
    updated_at: Moment
    actor: User | None = None
    triggering_actor: User | None = None

    @property
    def ended(self) -> bool:
        """A run has a conclusion when it has ended, and not before."""
        return bool(self.conclusion)


class JobPayload(Answered):
    name: str
    conclusion: str | None = None
    completed_at: Moment | None = None


class Signature(Answered):
    date: Moment | None = None


class CommitDetails(Answered):
    message: str = ""
    author: Signature | None = None
    committer: Signature | None = None


class CommitPayload(Answered):
    sha: str
    commit: CommitDetails
    parents: tuple[object, ...] = ()


class Head(Answered):
    ref: str = ""


class PullPayload(Answered):
    number: int
    created_at: Moment | None = None
    merged_at: Moment | None = None
    merge_commit_sha: str | None = None
    head: Head | None = None


class RunsPage(Answered):
    total_count: int
    workflow_runs: tuple[RunPayload, ...]


class JobsPage(Answered):
    jobs: tuple[JobPayload, ...]


class ComparisonPage(Answered):
    commits: tuple[CommitPayload, ...]


_Parsed = TypeVar("_Parsed", bound=Answered)


def parsed_list(kind: type[_Parsed], answer: object, what: str) -> Iterable[_Parsed]:
    """A list of payloads; raises CollectError as ``parsed`` does."""
    if not isinstance(answer, list):
        raise CollectError(f"{what} is no list; is this the address of GitHub's API?")
    return [parsed(kind, one, what) for one in answer]
