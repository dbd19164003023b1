"""The parts of ``pytest-dora`` that are about delivery: record, import, export, collect, metrics."""

from typing import Any

from pytest_dora.delivery.commands.common import CommandError
from pytest_dora.delivery.commands.files import add_export, add_import
from pytest_dora.delivery.commands.reading import add_collect, add_metrics
from pytest_dora.delivery.commands.record import add_record

__all__ = ["CommandError", "add_to"]


def add_to(commands: Any) -> None:
    """Add every one to what ``ArgumentParser.add_subparsers`` gave."""
    for add in (add_record, add_import, add_export, add_collect, add_metrics):
        add(commands)
