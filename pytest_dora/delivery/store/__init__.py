"""What is known of deliveries, kept: an append-only store of events, in SQLite or PostgreSQL.

The only package that imports SQLAlchemy; import it where it is used.
"""

from pytest_dora.delivery.store.place import StoreError
from pytest_dora.delivery.store.records import Appended, Progress, Reason, Refusal
from pytest_dora.delivery.store.store import Store

__all__ = ["Appended", "Progress", "Reason", "Refusal", "Store", "StoreError"]
