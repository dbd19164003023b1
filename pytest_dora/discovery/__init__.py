"""A folder becomes an app's plan: how it is installed, built, checked, tested and started.

Everything here reads untrusted files and executes nothing.
"""

from __future__ import annotations

from pathlib import Path

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.recognise import plan_of
from pytest_dora.model.plan import Plan

__all__ = ["discover"]


def discover(root: Path) -> Plan:
    """Read one app's folder.

    Only regular files beneath ``root`` are read, each once and capped in size. Broken files end
    up in ``Plan.errors``, things worth knowing in ``Plan.notes``; an app never raises.
    """
    with Tree(root) as tree:
        return plan_of(tree)
