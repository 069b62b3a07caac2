# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results that a host's timers leave until a playbook takes them into the evidence store, and the last of each.

Every run leaves a file of JSON Lines of its own, so that nothing is shared and what was taken can simply be removed; no
host needs to reach the evidence store. ``latest.json`` stays: it is what the host itself knows of its last results.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace

DIRECTORY = "/var/lib/slipway/results"
CLOCKED = ("data.backup.", "data.drill.")  # what timers measure again and again, so that a pass follows what failed
KEPT_FILES = 2000  # of hourly runs: twelve weeks without any playbook
_LATEST = "latest.json"

Record = dict[str, Any]


@dataclass
class Spooled:
    """What lies in a spool: records in their order, the files they are in, and those that could not be read."""

    records: list[Record] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Spool:
    """A directory of results. It is made, for root alone, by the first who leaves something."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self.root = Path(directory)

    def leave(self, records: Iterable[Mapping[str, Any]], name: str) -> None:
        """Leaves the results of one run; they are on disk when this returns. ``name`` tells who measured."""
        left = [dict(record) for record in records]
        if not left:
            return
        lines = "".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in left)
        with self._locked():
            name = f"{left[0]['at'].replace(':', '')}-{os.getpid()}-{name}.jsonl"
            replace(self.root / name, lines, 0o640)
            self._remember(left)
            for old in self._files()[:-KEPT_FILES]:
                old.unlink(missing_ok=True)

    def remember(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Keeps results that were measured and recorded elsewhere among this host's last ones."""
        with self._locked():
            self._remember(records)

    def read(self) -> Spooled:
        """Everything that waits to be taken, the oldest first."""
        found = Spooled()
        for path in self._files():
            try:
                records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            except (OSError, ValueError):
                found.damaged.append(path.name)
                continue
            found.records += records
            found.files.append(path.name)
        return found

    def remove(self, files: Iterable[str]) -> list[str]:
        """Removes files that were taken; returns those that were there."""
        removed = []
        for name in files:
            with suppress(FileNotFoundError):
                (self.root / Path(name).name).unlink()
                removed.append(name)
        return removed

    def latest(self) -> list[Record]:
        """The last result of each id and subject that this host left, taken or not."""
        try:
            return json.loads((self.root / _LATEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def _files(self) -> list[Path]:
        return sorted(self.root.glob("[!.]*.jsonl"))

    def _remember(self, records: Iterable[Mapping[str, Any]]) -> None:
        newest: dict[tuple[str, str], Mapping[str, Any]] = {}
        now = timestamp()  # what a wrong clock left of the future gives way to everything else
        for record in sorted([*self.latest(), *records], key=lambda record: (record["at"] <= now, record["at"])):
            newest[record["id"], record["subject"]] = record
        replace(self.root / _LATEST, json.dumps(list(newest.values()), ensure_ascii=False), 0o640)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_directory(self.root, 0o750)
        with (self.root / ".lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
