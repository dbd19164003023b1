"""What a process of a run did, one flushed line per event, so that its death loses nothing.

``pytest_dora.report.inputs`` reads the lines back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError

from pytest_dora.model.base import Model, utc_now


def plain(model: Model) -> dict[str, Any]:
    """A model as built-in JSON values only, which is all that crosses process borders.

    Text that is no Unicode (half of a surrogate pair from an app's file name) is replaced.
    """
    try:
        text = model.model_dump_json()
    except PydanticSerializationError:
        text = json.dumps(_encodable(model.model_dump(mode="python")), default=str)
    data: dict[str, Any] = json.loads(text)
    return data


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(one) for one in value]
    return value


class Spool:
    """The file of one process; opened when the first event comes."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.jsonl"
        self._file: Any = None

    def started(self, app_id: str, check_id: str) -> None:
        self._write(
            {
                "event": "check_started",
                "app_id": app_id,
                "check_id": check_id,
                "at": utc_now().isoformat(),
            }
        )

    def finished(self, result: dict[str, Any]) -> None:
        self._write({"event": "check_finished", "result": result})

    def facts(self, facts: dict[str, Any]) -> None:
        self._write({"event": "app_facts", "facts": facts})

    def _write(self, event: dict[str, Any]) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        # one write per line: a reader sees whole lines, and nothing waits in a buffer of ours
        self._file.write(json.dumps(event).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
