"""Events of every kind, made by hypothesis, and reading from text."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from pytest_dora.delivery.exchange import Refused, read_events
from pytest_dora.model import events as facts
from pytest_dora.model.events import Event

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

moments = st.datetimes(timezones=st.just(UTC))
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
keys = words.map(lambda word: f"k/{word}")
numbers = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
counts = st.integers(min_value=0, max_value=10**9)


def maybe(what: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | what


causes = st.builds(facts.Cause, deployment=maybe(words), version=maybe(words))
shas = st.lists(words, max_size=3).map(tuple)
bodies = st.one_of(
    st.builds(
        facts.GenerationBody, prompt_at=moments, completed_at=maybe(moments),
        success=maybe(st.booleans()), human=st.booleans(), model=maybe(words),
        attempt=maybe(st.integers(1, 9)), input_tokens=maybe(counts), cost_usd=maybe(numbers),
    ),
    st.builds(facts.BuildBody, started_at=moments, finished_at=maybe(moments),
              success=st.booleans(), run_id=maybe(words), cost_usd=maybe(numbers)),
    st.builds(
        facts.PipelineRunBody, run=keys, attempt=st.integers(1, 9), name=maybe(words),
        queued_at=maybe(moments), started_at=moments, finished_at=moments,
        outcome=st.sampled_from(facts.RunOutcome),
        url=maybe(st.sampled_from(["https://ci.example/1", "no address"])),
    ),
    st.builds(
        facts.DeploymentBody, deployment=keys, created_at=maybe(moments),
        started_at=maybe(moments), version=maybe(words), commit_sha=maybe(words),
        artifact=maybe(words), method=maybe(st.sampled_from(facts.Method)), run_id=maybe(words),
        previous_version=maybe(words), rollback=maybe(st.booleans()),
        url=maybe(st.sampled_from(["https://shop.example/1", "no address"])),
    ),
    st.builds(facts.DeploymentStatusBody, deployment=keys, estimated=st.booleans(),
              state=st.sampled_from(facts.DeploymentState)),
    st.builds(facts.DeploymentChangesBody, deployment=keys, commit_shas=shas),
    st.builds(facts.ChangeBody, commit_sha=words, authored_at=maybe(moments),
              merged_at=maybe(moments), reverts=shas, hotfix=maybe(st.booleans())),
    st.builds(
        facts.IncidentBody, incident=keys, title=maybe(words), started_at=maybe(moments),
        incident_kind=maybe(st.sampled_from(facts.IncidentKind)), detected_at=maybe(moments),
        resolved_at=maybe(moments), caused_by=maybe(causes), url=maybe(words),
    ),
    st.builds(facts.HealthBody, start=moments, end=moments, uptime=maybe(st.floats(0, 1)),
              requests=maybe(numbers), p99_ms=maybe(numbers)),
    st.builds(facts.QueryFailuresBody, start=moments, end=moments, failures=numbers),
    st.builds(facts.CostBody, category=st.just("build"), usd=numbers, reference=maybe(words)),
    st.builds(facts.VerdictBody, run_id=words, deployable=maybe(st.booleans()),
              outcomes=st.dictionaries(words, words, max_size=3)),
    st.builds(facts.DrillBody, run_id=words, drill=st.just("rollback"), passed=st.booleans()),
)  # fmt: skip
events = st.builds(
    Event,
    key=keys,
    source=words,
    app_id=maybe(words),
    service=maybe(st.sampled_from(["github:acme/shop", "fly:shop"])),
    environment=maybe(words),
    occurred_at=moments,
    observed_at=moments,
    body=bodies,
)


def read(*documents: Any, format_name: str | None = None) -> list[Event | Refused]:
    """What comes of a file with one document (as it is printed), or several (one a line)."""
    if len(documents) == 1:
        text = json.dumps(documents[0], indent=2)
    else:
        text = "\n".join(json.dumps(document) for document in documents)
    return read_text(text.encode(), format_name)


def read_text(text: bytes, format_name: str | None = None) -> list[Event | Refused]:
    return list(read_events(io.BytesIO(text), format_name, observed_at=NOW, name="file"))


def only(found: list[Event | Refused]) -> Event:
    """The one event; fails for anything else."""
    (one,) = found
    assert isinstance(one, Event), one
    return one


def refusal(found: list[Event | Refused]) -> str:
    """Why the one document was refused; fails for anything else."""
    (one,) = found
    assert isinstance(one, Refused), one
    return str(one)
