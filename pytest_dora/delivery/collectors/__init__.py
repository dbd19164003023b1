"""Readers of services that saw deployments and incidents, one module each.

A collector turns what one service says of one scope (a repository, an app, a server) into events,
in batches. A batch carries the place from which to go on, and both are stored in one transaction:
a collection that is killed goes on where its last batch ended.
"""

from pytest_dora.delivery.collectors.base import Batch, CollectError, Collector, Scope

__all__ = ["Batch", "CollectError", "Collector", "Scope"]
