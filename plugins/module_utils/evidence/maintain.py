# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the evidence store's timer does: remove what is too old, and bring the derived files up to date.

The role installs this with its neighbours as the package ``slipway_evidence`` and runs it with ``python3 -m``.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.evidence.metrics import publish
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import FILE_MODE, Store, key, newest, parsed
from ansible_collections.slipway.ops.plugins.module_utils.host.files import replace, sync_directory

ORPHAN_SECONDS = 86400.0


@dataclass
class Pruned:
    """How many records and artifacts were removed."""

    records: int = 0
    artifacts: int = 0


def prune(store: Store, keep_days: float, now: datetime.datetime | None = None) -> Pruned:
    """Remove records of months that ended more than ``keep_days`` days ago, and artifacts that no record names.

    The newest record of an id and subject is kept however old it is, so that the last word on something does not turn
    into "never measured" - unless that word is ``skip``: so what was retired is forgotten in the end.
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    pruned = Pruned()
    with store.locked():
        expired = [path for path in store.months() if _month_end(path) + datetime.timedelta(days=keep_days) <= now]
        if expired:
            # Derived from what is about to go; the next reading makes it anew.
            (store.root / "latest.json").unlink(missing_ok=True)
            lasting = newest(store.read().records)
            for path in expired:
                pruned.records += _thin_out(path, lasting)
            sync_directory(store.records)
        named = {store.root / name for record in store.read().records for name in record.get("artifacts", [])}
        pruned.artifacts = _sweep(store.artifacts, named, now.timestamp() - ORPHAN_SECONDS)
    return pruned


def _month_end(path: Path) -> datetime.datetime:
    year, month = map(int, path.stem.split("-"))
    return datetime.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=datetime.timezone.utc)


def _thin_out(path: Path, lasting: dict) -> int:
    """Leave only the newest records in a month's file; returns how many lines went."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = []
    for line in lines:
        record = parsed(line)
        if record is not None and record == lasting[key(record)] and record.get("verdict") != "skip":
            kept.append(line.rstrip(b"\n") + b"\n")
    if kept and len(kept) != len(lines):
        replace(path, b"".join(kept), FILE_MODE)
    elif not kept:
        path.unlink()
    return len(lines) - len(kept)


def _sweep(directory: Path, named: set[Path], before: float) -> int:
    """Remove artifacts that no record names and that nobody is about to name, and the directories they leave empty."""
    removed = 0
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir():
            if path.stat().st_mtime < before and not any(path.iterdir()):
                path.rmdir()
        elif path not in named and path.stat().st_mtime < before:
            path.unlink()
            removed += 1
    return removed


def maintain(root: str, keep_days: int) -> str:
    """One run of the timer; returns what it did, for the journal. Nothing is removed when ``keep_days`` is 0."""
    store = Store(root)
    pruned = prune(store, keep_days) if keep_days else Pruned()
    reading = publish(store)
    return (
        f"{root}: removed {pruned.records} records and {pruned.artifacts} artifacts;"
        f" {len(reading.records)} are current, {len(reading.damaged)} lines are damaged"
    )


def main() -> int:
    """Entry point of the timer's service."""
    parser = argparse.ArgumentParser(description="Keep an evidence store small and its metrics current.")
    parser.add_argument("store")
    parser.add_argument("--keep-days", type=int, default=0, help="0 keeps everything")
    arguments = parser.parse_args()
    try:
        print(maintain(arguments.store, arguments.keep_days))
    except (EvidenceError, OSError) as error:
        print(f"evidence store: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
