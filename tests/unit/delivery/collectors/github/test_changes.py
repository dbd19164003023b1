"""What served before what: the same answer in whatever portions it is read."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.github.changes import Timeline
from pytest_dora.delivery.collectors.github.state import Served, TimelineState
from tests.unit.delivery.collectors.github.world import START, at


def served(number: int, minute: float, environment: str = "production") -> Served:
    return Served(
        finished_at=at(minute), key=f"deployment/{number}", environment=environment, sha=f"{number}"
    )


def pairs(timeline: Timeline, minute: float) -> list[tuple[str, str | None]]:
    return [(one.sha, before.sha if before else None) for one, before in timeline.take(at(minute))]


def test_each_follows_the_one_that_served_before_it_in_its_environment() -> None:
    timeline = Timeline(TimelineState())
    for one in (served(3, 30), served(1, 10), served(2, 20, "staging"), served(4, 25)):
        timeline.add(one)
    assert pairs(timeline, 100) == [("1", None), ("2", None), ("4", "1"), ("3", "4")]


def test_one_waits_until_all_that_served_before_it_is_known() -> None:
    timeline = Timeline(TimelineState())
    timeline.add(served(1, 10))
    assert pairs(timeline, 10) == []
    assert [one.sha for one in timeline.state().pending] == ["1"]
    assert pairs(timeline, 10.1) == [("1", None)]


def test_what_was_told_is_not_told_again() -> None:
    timeline = Timeline(TimelineState())
    for _ in range(2):
        for number in range(30):
            timeline.add(served(number, number))
        pairs(timeline, 100)
    assert pairs(timeline, 100) == []
    again = Timeline(timeline.state())
    for number in range(30):
        again.add(served(number, number))
    assert pairs(again, 100) == []


def test_memory_is_bounded() -> None:
    timeline = Timeline(TimelineState())
    for number in range(500):
        timeline.add(served(number, number, f"preview-{number % 150}"))
    for number in range(500, 600):
        timeline.add(served(number, number))
    assert len(pairs(timeline, 1000)) == 600
    state = timeline.state()
    assert len(state.served) == 100
    assert len(state.served["production"]) == 20
    assert "preview-49" in state.served
    assert "preview-50" not in state.served


@given(st.data())
def test_portions_change_nothing(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 15))
    created = [10 * number for number in range(count)]
    durations = data.draw(st.lists(st.integers(1, 60), min_size=count, max_size=count))
    places = data.draw(
        st.lists(st.sampled_from(["production", "staging"]), min_size=count, max_size=count)
    )
    ones = [
        served(number, created[number] + durations[number], places[number])
        for number in range(count)
    ]
    whole = Timeline(TimelineState())
    for one in data.draw(st.permutations(ones)):
        whole.add(one)
    expected = pairs(whole, 1000)

    state, found, at_once = TimelineState(), [], data.draw(st.integers(1, 5))
    for first in range(0, count, at_once):
        timeline = Timeline(TimelineState.model_validate(state.model_dump(mode="json")))
        for one in ones[: first + at_once]:  # those that were read before are read again
            timeline.add(one)
        unread = ones[first + at_once :]
        known_to = created[first + at_once] if unread else 1000
        found += pairs(timeline, known_to)
        state = timeline.state()
    assert sorted(found) == sorted(expected)
    assert START + timedelta(minutes=1000) > max(one.finished_at for one in ones)
