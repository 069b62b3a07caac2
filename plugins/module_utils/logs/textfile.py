# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that a reader, or a crash, sees as they were or as they are: states, and textfiles for the node exporter."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Sample = tuple[str, float]


def replace(path: Path, content: str, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def read_state(path: Path) -> dict[str, Any]:
    """What was remembered; nothing, when there is nothing or it was damaged."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def family(name: str, kind: str, explanation: str, samples: Iterable[Sample]) -> str:
    """One metric in Prometheus' text format."""
    lines = [f"# HELP slipway_logs_{name} {explanation}", f"# TYPE slipway_logs_{name} {kind}"]
    lines += [f"slipway_logs_{name}{labels} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def publish(directory: Path, name: str, families: Iterable[str]) -> None:
    """A host without a node exporter has no directory, and nobody who would read."""
    if directory.is_dir():
        replace(directory / name, "".join(families), 0o644)
