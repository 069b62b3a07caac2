# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PostgreSQL cluster goes to another major version with pg_upgrade, and back while the old one is kept."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..directory import remove_contents
from ..pgbackrest.command import as_user
from ..postgresql import PostgresqlError
from ..postgresql.connection import SUPERUSER, connect, rows
from ..postgresql.server import Server, settle, stop
from ..units import to_byte_size, to_duration
from . import UpgradeError, gate, journal, programs
from .journal import Upgrade
from .programs import CONFIGURATION, Side

SPARE = 512 * 2**20  # bytes of disk beside the copy, for WAL
MODES = ("copy", "link")


@dataclass(frozen=True)
class Wanted:
    """``version`` is the inventory's, ``confirm`` and ``reason`` are the operator's, ``drills`` records of drills."""

    version: int
    name: str
    directory: Path
    port: int
    host: str
    run: str
    stanza: str = "main"
    mode: str = "copy"
    reason: str = ""
    confirm: str = ""
    drills: Sequence[Mapping[str, Any]] = ()
    timeout: float = 86400.0

    @property
    def word(self) -> str:
        """What must be typed to give up what was written."""
        return f"{self.host}/{self.name}"

    def server(self, version: int) -> Server:
        return Server(version, self.name, self.port, timeout=self.timeout)


@dataclass
class Plan:
    """What would be done; ``entry`` is None when there is nothing to do."""

    entry: Upgrade | None = None
    lines: list[str] = field(default_factory=list)


def clusters(name: str, root: Path = CONFIGURATION) -> dict[int, Path]:
    """The data directories of the clusters of this name that hold data, by major version."""
    found = {}
    for file in root.glob(f"*/{name}/postgresql.conf"):
        told = re.findall(r"^\s*data_directory\s*=\s*'([^']*)'", file.read_text(encoding="utf-8"), re.MULTILINE)
        version = file.parent.parent.name
        directory = Path(told[-1]) if told else None
        if version.isdigit() and directory and (directory / "PG_VERSION").exists():
            found[int(version)] = directory
    return found


def plan(wanted: Wanted, now: float) -> Plan:
    """Says what would be done, and refuses what cannot be. Changes nothing."""
    last = journal.load(wanted.name)
    if last and last.open:
        if last.new != wanted.version:
            raise UpgradeError(
                f"an upgrade from {last.old} to {last.new} is under way, and postgresql_version is {wanted.version}:"
                f" set it to {last.new} to finish it, or after that to {last.old} with -e rollback=true"
            )
        return Plan(last, [f"goes on with the upgrade {last.run} from {last.old} to {last.new}, at '{last.phase}'"])
    here = clusters(wanted.name)
    if wanted.version in here:
        return Plan(None, [f"{wanted.name} on {wanted.host} has PostgreSQL {wanted.version} already"])
    older = [version for version in here if version < wanted.version]
    if len(older) != 1:
        there = f"clusters of {' and '.join(map(str, sorted(older)))}" if older else "no cluster"
        raise UpgradeError(
            f"{wanted.host} has {there} named {wanted.name} before {wanted.version}, and there must be one;"
            " -e upgrade_discard=true removes what the last upgrade kept. Nothing was changed"
        )
    if wanted.directory.exists() and any(wanted.directory.iterdir()):
        raise UpgradeError(
            f"{wanted.directory} is not empty, and no upgrade made it: move it away. Nothing was changed"
        )
    obstacle = gate.obstacle(wanted.drills, wanted.stanza, now)
    if obstacle and not wanted.reason:
        raise UpgradeError(
            f"{obstacle}. Run drill.yml first; to go on without type -e \"upgrade_reason='why'\", which is recorded."
            " Nothing was changed"
        )
    reason = f"{obstacle}; went on because: {wanted.reason}" if obstacle else ""
    entry = Upgrade(
        wanted.run,
        older[0],
        wanted.version,
        str(here[older[0]]),
        str(wanted.directory),
        wanted.mode,
        now,
        reason=reason,
    )
    back = "the old files cannot be gone back to once the new server has started" if wanted.mode == "link" else "kept"
    lines = [f"from {entry.old} in {entry.source} to {entry.new} in {entry.directory}, by {entry.mode} ({back})"]
    return Plan(entry, [*lines, *_look(wanted, entry), *([reason] if reason else [])])


def _look(wanted: Wanted, entry: Upgrade) -> list[str]:
    """What only the running old server knows."""
    with closing(connect(port=wanted.port)) as connection:
        version, standby, size, standbys, overridden = rows(
            connection,
            "SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),"
            " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),"
            " (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical'),"
            " (SELECT string_agg(name, ', ') FROM pg_file_settings WHERE sourcefile ~ 'postgresql[.]auto[.]conf$')",
        )[0]
    if version != entry.old or standby:
        what = f"PostgreSQL {version}" if version != entry.old else "a standby"
        raise UpgradeError(f"what answers on port {wanted.port} is {what}, not the primary of {entry.source}")
    place = next(path for path in (wanted.directory, *wanted.directory.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if entry.mode == "copy" and free < size + SPARE:
        raise UpgradeError(
            f"{place} has {to_byte_size(free)} free and {to_byte_size(size + SPARE)} are needed for a copy: free space,"
            " or set upgrade_mode=link, which cannot be taken back. Nothing was changed"
        )
    lines = [
        f"{to_byte_size(size)}; everything is unavailable while that is {'linked' * (entry.mode == 'link') or 'copied'}"
    ]
    if standbys:
        lines.append(
            "its standbys stay behind: give each an empty host's data and configuration, and site.yml copies it"
        )
    if overridden:
        lines.append(f"not taken over: {overridden}, set by ALTER SYSTEM; set them in postgresql_settings")
    return lines


def perform(wanted: Wanted, entry: Upgrade) -> Upgrade:
    """Does it, or what is left of it. Until pg_upgrade has ended, a failure leaves the old server serving."""
    old = Side(entry.old, wanted.name, Path(entry.source))
    new = Side(entry.new, wanted.name, Path(entry.directory))
    if not entry.reached("upgraded"):
        entry = _make(wanted, entry, old, new)
    if not entry.reached("serving"):
        old.start_at_boot(False)
        new.start_at_boot(True)
        _start(wanted, entry)
        entry = journal.keep(wanted.name, entry, "serving", served=time.time())
    update_extensions(wanted)
    programs.statistics(new, wanted.port, wanted.timeout)
    return entry


def _start(wanted: Wanted, entry: Upgrade) -> None:
    try:
        settle(wanted.server(entry.new), False)
    except PostgresqlError as error:
        raise UpgradeError(
            f"{error}. The old cluster is whole in {entry.source}: mend that and run upgrade.yml again, or set"
            f" postgresql_version to {entry.old} and go back with -e rollback=true"
        ) from error


def _make(wanted: Wanted, entry: Upgrade, old: Side, new: Side) -> Upgrade:
    try:
        if entry.phase == "preparing":
            entry = _prepare(wanted, entry, old, new)
        else:
            programs.refuse_running(new)
            _give_up(wanted, entry, old, new)  # of a run that was killed; the old server serves again
            entry = _prepare(wanted, journal.keep(wanted.name, entry, "preparing"), old, new)
        with closing(connect(port=wanted.port)) as connection, connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        entry = journal.keep(wanted.name, entry, "upgrading", stopped=entry.stopped or time.time())
        stop(wanted.server(entry.old))
        programs.pg_upgrade(old, new, link=entry.mode == "link", check=False, timeout=wanted.timeout)
    except (UpgradeError, PostgresqlError, OSError) as error:
        _give_up(wanted, entry, old, new)
        journal.path(wanted.name).unlink(missing_ok=True)
        raise UpgradeError(f"{error}. Nothing was upgraded; {old.label} serves") from error
    return journal.keep(wanted.name, entry, "upgraded")


def _prepare(wanted: Wanted, entry: Upgrade, old: Side, new: Side) -> Upgrade:
    """A new cluster of the old one's shape, and pg_upgrade's own check while the old server goes on."""
    entry = journal.keep(wanted.name, entry, "preparing")
    with closing(connect(port=wanted.port)) as connection:
        found = programs.shape(connection)
    _empty(new)
    programs.initdb(new, found, wanted.timeout)
    programs.pg_upgrade(old, new, link=entry.mode == "link", check=True, timeout=wanted.timeout)
    return entry


def _give_up(wanted: Wanted, entry: Upgrade, old: Side, new: Side) -> None:
    """Back to the old server; nothing of the new cluster stays."""
    stop(wanted.server(entry.new))
    for side in (old, new):
        programs.stop_stray(side)
    _empty(new)
    hidden = old.directory / "global" / "pg_control.old"  # what pg_upgrade --link does to it
    if hidden.exists():
        hidden.rename(old.directory / "global" / "pg_control")
    settle(wanted.server(entry.old), False)


def _empty(side: Side) -> None:
    """An empty directory of the owner, and none of that version's files in tablespaces."""
    for link in (side.directory / "pg_tblspc").glob("*"):
        for left in link.glob(f"PG_{side.version}_*"):
            shutil.rmtree(left)
    remove_contents(side.directory)
    owner = as_user(SUPERUSER)
    side.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(side.directory, owner["user"], owner["group"])


def update_extensions(wanted: Wanted) -> list[str]:
    """Brings extensions to what the new version's packages have."""
    updated = []
    with closing(connect(port=wanted.port)) as connection:
        databases = [name for (name,) in rows(connection, "SELECT datname FROM pg_database WHERE datallowconn")]
    for database in databases:
        with closing(connect(database, wanted.port)) as connection, connection.cursor() as cursor:
            for name, statement in rows(
                connection,
                "SELECT name, format('ALTER EXTENSION %I UPDATE', name) FROM pg_available_extensions"
                " WHERE installed_version <> default_version",
            ):
                cursor.execute(statement)
                updated.append(f"{name} in {database}")
    return updated


def finish(wanted: Wanted) -> Upgrade | None:
    """The upgrade is over; None when none was under way."""
    entry = journal.load(wanted.name)
    if entry is None or entry.phase != "serving":
        return None
    return journal.keep(wanted.name, entry, "done")


def check_revert(wanted: Wanted, now: float) -> Upgrade:
    """The upgrade that is taken back; UpgradeError where that cannot be or was not confirmed."""
    entry = journal.load(wanted.name)
    if entry is None or entry.phase == "reverted" or not entry.reached("upgraded"):
        raise UpgradeError(
            f"{wanted.host} has no upgrade of {wanted.name} that could be taken back. Nothing was changed"
        )
    if wanted.version != entry.old:
        raise UpgradeError(
            f"set postgresql_version back to {entry.old} in the inventory first, which says {wanted.version}."
            " Nothing was changed"
        )
    if entry.mode == "link" and entry.reached("serving"):
        raise UpgradeError(
            f"the new server has written into the files of {entry.source}, which were linked and not copied. Restore"
            " the backup from before the upgrade with restore.yml and restore_set. Nothing was changed"
        )
    if not (Path(entry.source) / "PG_VERSION").exists():
        raise UpgradeError(f"the old data in {entry.source} is gone: it was removed. Nothing was changed")
    if wanted.confirm != wanted.word:
        ago = f", for {to_duration(max(0, round(now - entry.served)))}" if entry.served else ""
        raise UpgradeError(
            f"everything written since the upgrade {entry.run}{ago}, would be lost from the server; its files would"
            f" stay beside. To do that type -e upgrade_confirm={wanted.word}. Nothing was changed"
        )
    return entry


def revert(wanted: Wanted) -> tuple[Upgrade, float, str]:
    """Goes back to the kept old cluster: the upgrade, seconds without a server, where the new data is now."""
    entry = check_revert(wanted, time.time())
    old = Side(entry.old, wanted.name, Path(entry.source))
    new = Side(entry.new, wanted.name, Path(entry.directory))
    began = time.time()
    new.start_at_boot(False)
    stop(wanted.server(entry.new))
    aside = new.directory.with_name(f"{new.directory.name}.rolled-back-{entry.run}")
    if new.directory.exists() and not aside.exists():
        new.directory.rename(aside)
    hidden = old.directory / "global" / "pg_control.old"
    if hidden.exists():
        hidden.rename(old.directory / "global" / "pg_control")
    old.start_at_boot(True)
    settle(wanted.server(entry.old), False)
    gone = round(time.time() - began, 3)
    return journal.keep(wanted.name, entry, "reverted"), gone, str(aside)


def discard(wanted: Wanted) -> str:
    """Removes what an upgrade that is over kept; a sentence on it, empty for nothing to do."""
    entry = journal.load(wanted.name)
    if entry is None:
        return ""
    if entry.open:
        raise UpgradeError(f"the upgrade {entry.run} is not finished; everything stays")
    if entry.phase == "done":
        kept = Path(entry.source)
        shutil.rmtree(CONFIGURATION / str(entry.old) / wanted.name, ignore_errors=True)
    else:
        kept = Path(f"{entry.directory}.rolled-back-{entry.run}")
    shutil.rmtree(kept, ignore_errors=True)
    journal.path(wanted.name).unlink()
    return f"{kept} was removed"


@contextmanager
def alone(wanted: Wanted) -> Iterator[None]:
    """One upgrade at a time. The kernel gives the lock back whatever happens to the holder."""
    journal.STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with journal.path(wanted.name).with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpgradeError("another upgrade is under way on this host; wait for its end") from error
        yield
