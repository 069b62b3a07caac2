# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for a recovering server: until it can be read, has replayed all there is, has come to a named moment.

Each wait ends with a reason when the server ended, when WAL is missing in the archive, and when it takes too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery_log import (
    given,
    line,
    lsn,
    newest,
    position,
    stuck,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.scratch import Scratch
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.tables import Point

ERRORS = Path("/var/spool/pgbackrest/archive")  # where asynchronous archiving leaves its errors
POLL = 0.2
STILL = 2.0  # seconds without progress after which the last segment counts as replayed
STUCK = 8.0  # seconds without progress after which what the archive says is final


@dataclass
class Recovery:
    """``archives`` tells the segments in the repository, ``port`` is the source's; seconds: ``archive_wait`` for a
    segment to arrive, ``patience`` for the whole."""

    scratch: Scratch
    port: int
    archives: Callable[[], Sequence[Sequence[str]]]
    archive_wait: float
    patience: float

    def until_readable(self) -> None:
        """Until it is consistent and answers a query."""
        began = since = time.monotonic()
        segments = 0
        while not self.scratch.answers():
            self.scratch.check_alive()
            now = given(self.scratch.words)
            if now != segments:
                segments, since = now, time.monotonic()
            self._give_up_when_stuck(since)
            if time.monotonic() - began > self.patience:
                last = line(self.scratch.words[-300:])
                raise DrillError(f"the copy cannot be read after {to_duration(self.patience)}; its log ends: {last}")
            time.sleep(POLL)

    def until_all_is_replayed(self) -> float | None:
        """Until everything is replayed that is archived by now; seconds since the newest change that came back."""
        deadline = time.monotonic() + self.patience
        seen, since = -1, time.monotonic()
        with closing(self.scratch.connect()) as copy:
            ((size,),) = rows(copy, "SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'")
            now = time.time()
            first, after = position(newest(self.archives()) or "0" * 24, size)
            while time.monotonic() < deadline:
                ((told,),) = rows(copy, "SELECT pg_last_wal_replay_lsn()::text")
                replayed = lsn(told or "0/0")
                if replayed != seen:
                    seen, since = replayed, time.monotonic()
                # A record that goes on in the next segment keeps the last one from being replayed to its end.
                if replayed >= after or (replayed >= first and time.monotonic() - since > STILL):
                    return _lost(copy, now)
                self._give_up_when_stuck(since)
                self.scratch.check_alive()
                time.sleep(POLL)
        raise DrillError(f"the archived WAL was not replayed within {to_duration(self.patience)}")

    def until_promoted(self, point: Point) -> None:
        """Until the segment of the point is archived, and the copy has come to it and is a server of its own."""
        started = since = time.monotonic()
        seen = ""
        with closing(self.scratch.connect()) as copy, closing(connect(port=self.port)) as source:
            while time.monotonic() < started + self.patience:
                self.scratch.check_alive()
                ((recovering, told),) = rows(copy, "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text")
                if not recovering:
                    return
                if told != seen:
                    seen, since = told, time.monotonic()
                ((archived,),) = rows(source, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
                if archived[8:24] >= point.segment[8:24]:
                    self._give_up_when_stuck(since)
                elif time.monotonic() - started > self.archive_wait:
                    raise DrillError(self._not_archived(point))
                time.sleep(POLL)
        raise DrillError(f"the copy did not come to {point.name} within {to_duration(self.patience)}")

    def _give_up_when_stuck(self, since: float) -> None:
        """DrillError when recovery waits for WAL that cannot be read, or that is missing while there is later one."""
        if time.monotonic() - since < STUCK:
            return
        found = stuck(self.scratch.words)
        if found.error:
            raise DrillError(f"recovery cannot go on; pgBackRest says: {found.error}")
        last = newest(self.archives())
        if found.segment and found.segment[8:] <= last[8:]:
            raise DrillError(
                f"WAL segment {found.segment} is missing in the repository, which has later ones up to {last}: what"
                " changed since then cannot be recovered; make a full backup now"
            )

    def _not_archived(self, point: Point) -> str:
        told = []
        for path in sorted((ERRORS / self.scratch.stanza / "out").glob("*.error")):
            with suppress(OSError):
                told.append(" ".join(path.read_text(errors="replace").split()))
        says = f"; pgBackRest says: {told[0][:500]}" if told else ""
        return (
            f"the source's WAL segment {point.segment} did not arrive in the repository within"
            f" {to_duration(self.archive_wait)}, so changes are not being saved{says}"
        )


def _lost(connection: Any, now: float) -> float | None:
    """Seconds since the newest change that came back: the heartbeat, or any transaction where there is none."""
    ((found,),) = rows(connection, "SELECT to_regclass('slipway.heartbeat') IS NOT NULL")
    query = "SELECT max(at) FROM slipway.heartbeat" if found else "SELECT pg_last_xact_replay_timestamp()"
    ((moment,),) = rows(connection, query)
    return None if moment is None else round(max(0.0, now - moment.timestamp()), 3)
