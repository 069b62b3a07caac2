# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore has done so far, on disk: the next run knows what one that was killed left, and finishes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError
from ansible_collections.slipway.ops.plugins.module_utils.host import files

STATE = Path("/var/lib/slipway/postgresql")

# In their order. Until `moved` the former data is where it was; from `recovering` on the new server may have new data.
# `undoing` follows any of them.
PHASES = ("stopping", "moved", "recovering", "done", "undoing")


@dataclass(frozen=True)
class Journal:
    """``aside`` is where the former data is kept, empty when it is not; ``label`` the backup."""

    run: str
    directory: str
    aside: str
    label: str
    target: str
    phase: str = "stopping"

    @property
    def finished(self) -> bool:
        return self.phase == "done"


def path(version: int, cluster: str) -> Path:
    return STATE / f"{version}-{cluster}.restore.json"


def load(place: Path) -> Journal | None:
    """The last restore of a cluster, None when there was none."""
    try:
        return Journal(**json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise RestoreError(f"{place} is damaged ({error}); remove it when you know whose data is where") from error


def keep(place: Path, journal: Journal, phase: str) -> Journal:
    """Writes that a phase was reached, on disk when this returns."""
    journal = replace(journal, phase=phase)
    write(place, asdict(journal))
    return journal


def write(place: Path, entry: dict[str, Any]) -> None:
    """Whole or not at all, and on disk when this returns."""
    files.make_directory(place.parent)
    files.replace(place, json.dumps(entry))
