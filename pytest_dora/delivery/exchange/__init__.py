"""Files of events: our own and those of other tools, in and out.

One module per format turns one document into events, and says why where it cannot. Nothing is
dropped in silence: what is no event is a ``Refused`` with its place.
"""

from pytest_dora.delivery.exchange.edge import Refused
from pytest_dora.delivery.exchange.formats import (
    READABLE,
    WRITABLE,
    UnknownFormat,
    read_events,
    write_events,
)

__all__ = ["READABLE", "WRITABLE", "Refused", "UnknownFormat", "read_events", "write_events"]
