"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pydantic_core


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, and only once its content is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def to_json(value: Any) -> bytes:
    """Readable JSON of models and plain values; what is no number is null."""
    return pydantic_core.to_json(value, indent=1, inf_nan_mode="null") + b"\n"
