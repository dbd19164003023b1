"""Which worker runs what: an app stays on one worker, the longest apps begin first.

xdist's own way to keep items together loses the rest of a group when its worker dies. Here a
dead worker costs the one item it was running; what it had not begun goes to the others.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from pytest_dora.plugin.history import expected_seconds, read_history
from pytest_dora.plugin.state import RunState, to_worker
from pytest_dora.plugin.text import node_name

BYTES_PER_LANE = 1536 * 2**20
"""Memory that the build of one Node app may need."""
_LANES_PER_CORE = 4
_AUTO = pytest.StashKey[bool]()


def auto_workers(config: pytest.Config) -> int | None:
    """Workers for ``-n auto``: most of an evaluation is waiting, but memory is not shared."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    import psutil

    config.stash[_AUTO] = True
    cores = len(os.sched_getaffinity(0))
    by_memory = psutil.virtual_memory().available // BYTES_PER_LANE
    return max(1, min(_LANES_PER_CORE * cores, by_memory))


class WorkerNode(Protocol):
    """What we use of xdist's controller of one worker."""

    gateway: Any
    workerinput: dict[str, Any]

    @property
    def shutting_down(self) -> bool: ...

    def send_runtest_some(self, indices: Sequence[int]) -> None: ...

    def shutdown(self) -> None: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Unit:
    """Items that stay together: an app's checks, or the tests of one file."""

    key: str
    indices: tuple[int, ...]


class AppScheduling:
    """A scheduler in the terms of xdist. ``group`` gives the key of an item's unit, ``weigh``
    how long a unit will take, in seconds.
    """

    def __init__(
        self,
        config: pytest.Config,
        workers: int,
        group: Callable[[str], str],
        weigh: Callable[[str, Sequence[str]], float],
        progress: Progress,
    ) -> None:
        self.config = config  # read by pytest-rerunfailures
        self._workers = workers
        self._group = group
        self._weigh = weigh
        self._progress = progress
        self._queue: deque[Unit] = deque()
        self._pending: dict[WorkerNode, deque[int]] = {}
        self._collections: dict[WorkerNode, list[str]] = {}
        self._ids: list[str] | None = None
        self._complete = False

    # --- what xdist asks ----------------------------------------------------------------------

    @property
    def nodes(self) -> list[WorkerNode]:
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Once complete it stays so, whichever workers end later."""
        self._complete = self._complete or len(self._collections) >= self._workers
        return self._complete

    @property
    def tests_finished(self) -> bool:
        # a worker runs its last item only once it is told that nothing follows
        return (
            self.collection_is_completed
            and not self._queue
            and all(len(pending) < 2 for pending in self._pending.values())
        )

    @property
    def has_pending(self) -> bool:
        return bool(self._queue) or any(self._pending.values())

    def add_node(self, node: WorkerNode) -> None:
        self._pending[node] = deque()

    def add_node_collection(self, node: WorkerNode, collection: Sequence[str]) -> None:
        if self._ids is not None and list(collection) != self._ids:
            node.shutdown()  # a replacement that sees other items cannot be given ours by number
            return
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        if self._ids is None and not self._start():
            return
        for node in self.nodes:
            self._feed(node)

    def mark_test_complete(
        self,
        node: WorkerNode,
        item_index: int,
        duration: float = 0,  # noqa: ARG002 - a part of xdist's protocol
    ) -> None:
        pending = self._pending[node]
        if item_index in pending:
            pending.remove(item_index)
        self._feed(node)

    def mark_test_pending(self, item: str) -> None:
        """Run an item once more that a dying worker was running (pytest-rerunfailures)."""
        assert self._ids is not None
        self._progress.forget(item)
        self._put_back([self._ids.index(item)])
        for node in self.nodes:
            self._feed(node)

    def remove_pending_tests_from_node(self, node: WorkerNode, indices: Sequence[int]) -> None:
        raise NotImplementedError("no items are ever asked back from a worker")

    def remove_node(self, node: WorkerNode) -> str | None:
        """Forget a worker; the id of the item that it was running when it died, if any."""
        pending = self._pending.pop(node)
        self._collections.pop(node, None)
        while pending and self._id(pending[0]) in self._progress.ended:
            pending.popleft()  # it was done; only the word of it was lost
        victim = self._id(pending[0]) if pending else None
        if victim is not None and self._progress.blame(victim):
            pending.popleft()
        else:
            victim = None
        self._put_back(pending)
        for other in self.nodes:
            self._feed(other)
        return victim

    # --- how it is done -----------------------------------------------------------------------

    def _start(self) -> bool:
        """Compare the workers' collections and cut them into units; False when there is none."""
        from xdist.report import report_collection_diff  # type: ignore[import-untyped]

        (first, ids), *others = self._collections.items()
        for node, other in others:
            if other != ids:
                message = report_collection_diff(ids, other, first.gateway.id, node.gateway.id)
                raise pytest.UsageError(str(message))
        self._ids = ids
        units: dict[str, list[int]] = {}
        for index, nodeid in enumerate(ids):
            units.setdefault(self._group(nodeid), []).append(index)
        self._queue.extend(
            sorted(
                (Unit(key, tuple(indices)) for key, indices in units.items()),
                key=lambda unit: -self._weigh(unit.key, [ids[index] for index in unit.indices]),
            )
        )
        return bool(ids)

    def _feed(self, node: WorkerNode) -> None:
        """Keep a worker one item ahead: it needs to know the next before it runs one."""
        if node.shutting_down or node not in self._collections or self._ids is None:
            return
        pending = self._pending[node]
        while len(pending) <= 1:
            if not self._queue:
                node.shutdown()
                return
            unit = self._queue.popleft()
            pending.extend(unit.indices)
            node.send_runtest_some(list(unit.indices))

    def _put_back(self, indices: Iterable[int]) -> None:
        """Return items to the head of the queue, for they began to wait first."""
        units: dict[str, list[int]] = {}
        for index in indices:
            units.setdefault(self._group(self._id(index)), []).append(index)
        for key, these in reversed(units.items()):
            waiting = next((unit for unit in self._queue if unit.key == key), None)
            if waiting is not None:
                self._queue.remove(waiting)
                these = [*these, *waiting.indices]
            self._queue.appendleft(Unit(key, tuple(these)))

    def _id(self, index: int) -> str:
        assert self._ids is not None
        return self._ids[index]


@dataclass(eq=False)  # pytest 8 keeps plugins in a set
class Progress:
    """Which items were seen to begin and to end, so that a death is blamed on the right one."""

    started: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    _suspected: set[str] = field(default_factory=set)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.started.add(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.ended.add(nodeid)

    def blame(self, nodeid: str) -> bool:
        """Whether a worker died of this item: it had begun, or this is the second death before."""
        guilty = nodeid in self.started or nodeid in self._suspected
        self._suspected.add(nodeid)
        return guilty

    def forget(self, nodeid: str) -> None:
        self.started.discard(nodeid)
        self.ended.discard(nodeid)
        self._suspected.discard(nodeid)


class Distribution:
    """The hooks of xdist, on the controller."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._state = state
        self._names = {node_name(app.app_id): app.app_id for app in state.apps}
        self._history = read_history(state.output / "history.json")
        if config.stash.get(_AUTO, False):
            # no more workers than apps; xdist starts them later, from this list
            needed = max(1, len(state.selected_apps))
            config.option.tx = config.option.tx[:needed]
            config.option.numprocesses = min(config.option.numprocesses, needed)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerNode) -> None:
        node.workerinput["dora"] = to_worker(self._state, os.getpid())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> AppScheduling | None:
        """Ours, but for the modes that split apps on purpose."""
        if config.getoption("dist") in ("each", "worksteal"):
            return None
        progress = Progress()
        config.pluginmanager.register(progress, "dora-progress")
        return AppScheduling(
            config, len(config.getoption("tx")), self._group, self._weigh, progress
        )

    def _group(self, nodeid: str) -> str:
        """The app of a check, the file of any other test."""
        path, *names = nodeid.split("::")
        if len(names) == 2 and names[0] in self._names and names[1] in self._state.known_checks:
            return f"{path}::{names[0]}"
        return path

    def _weigh(self, key: str, nodeids: Sequence[str]) -> float:
        app_id = self._names.get(key.partition("::")[2])
        if app_id is None:
            return 0.0
        checks = [nodeid.rpartition("::")[2] for nodeid in nodeids]
        known = expected_seconds(self._history, app_id, checks)
        return self._typical if known is None else known

    @property
    def _typical(self) -> float:
        """What an app takes of which nothing is known: as long as the others on average."""
        totals = [sum(checks.values()) for checks in self._history.values()]
        return sum(totals) / len(totals) if totals else 1.0
