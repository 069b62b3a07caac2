# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The latest evidence as a node-exporter textfile, so that failed or stale evidence raises alerts."""

from __future__ import annotations

import os

from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Reading, Record, Store
from ansible_collections.slipway.ops.plugins.module_utils.host.files import replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import Sample, family

FILE = "slipway_evidence.prom"
LEVELS = {"skip": -1, "pass": 0, "warn": 1, "fail": 2, "unknown": 3}


def publish(store: Store) -> Reading:
    """Bring what is derived from the records up to date: ``latest.json`` and the metrics."""
    try:
        reading = store.keep_latest()
        replace(store.metrics / FILE, exposition(reading), 0o644)
    except OSError as error:
        name = os.fsdecode(error.filename or store.root)
        raise EvidenceError(f"recorded, but {name} could not be written: {error.strerror or error}") from error
    return reading


def exposition(reading: Reading) -> str:
    """The metrics in Prometheus' text format."""
    records = sorted(reading.records, key=lambda record: (record["id"], record["subject"]))
    numbers = [record for record in records if isinstance(record.get("measured"), (int, float))]
    verdicts: list[Sample] = [(_labels(record), LEVELS.get(record.get("verdict", ""), 3)) for record in records]
    moments: list[Sample] = [(_labels(record), parse_time(record["at"]).timestamp()) for record in records]
    told: dict[str, tuple[str, list[Sample]]] = {
        "verdict": ("Latest verdict: -1 skip, 0 pass, 1 warn, 2 fail, 3 unknown.", verdicts),
        "timestamp_seconds": ("When the latest measurement began, Unix time.", moments),
        "measured": (
            "Latest number that was measured, in the unit of its label.",
            [(_labels(record, "unit"), record["measured"]) for record in numbers],
        ),
        "damaged_lines": ("Lines of the store that could not be read.", [({}, len(reading.damaged))]),
    }
    return "".join(family(f"slipway_evidence_{name}", "gauge", *one) for name, one in told.items())


def _labels(record: Record, *more: str) -> dict[str, str]:
    return {name: str(record.get(name, "")) for name in ("id", "subject", "area", *more)}
