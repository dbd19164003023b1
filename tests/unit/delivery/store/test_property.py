"""Whatever the order, the repetitions and the batches: the same events make the same store."""

from __future__ import annotations

import itertools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.store import Progress, Reason, Store
from pytest_dora.model.events import (
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
    VerdictBody,
)

_KEYS = st.from_regex(r"[^\x00-\x1f\x7f]{1,40}", fullmatch=True)
_NAMES = st.none() | st.text(min_size=1, max_size=20)
_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_AHEAD = st.sampled_from([timedelta(0), timedelta(minutes=5), timedelta(days=1)])
_TEXTS = st.text(max_size=50)
_BODIES = st.one_of(
    st.builds(DeploymentStatusBody, deployment=_KEYS, state=st.sampled_from(list(DeploymentState))),
    st.builds(IncidentBody, incident=_KEYS, title=_TEXTS, resolved_at=st.none() | _TIMES),
    st.builds(VerdictBody, run_id=_TEXTS, outcomes=st.dictionaries(_TEXTS, _TEXTS, max_size=3)),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    observed = draw(_TIMES)
    return Event(
        key=draw(_KEYS),
        source="test",
        app_id=draw(_NAMES),
        service=draw(_NAMES),
        environment=draw(_NAMES),
        occurred_at=observed + draw(_AHEAD),
        observed_at=observed,
        body=draw(_BODIES),
    )


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """A set of events, and the batches in which they come: all of them, some more than once."""
    facts = draw(st.lists(events(), max_size=12, unique_by=lambda event: event.key))
    again = draw(st.lists(st.sampled_from(facts), max_size=12)) if facts else []
    stream = draw(st.permutations(facts + again))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    edges = itertools.pairwise([0, *cuts, len(stream)])
    return facts, [stream[start:end] for start, end in edges]


@settings(max_examples=40, deadline=None)
@given(deliveries())
def test_any_order_repetition_and_batches_give_the_same_store(
    delivery: tuple[list[Event], list[list[Event]]],
) -> None:
    facts, batches = delivery
    nul = {e.key for e in facts if "\0" in f"{e.app_id}{e.service}{e.environment}"}
    future = {e.key for e in facts if e.occurred_at - e.observed_at > timedelta(minutes=5)}
    good = [event for event in facts if event.key not in nul | future]
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder, "s.db")) as store:
        done = [
            store.append(batch, Progress("test", "all", {"n": number}))
            for number, batch in enumerate(batches)
        ]
        assert list(store.read()) == sorted(good, key=lambda e: (e.occurred_at, e.key))
        assert sum(one.new for one in done) == len(good)
        assert sum(one.known for one in done) == sum(
            event in good for batch in batches for event in batch
        ) - len(good)
        expected = {
            Reason.FROM_THE_FUTURE: len(future),
            Reason.NUL_CHARACTER: len(nul - future),
        }
        assert store.refusals() == {reason: n for reason, n in expected.items() if n}
        owned = store.read_by_app(lambda app, service: app or service)
        assert sorted(e.key for _, some in owned for e in some) == sorted(e.key for e in good)
        progress = store.progress("test", "all")
        assert progress is not None
        assert progress.cursor == {"n": len(batches) - 1}
