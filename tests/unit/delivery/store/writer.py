"""A process that appends, to be started (and killed) by the tests of the store.

``writer.py collect ADDRESS TOTAL`` goes on from the progress in small batches.
``writer.py append ADDRESS FILE`` appends the events of a file, by tens, and tells what became of
them; it begins when a line comes on its standard input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pytest_dora.delivery.store import Appended, Progress, Store
from pytest_dora.model.events import Event
from tests.unit.delivery.store.facts import deployment

_BATCH = 7


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def collect(address: str, total: int) -> None:
    with Store.open(address) as store:
        done = store.progress("fly", "shop")
        number = int(str(done.cursor["next"])) if done is not None else 0
        say("begins")
        while number < total:
            following = min(number + _BATCH, total)
            events = [deployment(one) for one in range(number, following)]
            store.append(events, Progress("fly", "shop", {"next": following}))
            number = following


def append(address: str, file: str) -> None:
    events = [Event.model_validate_json(line) for line in Path(file).read_text().splitlines()]
    say("ready")
    sys.stdin.readline()
    done = Appended()
    with Store.open(address) as store:
        for start in range(0, len(events), 10):
            done += store.append(events[start : start + 10])
    say(json.dumps([done.new, done.known, sum(done.refused.values())]))


if __name__ == "__main__":
    if sys.argv[1] == "collect":
        collect(sys.argv[2], int(sys.argv[3]))
    else:
        append(sys.argv[2], sys.argv[3])
