# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far an upgrade is, on disk: one that was killed is finished, and one that is over can be taken back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.journal import write
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import UpgradeError

STATE = Path("/var/lib/slipway/postgresql")

# In their order. Until `upgrading` the old server serves. From `upgraded` on the new cluster is whole, from `serving`
# on it may have new data; `done` means that it was backed up too. From `reverting` on it is given up.
PHASES = ("preparing", "prepared", "upgrading", "upgraded", "serving", "done", "reverting", "reverted")


@dataclass(frozen=True)
class Upgrade:
    """Major versions and data directories; ``began``, ``stopped`` and ``served`` are Unix time, the last two of the way
    back once that has begun; ``reason`` is the operator's for going on without a good drill, after what was the matter
    with the drills."""

    run: str
    old: int
    new: int
    source: str
    directory: str
    mode: str
    began: float
    stopped: float = 0.0
    served: float = 0.0
    reason: str = ""
    phase: str = "preparing"

    def reached(self, phase: str) -> bool:
        return PHASES.index(self.phase) >= PHASES.index(phase)

    @property
    def open(self) -> bool:
        """Whether there is something left to do."""
        return self.phase not in ("done", "reverted")

    @property
    def rolled_back(self) -> Path:
        """Where the way back puts the new data."""
        return Path(f"{self.directory}.rolled-back-{self.run}")

    @property
    def downtime(self) -> float:
        """Seconds in which neither server answered."""
        return max(0.0, round(self.served - self.stopped, 3))


def path(name: str) -> Path:
    return STATE / f"{name}.upgrade.json"


def load(name: str) -> Upgrade | None:
    """The last upgrade of a cluster, None when there was none."""
    place = path(name)
    try:
        return Upgrade(**json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UpgradeError(f"{place} is damaged ({error}); remove it when you know whose data is where") from error


def keep(name: str, entry: Upgrade, phase: str, **changes: Any) -> Upgrade:
    """Writes that a phase was reached, on disk when this returns."""
    entry = replace(entry, phase=phase, **changes)
    write(path(name), asdict(entry))
    return entry
