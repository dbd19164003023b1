from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.plugin.scheduler import AppScheduling, Progress, auto_workers


class FakeGateway:
    def __init__(self, name: str) -> None:
        self.id = name


class FakeNode:
    """A worker as the scheduler sees it, which runs items as xdist's do: one ahead."""

    def __init__(self, name: str) -> None:
        self.gateway: Any = FakeGateway(name)
        self.workerinput: dict[str, Any] = {}
        self.inbox: deque[int] = deque()
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.shutting_down, "work for a worker that was sent home"
        self.inbox.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        """A worker must know the next item, or that there is none, before it runs one."""
        return len(self.inbox) >= 2 or (bool(self.inbox) and self.shutting_down)


class World:
    """A scheduler with its workers; runs items, lets workers die, replaces them."""

    def __init__(
        self, apps: dict[str, int], workers: int, seconds: dict[str, float] | None = None
    ) -> None:
        self.ids = [f"fleet::{app}::{number}" for app in apps for number in range(apps[app])]
        self.progress = Progress()
        weights = seconds or {}
        self.scheduler = AppScheduling(
            None,  # type: ignore[arg-type]
            workers,
            lambda nodeid: nodeid.rpartition("::")[0],
            lambda key, _: weights.get(key.partition("::")[2], 0.0),
            self.progress,
        )
        self.ran: list[tuple[str, str]] = []
        self.crashed: list[str] = []
        self.deaths = 0
        self.nodes: list[FakeNode] = []
        for number in range(workers):
            self.start(f"gw{number}")

    def start(self, name: str) -> FakeNode:
        node = FakeNode(name)
        self.nodes.append(node)
        self.scheduler.add_node(node)
        self.scheduler.add_node_collection(node, self.ids)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()
        return node

    def step(self, node: FakeNode, *, dies: bool = False) -> None:
        index = node.inbox.popleft()
        nodeid = self.ids[index]
        self.progress.pytest_runtest_logstart(nodeid)
        self.ran.append((node.gateway.id, nodeid))
        if dies:
            self.kill(node)
            return
        self.progress.pytest_runtest_logfinish(nodeid)
        self.scheduler.mark_test_complete(node, index)

    def kill(self, node: FakeNode) -> None:
        self.nodes.remove(node)
        victim = self.scheduler.remove_node(node)
        if victim is not None:
            self.crashed.append(victim)
        self.deaths += 1
        self.start(f"new{self.deaths}")

    def run(self) -> None:
        while able := [node for node in self.nodes if node.can_run]:
            self.step(able[0])
            # every worker that can go on goes on, in turns
            self.nodes.append(self.nodes.pop(0))


@pytest.mark.parametrize("workers", [1, 2, 3, 6])
def test_every_item_runs_once_and_an_app_on_one_worker(workers: int) -> None:
    world = World({"a": 4, "b": 1, "c": 3, "d": 4}, workers)
    world.run()
    assert sorted(nodeid for _, nodeid in world.ran) == sorted(world.ids)
    assert world.scheduler.tests_finished
    assert not world.scheduler.has_pending
    for app in "abcd":
        assert len({node for node, nodeid in world.ran if f"::{app}::" in nodeid}) == 1
    assert all(node.shutting_down for node in world.nodes)


def test_an_apps_items_keep_their_order() -> None:
    world = World({"a": 5, "b": 5}, 2)
    world.run()
    mine = [nodeid for _, nodeid in world.ran if "::a::" in nodeid]
    assert mine == [f"fleet::a::{number}" for number in range(5)]


def test_the_longest_apps_begin_first() -> None:
    world = World({"a": 2, "b": 2, "c": 2}, 1, {"a": 1.0, "b": 30.0, "c": 9.0})
    world.run()
    assert list(dict.fromkeys(nodeid.split("::")[1] for _, nodeid in world.ran)) == ["b", "c", "a"]


def test_a_dying_worker_costs_the_item_it_ran() -> None:
    world = World({"a": 4, "b": 4}, 2)
    victim = world.nodes[0]
    world.step(victim)
    world.step(victim, dies=True)
    world.run()
    assert world.crashed == ["fleet::a::1"]
    counts = dict.fromkeys(world.ids, 0)
    for _, nodeid in world.ran:
        counts[nodeid] += 1
    assert set(counts.values()) == {1}


def test_a_worker_that_dies_before_an_item_began_costs_nothing() -> None:
    world = World({"a": 3}, 1)
    world.kill(world.nodes[0])
    world.run()
    assert world.crashed == []
    assert len(world.ran) == 3


def test_an_item_before_which_workers_keep_dying_is_given_up() -> None:
    world = World({"a": 3}, 1)
    world.kill(world.nodes[0])
    world.kill(world.nodes[0])
    assert world.crashed == ["fleet::a::0"]
    world.run()
    assert [nodeid for _, nodeid in world.ran] == ["fleet::a::1", "fleet::a::2"]


def test_an_item_that_had_ended_is_not_blamed() -> None:
    world = World({"a": 3}, 1)
    node = world.nodes[0]
    nodeid = world.ids[node.inbox[0]]
    world.progress.pytest_runtest_logstart(nodeid)
    world.progress.pytest_runtest_logfinish(nodeid)
    world.kill(node)
    assert world.crashed == []
    world.run()
    assert [nodeid for _, nodeid in world.ran] == ["fleet::a::1", "fleet::a::2"]


def test_a_crashed_item_can_be_asked_for_again() -> None:
    world = World({"a": 3}, 1)
    world.step(world.nodes[0], dies=True)
    world.scheduler.mark_test_pending(world.crashed[0])
    world.run()
    assert sorted(nodeid for _, nodeid in world.ran) == [
        "fleet::a::0", "fleet::a::0", "fleet::a::1", "fleet::a::2",
    ]  # fmt: skip


def test_more_workers_than_apps_are_sent_home() -> None:
    world = World({"a": 2}, 4)
    assert sum(bool(node.inbox) for node in world.nodes) == 1
    assert all(node.shutting_down for node in world.nodes if not node.inbox)


def test_a_replacement_that_collected_other_items_gets_none() -> None:
    world = World({"a": 3}, 1)
    other = FakeNode("other")
    world.scheduler.add_node(other)
    world.scheduler.add_node_collection(other, world.ids[1:])
    assert other.shutting_down


def test_no_items_are_finished_at_once() -> None:
    world = World({}, 2)
    assert world.scheduler.tests_finished


def test_workers_that_disagree_at_the_start_are_a_usage_error() -> None:
    world = World({}, 2)
    scheduler = AppScheduling(
        None,  # type: ignore[arg-type]
        2, str, lambda _key, _ids: 0.0, world.progress,
    )  # fmt: skip
    for name, ids in (("gw0", ["x"]), ("gw1", ["y"])):
        node = FakeNode(name)
        scheduler.add_node(node)
        scheduler.add_node_collection(node, ids)
    with pytest.raises(pytest.UsageError, match="Different tests were collected"):
        scheduler.schedule()


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    workers=st.integers(1, 6),
    seed=st.integers(0, 10_000),
)
def test_whoever_dies_whenever_every_item_runs_once(
    sizes: list[int], workers: int, seed: int
) -> None:
    chance = random.Random(seed)
    world = World({f"app{number}": size for number, size in enumerate(sizes)}, workers)
    for _ in range(500):
        able = [node for node in world.nodes if node.can_run]
        if not able:
            break
        world.step(chance.choice(able), dies=world.deaths < 8 and chance.random() < 0.2)
    ran = [nodeid for _, nodeid in world.ran]
    assert sorted(ran) == sorted(world.ids)
    assert len(world.crashed) == world.deaths
    assert not world.scheduler.has_pending


def test_auto_workers_are_bounded_by_memory_and_by_the_user(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    import psutil

    class Memory:
        available = 4 * 1536 * 2**20

    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert auto_workers(pytestconfig) == 4
    Memory.available = 10
    assert auto_workers(pytestconfig) == 1
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert auto_workers(pytestconfig) is None
