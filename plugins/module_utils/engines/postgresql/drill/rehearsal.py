# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drill of PostgreSQL: the newest backup restored beside its source, brought to a named moment, and compared."""

from __future__ import annotations

import fcntl
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Course, Phase, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Compared, Limits, Report, difference
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.scope import Scope, Weight
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery import Recovery
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery_log import line
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.scratch import PORT, SOCKET, Scratch
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.tables import (
    Content,
    Error,
    Table,
    content,
    held,
    open_canonical,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import (
    Backup,
    InfoError,
    Stanza,
    find,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import label, read

ENGINE = "postgresql"
LOCK = Path("/run/lock/slipway-drill-postgresql.lock")
SPARE = 512 * 2**20  # bytes of disk beside the restored cluster, for WAL
RTO_PHASES = ("restore", "start", "replay")
MOVING = ("restore", "replay")
_SHARED = """
SELECT name, setting::int FROM pg_settings WHERE name IN ('max_connections', 'max_worker_processes', 'max_wal_senders',
  'max_prepared_transactions', 'max_locks_per_transaction')
"""


@dataclass(frozen=True)
class Plan:
    """What to drill. ``exclude`` are patterns of tables (``database.schema.table``) that are not compared, ``preload``
    libraries without which the copy does not start, ``archive_wait`` seconds for WAL to arrive, ``timeout`` seconds for
    each long step, ``expected_size`` bytes that the cluster is expected to grow to, 0 when nobody said."""

    stanza: str = "main"
    repository: int = 1
    repositories: list[int] = field(default_factory=lambda: [1])
    user: str = "postgres"
    version: int = 17
    port: int = 5432
    directory: str = "/var/lib/postgresql/slipway-drill"
    exclude: list[str] = field(default_factory=list)
    preload: str = ""
    archive_wait: float = 180.0
    timeout: float = 6 * 3600.0
    expected_size: int = 0
    limits: Limits = field(default_factory=Limits)
    weight: Weight = field(default_factory=Weight)

    @property
    def subject(self) -> str:
        """What backup_info calls this backup."""
        return label(self.stanza, self.repository, self.repositories)

    def scratch(self) -> Scratch:
        scope = Scope(ENGINE, self.user, self.weight)
        programs = Path(f"/usr/lib/postgresql/{self.version}/bin")
        root = Path(self.directory)
        return Scratch(root, programs, self.stanza, self.repository, scope, self.preload, self.timeout)


def plan(data: Mapping[str, Any]) -> Plan:
    """The plan that plain data of the role describes."""
    given = dict(data)
    return Plan(**{**given, "limits": Limits(**given["limits"]), "weight": Weight(**given["weight"])})


def drill(wanted: Plan, run: str, tell: Tell) -> Report:
    """Makes the drill. Whatever happens, nothing of it is left; why it failed is in the report."""
    report = Report(ENGINE, wanted.subject, run, timestamp(), limits=wanted.limits, parts=RTO_PHASES)
    report.expected_size = wanted.expected_size or None
    course = Course(tell, report.phases)
    try:
        with _alone():
            if _is_standby(wanted):
                # A subject of its own: it must not stand in for what the primary's drill found.
                report.subject = f"{wanted.subject} on {socket.gethostname()}"
                report.skipped = "this server is a standby; its primary is drilled"
            else:
                _Drill(wanted, report, course).perform()
    except Busy as busy:
        report.skip(str(busy))
    except DrillError as error:
        report.reason = str(error)
    except (PostgresqlError, PgbackrestError, InfoError, Error, OSError) as error:
        report.reason = f"the drill met an obstacle: {line(str(error))}"
    report.took = round(time.monotonic() - course.began, 3)
    return report


def sweep(wanted: Plan) -> None:
    """Removes what a drill that was killed left; Busy while one is under way."""
    with _alone():
        wanted.scratch().clean()


@contextmanager
def _alone() -> Iterator[None]:
    """One drill at a time on this host. The kernel gives the lock back whatever happens to the holder."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy("another drill of PostgreSQL is under way on this host; wait for its end") from error
        yield


def _is_standby(wanted: Plan) -> bool:
    with closing(connect(port=wanted.port)) as source:
        return bool(rows(source, "SELECT pg_is_in_recovery()")[0][0])


class _Drill:
    """One drill. Each method is a phase or a few."""

    def __init__(self, wanted: Plan, report: Report, course: Course) -> None:
        self.wanted, self.report, self.course = wanted, report, course
        self.scratch = wanted.scratch()
        self.recovery = Recovery(
            self.scratch,
            wanted.port,
            lambda: self._stanza().wal.get(wanted.repository, []),
            wanted.archive_wait,
            wanted.timeout,
        )
        self.name = f"slipway-drill-{report.run}"

    def perform(self) -> None:
        with self.course.phase("look", "Look") as phase:
            backup = self._look(phase)
        try:
            with self.course.phase("prepare", "Prepare a scratch directory") as phase:
                self.scratch.prepare()
                phase.note = str(self.scratch.root)
            self._measure(backup)
            self._compare()
            with self.course.phase("amcheck", "Check tables and indexes") as phase:
                self.scratch.amcheck(self.wanted.timeout)
                phase.note = "pg_amcheck found nothing"
            with self.course.phase("checksums", "Check every page") as phase:
                self.scratch.stop()
                self.report.pages_checked = self.scratch.checksums(self.wanted.timeout)
                phase.note = "all are right" if self.report.pages_checked else "the cluster has no checksums"
        finally:
            with self.course.phase("clean", "Clean up"):
                self.scratch.clean()
        if self.report.different:
            raise DrillError(difference(self.report.different))

    def _look(self, phase: Phase) -> Backup:
        """The newest backup, when a restore of it can be tried at all."""
        subject, limit = self.wanted.subject, self.wanted.limits.age
        good = [backup for backup in self._stanza().of(self.wanted.repository) if not backup.error]
        if not good:
            raise DrillError(f"there is no backup of {subject} to restore: make one with backup.yml -e type=full")
        backup, age = good[-1], time.time() - good[-1].stopped
        self.report.size = backup.size
        self.report.backup = {"label": backup.label, "kind": backup.kind, "age": round(age, 1), "size": backup.size}
        if limit is not None and age > limit:
            raise DrillError(
                f"the newest backup of {subject}, {backup.label}, is {to_duration(round(age))} old, more than"
                f" {to_duration(limit)}: find out why none was made since"
            )
        if not (self.scratch.programs / "postgres").exists():
            raise DrillError(
                f"{self.scratch.programs}/postgres is not there: PostgreSQL {self.wanted.version} is not installed"
            )
        self._check_space(backup)
        phase.note = f"{backup.label}, {to_duration(round(age))} old, {to_byte_size(backup.size)}"
        return backup

    def _check_space(self, backup: Backup) -> None:
        root = self.scratch.root
        place = next(path for path in (root, *root.parents) if path.exists())
        free, needed = shutil.disk_usage(place).free, backup.size * 11 // 10 + SPARE
        if free < needed:
            raise DrillError(
                f"{place} has {to_byte_size(free)} free, and restoring {backup.label} beside its source needs"
                f" {to_byte_size(needed)}: free space, or set drill_directory to a larger disk"
            )

    def _stanza(self) -> Stanza:
        wanted = self.wanted
        try:
            stanza = find(read(wanted.user, wanted.stanza, wanted.repository), wanted.stanza)
        except (PgbackrestError, InfoError) as error:
            raise DrillError(f"the repository of {wanted.subject} cannot be read: {error}") from error
        if stanza is None:
            raise DrillError(f"pgBackRest knows no stanza {wanted.stanza}: run the role pgbackrest")
        code, message = stanza.repositories.get(wanted.repository, (0, ""))
        if not stanza.of(wanted.repository) and code not in (0, 2):
            told = stanza.trouble(wanted.repository) or line(message)
            raise DrillError(f"the repository of {wanted.subject} cannot be read: {told}")
        return stanza

    def _measure(self, backup: Backup) -> None:
        """RTO and RPO: as if the source were lost at this moment."""
        report, course = self.report, self.course
        with course.phase("restore", "Restore") as phase:
            self.scratch.restore(backup.label)
            phase.note = f"{to_byte_size(backup.size)} of {backup.label}"
        with course.phase("start", "Start until it is consistent and can be read"):
            with closing(connect(port=self.wanted.port)) as source:
                least = dict(rows(source, _SHARED))
            self.scratch.start(self.name, least)
            self.recovery.until_readable()
        with course.phase("replay", "Replay all that is archived") as phase:
            report.rpo = self.recovery.until_all_is_replayed()
            known = report.rpo is not None
            phase.note = (
                f"{to_duration(round(report.rpo or 0, 1))} would be lost" if known else "it has no change to tell by"
            )
        report.rto, report.moving = course.seconds(*RTO_PHASES), course.seconds(*MOVING)

    def _compare(self) -> None:
        """Both sides at the same moment, table by table."""
        report, course = self.report, self.course
        with ExitStack() as stack:
            with course.phase("point", "Hold the source's writers for a restore point") as phase:
                point = stack.enter_context(held(self.name, self.wanted.port, self.wanted.exclude))
                report.fenced = point.held
                phase.note = f"for {round(1000 * point.held)} ms; {len(point.tables)} tables"
            with course.phase("source", "Read the source at that moment") as phase:
                theirs = point.contents()
                phase.note = f"{sum(one.rows for one in theirs.values())} rows"
        with course.phase("reach", "Bring the copy to that moment") as phase:
            self.recovery.until_promoted(point)
            phase.note = self.name
        with course.phase("compare", "Compare every table") as phase:
            ours = _contents(point.tables)
            report.tables = [_compared(table, theirs[table], ours.get(table)) for table in point.tables]
            phase.note = f"{len(report.tables) - len(report.different)} of {len(report.tables)} are the same"
            if report.different:
                phase.verdict, phase.note = "fail", difference(report.different)


def _contents(tables: list[Table]) -> dict[Table, Content]:
    """What the copy has of these tables; what it lacks is left out."""
    found: dict[Table, Content] = {}
    for database in dict.fromkeys(table.database for table in tables):
        try:
            connection = open_canonical(database, PORT, str(SOCKET))
        except PostgresqlError:
            continue
        with closing(connection):
            for table in tables:
                if table.database == database:
                    ((there,),) = rows(connection, "SELECT to_regclass(%s) IS NOT NULL", (table.sql,))
                    if there:
                        found[table] = content(connection, table)
    return found


def _compared(table: Table, theirs: Content, ours: Content | None) -> Compared:
    return Compared(table.name, theirs.rows, theirs.hash, ours.rows if ours else None, ours.hash if ours else None)
