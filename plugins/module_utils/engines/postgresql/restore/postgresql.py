# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A restore of PostgreSQL: planned, and refused, before anything changes; then done in steps that can be resumed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.status import moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, tablespaces
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery_log import newest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import (
    Backup,
    InfoError,
    Stanza,
    find,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import read
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError, journal
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import KEPT, Cluster, fetch
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.target import (
    History,
    Target,
    choose,
    history,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

SOURCE = "postgresql_restore 0.1.0"
SPARE = 512 * 2**20  # bytes of disk beside the restored cluster, for WAL


@dataclass(frozen=True)
class Wanted:
    """``host`` is the inventory's name of this host, ``confirm`` what the operator typed, ``label`` a backup if one is
    named, ``keep`` whether the former data stays beside, ``archive`` whether the restored server archives."""

    cluster: Cluster
    target: Target
    host: str
    run: str
    confirm: str = ""
    label: str = ""
    keep: bool = True
    archive: bool = True

    @property
    def place(self) -> Path:
        return journal.path(self.cluster.version, self.cluster.name)

    @property
    def word(self) -> str:
        """What must be typed to overwrite something."""
        return f"{self.host}/{self.cluster.name}"


@dataclass
class Plan:
    """What would be done. ``newest_wal`` is the archive's last segment so far, ``overwrites`` says over what, empty for
    nothing; ``resumes`` an unfinished restore."""

    backup: Backup
    newest_wal: str
    overwrites: str = ""
    aside: str = ""
    resumes: journal.Journal | None = None
    lines: list[str] = field(default_factory=list)


def plan(wanted: Wanted) -> Plan:
    """Chooses the backup, and refuses what cannot be or was not confirmed. Changes nothing."""
    cluster = wanted.cluster
    if not Path(f"/etc/postgresql/{cluster.version}/{cluster.name}/postgresql.conf").exists():
        raise RestoreError(f"this host has no cluster {cluster.version}/{cluster.name}: run the role postgresql first")
    stanza = _stanza(cluster)
    last = newest(stanza.wal.get(cluster.repository, []))
    backups = stanza.of(cluster.repository)
    backup = choose(backups, wanted.target, _way(wanted, stanza, last), wanted.label)
    former = refuse_unfinished_undo(wanted)
    unfinished = former if former and not former.finished and former.directory == str(cluster.directory) else None
    made = Plan(backup, last, resumes=unfinished)
    if unfinished:
        made.aside = unfinished.aside
        made.lines.append(f"goes on with the restore {unfinished.run}, which ended as '{unfinished.phase}'")
    else:
        _look_at_data(wanted, made)
    _check_space(wanted, made)
    made.lines = [
        f"to {wanted.target.describe()}",
        f"from {backup.label}, finished {moment(backup.stopped)}, {to_byte_size(backup.size)}",
        *made.lines,
    ]
    return made


def refuse_unfinished_undo(wanted: Wanted) -> journal.Journal | None:
    """The last restore, if any. Half of an undo has the former data in place, which a new restore would empty."""
    former = journal.load(wanted.place)
    if former and former.phase == "undoing":
        raise RestoreError("putting the former data back was not finished: go on with -e restore_undo=true")
    return former


def _stanza(cluster: Cluster) -> Stanza:
    try:
        stanza = find(read(cluster.user, cluster.stanza, cluster.repository), cluster.stanza)
    except (PgbackrestError, InfoError) as error:
        raise RestoreError(f"the repository cannot be read: {error}") from error
    if stanza is None:
        raise RestoreError(f"pgBackRest knows no stanza {cluster.stanza}")
    code, message = stanza.repositories.get(cluster.repository, (0, ""))
    if code not in (0, 2):
        told = stanza.trouble(cluster.repository) or " ".join(message.split())
        raise RestoreError(f"repository {cluster.repository} cannot be read: {told}")
    return stanza


def _way(wanted: Wanted, stanza: Stanza, last: str) -> History | None:
    """The history of the timeline that recovery follows; None where each backup stays on its own."""
    if wanted.target.timeline == "current":
        return None
    archives = stanza.wal.get(wanted.cluster.repository, [])
    timeline = int(last[:8] or "1", 16) if wanted.target.timeline == "latest" else int(wanted.target.timeline)
    if timeline == 1 or not archives:
        return History(1, {})
    identity = max(archives, key=lambda entry: int(entry[0].rpartition("-")[2]))[0]
    text = fetch(wanted.cluster, f"archive/{wanted.cluster.stanza}/{identity}/{timeline:08X}.history")
    if not text:
        raise RestoreError(f"the repository has no history of timeline {timeline}")
    return history(timeline, text)


def _look_at_data(wanted: Wanted, made: Plan) -> None:
    cluster = wanted.cluster
    if cluster.running():
        made.overwrites = f"the {cluster.keeper.name}"
    elif cluster.entries:
        made.overwrites = f"the data in {cluster.directory}, whose server is stopped,"
    if not made.overwrites:
        return
    own, latest = cluster.timeline(), int(made.newest_wal[:8] or "0", 16)
    if wanted.archive and wanted.target.timeline == "latest" and own and own < latest:
        raise RestoreError(
            f"the data in {cluster.directory} is on timeline {own}, and the repository's latest is {latest}, which"
            f" would be followed and lacks what changed here: say restore_timeline={own}, or {latest} if that is"
            " meant. Nothing was changed"
        )
    if wanted.confirm != wanted.word:
        raise RestoreError(
            f"{made.overwrites} on {wanted.host} would be replaced by {wanted.target.describe()} from"
            f" {made.backup.label}. To do that type -e restore_confirm={wanted.word}. Nothing was changed"
        )
    if not wanted.keep:
        made.lines.append(f"over {made.overwrites}, which is not kept")
        return
    elsewhere = tablespaces.places(cluster.directory)
    if os.path.ismount(cluster.directory) or elsewhere:
        why = f"has tablespaces in {_listed(elsewhere)}" if elsewhere else "is a mount point"
        raise RestoreError(
            f"the former data cannot be kept beside, for {cluster.directory} {why}: copy it away yourself if it may be"
            " needed, and set restore_keep: false. Nothing was changed"
        )
    made.aside = f"{cluster.directory}{KEPT}{wanted.run}"
    made.lines.append(f"in place of {made.overwrites} which is kept in {made.aside}")
    if earlier := cluster.kept():
        made.lines.append(f"earlier restores kept {_listed(earlier)}: -e restore_discard=true removes it")


def _check_space(wanted: Wanted, made: Plan) -> None:
    """The former data stays where it is, so the restored needs room of its own."""
    if made.overwrites and not wanted.keep:
        return
    directory = wanted.cluster.directory
    place = directory if directory.exists() else directory.parent
    free, needed = shutil.disk_usage(place).free, made.backup.size + SPARE
    if free < needed and not made.resumes:
        raise RestoreError(
            f"{place} has {to_byte_size(free)} free and {to_byte_size(needed)} are needed: free space, or give up the"
            " former data with restore_keep: false. Nothing was changed"
        )


@dataclass
class Outcome:
    """What came out. Phases are seconds by name, ``kept`` is the former data, ``last_change`` RFC 3339."""

    label: str
    kept: str = ""
    timeline: int = 0
    last_change: str | None = None
    carried: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)


def perform(wanted: Wanted, made: Plan) -> Outcome:
    """Does it. Killed at any point, it is finished by the next call, whatever the target of that is."""
    cluster = wanted.cluster
    told = Outcome(made.backup.label, kept=made.aside)
    entry = made.resumes or journal.Journal(
        wanted.run, str(cluster.directory), made.aside, made.backup.label, wanted.target.describe()
    )
    if entry.phase == "recovering" and not cluster.recovering:
        told.label = entry.label  # it had come to its target when it was killed, and has perhaps had new data since
    else:
        entry = _replace_data(wanted, made, entry, told)
    with _timed(told, "recover"):
        try:
            last = cluster.recover()
        except (RestoreError, PostgresqlError) as error:
            back = f" The former data is in {made.aside}; -e restore_undo=true puts it back." if made.aside else ""
            raise RestoreError(f"{error}.{_hint(wanted, str(error))}{back}") from error
        told.timeline = cluster.timeline()
        told.last_change = None if last is None else moment(last)
    journal.keep(wanted.place, entry, "done")
    return told


def _replace_data(wanted: Wanted, made: Plan, entry: journal.Journal, told: Outcome) -> journal.Journal:
    cluster = wanted.cluster
    with _timed(told, "stop"):
        if entry.phase == "stopping":
            entry = journal.keep(wanted.place, entry, "stopping")
        cluster.stop()
        cluster.keeper.hold("restoring")
    if entry.phase == "stopping":
        if entry.aside and not Path(entry.aside).exists():
            cluster.directory.rename(entry.aside)
        cluster.renew()
        entry = journal.keep(wanted.place, entry, "moved")
    with _timed(told, "restore"):
        if made.resumes and (entry.aside or not cluster.can_be_completed):
            cluster.empty()  # half of a restore, perhaps to another target
            cluster.renew()
        cluster.restore(made.backup.label, wanted.target, wanted.archive)
        if entry.aside:
            told.carried = cluster.carry(Path(entry.aside), made.newest_wal)
    return journal.keep(wanted.place, entry, "recovering")


def _hint(wanted: Wanted, error: str) -> str:
    if "before configured recovery target was reached" not in error:
        return ""
    return (
        " It lies before the backup, after everything that is archived, or on another timeline: name an earlier"
        " backup with restore_set, or a timeline with restore_timeline."
    )


def undo_plan(wanted: Wanted) -> str:
    """What would be put back, a sentence. RestoreError where that cannot be or was not confirmed."""
    entry = _last(wanted)
    if entry.phase != "undoing" and not (entry.aside and Path(entry.aside).exists()):
        raise RestoreError(f"the restore {entry.run} kept nothing that could be put back")
    if wanted.confirm != wanted.word:
        raise RestoreError(
            f"what was restored by {entry.run}, and all changes since, would be replaced by {entry.aside}. To do that"
            f" type -e restore_confirm={wanted.word}. Nothing was changed"
        )
    return f"puts {entry.aside} back in place of what was restored by {entry.run}, which is removed"


def undo(wanted: Wanted) -> str:
    """Puts the former data back and starts it; what was restored is removed. Killed, it is gone on with."""
    undo_plan(wanted)
    entry = journal.keep(wanted.place, _last(wanted), "undoing")
    wanted.cluster.stop()
    wanted.cluster.keeper.hold("restoring")
    if Path(entry.aside).exists():
        wanted.cluster.empty()
        shutil.rmtree(entry.directory, ignore_errors=True)
        Path(entry.aside).rename(entry.directory)
    # The restored server may have begun a timeline, which would pass for the latest from now on: a newer one is begun.
    wanted.cluster.leave_timeline()
    wanted.cluster.recover()
    wanted.place.unlink()
    return f"what was there before the restore {entry.run} is back in {entry.directory}"


def discard_plan(wanted: Wanted) -> str:
    """What would be removed, a sentence; empty for nothing."""
    kept = wanted.cluster.kept()
    entry = journal.load(wanted.place)
    if kept and entry and not entry.finished:
        raise RestoreError(f"the restore {entry.run} is not finished; {_listed(kept)} stays")
    return f"what restores kept is removed: {_listed(kept)}" if kept else ""


def discard(wanted: Wanted) -> str:
    """Removes the former data, once the restored one has proved itself; a sentence on it, empty for nothing to do."""
    told = discard_plan(wanted)
    for directory in wanted.cluster.kept():
        shutil.rmtree(directory)
    return told


def _listed(directories: list[Path]) -> str:
    return ", ".join(map(str, directories))


def _last(wanted: Wanted) -> journal.Journal:
    entry = journal.load(wanted.place)
    if entry is None:
        raise RestoreError("no restore was made on this host")
    return entry


@contextmanager
def alone(wanted: Wanted) -> Iterator[None]:
    """One restore at a time. The kernel gives the lock back whatever happens to the holder."""
    make_directory(wanted.place.parent)
    with wanted.place.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RestoreError("another restore is under way on this host; wait for its end") from error
        yield


@contextmanager
def _timed(told: Outcome, name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    told.phases[name] = round(time.monotonic() - began, 3)


def results(wanted: Wanted, began: float, told: Outcome | None, error: str | None) -> list[Result]:
    """What the evidence store keeps of it. ``began`` is Unix time."""
    took = round(time.time() - began, 3)
    common: dict[str, Any] = {
        "area": "data",
        "subject": wanted.cluster.stanza,
        "at": moment(began),
        "took": took,
        "source": SOURCE,
    }
    made = [
        Result(
            id="data.restore.postgresql.result",
            claim=f"{wanted.cluster.stanza} was restored on {wanted.host} to {wanted.target.describe()}",
            verdict="fail" if error else "pass",
            measured=None if error else took,
            unit="s",
            reason=error[:3000] if error else None,
            **common,
        )
    ]
    if told and told.last_change:
        made.append(
            Result(
                id="data.restore.postgresql.last_change",
                claim=f"The newest change in the restored {wanted.cluster.stanza} (timeline {told.timeline})",
                verdict="pass",
                measured=told.last_change,
                unit="",
                **common,
            )
        )
    return made


def lines(told: Outcome) -> list[str]:
    """The end of a restore, for a terminal."""
    phases = ", ".join(f"{name} {to_duration(round(seconds, 1))}" for name, seconds in told.phases.items())
    found = [
        f"restored from {told.label}: {phases}; timeline {told.timeline}, newest change {told.last_change or 'unknown'}"
    ]
    if told.carried:
        found.append(f"WAL beyond the archive's came from the former server's disk: {', '.join(told.carried)}")
    if told.kept:
        found.append(
            f"the former data is in {told.kept}: -e restore_discard=true removes it, -e restore_undo=true puts it back"
        )
    return found
