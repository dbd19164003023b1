"""Items of an app stay together and in the order of the checks, whoever shuffled them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_dora.plugin.nodes import CheckItem
from pytest_dora.plugin.state import RunState


def app_of(item: pytest.Item) -> str | None:
    """The app that an item needs: its own, or the one of its ``dora_app`` fixture."""
    if isinstance(item, CheckItem):
        return item.app.app_id
    callspec = getattr(item, "callspec", None)
    app_id = callspec.params.get("dora_app") if callspec is not None else None
    return app_id if isinstance(app_id, str) else None


class Ordering:
    """Filters by exact ids, then order. Registered last, so that its wrapper is the outermost."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._config = config
        self._state = state
        self._rank = {spec.id: number for number, spec in enumerate(state.specs)}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        dropped = [item for item in items if not self._wanted(item)]
        if dropped:
            items[:] = [item for item in items if self._wanted(item)]
            self._config.hook.pytest_deselected(items=dropped)
        yield
        items[:] = self._ordered(items)

    def _wanted(self, item: pytest.Item) -> bool:
        app_id = app_of(item)
        if app_id is None:
            return True
        if app_id not in self._state.selected_apps:
            return False
        return not isinstance(item, CheckItem) or item.spec.id in self._state.selected_checks

    def _ordered(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Apps where their first item stood; in each its checks, then tests that use it."""
        groups: dict[object, list[pytest.Item]] = {}
        for item in items:
            app_id = app_of(item)
            groups.setdefault(id(item) if app_id is None else app_id, []).append(item)
        return [item for group in groups.values() for item in sorted(group, key=self._place)]

    def _place(self, item: pytest.Item) -> int:
        if isinstance(item, CheckItem):
            return self._rank[item.spec.id]
        return len(self._rank)
