"""What backups and drills of a PostgreSQL of 31 GiB leave in the evidence store, as their own code writes it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Phase
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Compared, Report
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import results as measured
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits as BackupLimits
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status
from ansible_collections.slipway.ops.plugins.module_utils.data.status import results as state

GIB = 2**30
SIZE = round(31.2 * GIB)
HASH = "-4211907712358"
Record = Callable[..., dict[str, Any]]

# Hours before now, seconds of restore, start and replay, and why it failed.
DRILLS = (
    (24 * 58, 231.0, 2.6, 17.1, None),
    (24 * 51, 236.4, 2.5, 22.0, None),
    (24 * 44, 0.0, 0.0, 0.0, "WAL segment 0000000100000042000000A1 is missing in the repository, which has later ones"),
    (24 * 42, 240.9, 2.7, 19.8, None),
    (24 * 37, 244.1, 2.4, 31.6, None),
    (24 * 30, 248.8, 2.6, 18.3, None),
    (24 * 23, 251.0, 2.5, 24.9, None),
    (24 * 16, 259.7, 2.8, 20.2, None),
    (24 * 9, 262.3, 2.6, 27.4, None),
    (24 * 2.2, 268.4, 2.7, 23.5, None),
)


def drill(
    record: Record,
    now: datetime.datetime,
    hours: float,
    restore: float,
    start: float,
    replay: float,
    reason: str | None,
) -> list[dict[str, Any]]:
    """The records of one drill."""
    names = (("restore", "Restore", restore), ("start", "Start", start), ("replay", "Replay", replay))
    report = Report(
        engine="postgresql",
        subject="main",
        run="r",
        at=timestamp(now - datetime.timedelta(hours=hours)),
        took=restore * 3 + 41.0,
        size=SIZE,
        expected_size=200 * GIB,
        phases=[Phase(name, title, seconds) for name, title, seconds in names],
        parts=("restore", "start", "replay"),
        moving=restore + replay,
        rto=None if reason else round(restore + start + replay, 3),
        rpo=None if reason else 43.2,
        tables=None if reason else [Compared("shop.public.orders", 1840221, HASH, 1840221, HASH)],
        pages_checked=None if reason else True,
        reason=reason,
    )
    whole = record("", "main", "")
    return [{**whole, **result.as_dict(), "run": f"drill-{hours:g}"} for result in measured(report)]


def runs(record: Record) -> list[dict[str, Any]]:
    """Backups and verifications, the oldest first."""
    made: dict[str, Any] = {"source": "slipway-backup 0.1.0"}
    found = []
    for day in range(13, -1, -1):
        took = 611.0 - 4 * day
        found.append(
            record("data.backup.full", "main", "A full backup", took, "s", took=took, hours=24 * day + 10, **made)
        )
    for back in range(30, -1, -1):
        skipped: dict[str, Any] = (
            {"verdict": "skip", "reason": "another backup of main is running"} if back == 9 else {}
        )
        took = 21.4 + back % 5
        one = record("data.backup.incr", "main", "Incremental", took, "s", took=took, hours=back + 0.6, **made)
        found.append(one | ({"measured": None, **skipped} if skipped else {}))
    for week in range(7, -1, -1):
        reason = {"verdict": "fail", "reason": "WAL segment is missing"} if week == 6 else {}
        found.append(
            record("data.backup.verified", "main", "Verified", 148.0, "s", took=148.0, hours=24 * 7 * week + 83, **made)
            | reason
        )
    return found


def evidence(record: Record, now: datetime.datetime) -> list[dict[str, Any]]:
    """The newest records."""
    newest = {(one["id"], one["subject"]): one for one in runs(record)}
    limits = BackupLimits(age=3 * 3600.0)
    known = Status("postgresql", "main", age=2060.0, size=SIZE, limits=limits)
    whole = record("", "main", "", hours=0.6)
    database: dict[str, Any] = {"source": "health_check/postgresql 0.1.0"}
    return [
        *newest.values(),
        *({**whole, **result.as_dict(), "at": whole["at"]} for result in state(known)),
        record("data.backup.age", "backup1", "The newest PostgreSQL backup is young enough", 0.9, "h", limit="<= 3"),
        *drill(record, now, *DRILLS[-1]),
        record("data.postgresql.pool_use", "db1", "Connections to spare", 31.0, "%", limit="< 80", **database),
        record("data.postgresql.pool_use", "db2", "Connections to spare", 4.0, "%", limit="< 80", **database),
        record("data.postgresql.index_hits", "shop on db1", "Memory serves", 99.2, "%", limit="> 95", **database),
        record("data.postgresql.mean_query_time", "db1", "Fast statements", 3.8, "ms", limit="< 50", **database),
        record(
            "data.postgresql.replication_lag", "db1", "Standbys are not behind", 0.04, "s", limit="< 10", **database
        ),
    ]


def history(record: Record, now: datetime.datetime) -> list[dict[str, Any]]:
    """What came before the newest."""
    return [*runs(record)[:-1], *(one for past in DRILLS[:-1] for one in drill(record, now, *past))]
