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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, tablespaces
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import SUPERUSER, connect, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.keeper import Keeper, Member, Single
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError, member
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import (
    Untouched,
    UpgradeError,
    gate,
    journal,
    programs,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.journal import Upgrade
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.programs import CONFIGURATION, Side
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.run import as_user

SPARE = 512 * 2**20  # bytes of disk beside the copy, for WAL
MODES = ("copy", "link")


@dataclass(frozen=True)
class Wanted:
    """``version`` is the inventory's, ``confirm`` and ``reason`` are the operator's, ``drills`` records of drills;
    ``scope`` is Patroni's name of the cluster, empty for a server by itself."""

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
    scope: str = ""
    timeout: float = 86400.0

    @property
    def word(self) -> str:
        """What must be typed to give up what was written."""
        return f"{self.host}/{self.name}"

    def server(self, version: int) -> Server:
        return Server(version, self.name, self.port, timeout=self.timeout)

    def keeper(self, side: Side) -> Keeper:
        """Who runs that side's server."""
        server = self.server(side.version)
        return Member(self.scope, server, side.directory) if self.scope else Single(server)


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


def _members(last: Upgrade | None) -> dict[int, Path]:
    """The data directories of this host's member of a Patroni cluster, by major version: its own, and what was kept."""
    places = [Client.of_this_host().directory, *([Path(last.source)] if last else [])]
    files = [place / "PG_VERSION" for place in places]
    return {int(file.read_text(encoding="utf-8")): file.parent for file in files if file.exists()}


def plan(wanted: Wanted, now: float) -> Plan:
    """Says what would be done, and refuses what cannot be. Changes nothing."""
    last = journal.load(wanted.name)
    if last and last.phase == "reverting":
        raise UpgradeError(
            f"going back from {last.new} to {last.old} was not finished: go on with postgresql_version {last.old} and"
            " -e rollback=true"
        )
    if last and last.open:
        if last.new != wanted.version:
            raise UpgradeError(
                f"an upgrade from {last.old} to {last.new} is under way, and postgresql_version is {wanted.version}:"
                f" set it to {last.new} to finish it, or after that to {last.old} with -e rollback=true"
            )
        return Plan(last, [f"goes on with the upgrade {last.run} from {last.old} to {last.new}, at '{last.phase}'"])
    here = _members(last) if wanted.scope else clusters(wanted.name)
    if wanted.version in here:
        told = f"{wanted.name} on {wanted.host} has PostgreSQL {wanted.version} already, as postgresql_version says"
        return Plan(None, [told])
    older = [version for version in here if version < wanted.version]
    if len(older) != 1:
        there = f"clusters of {' and '.join(map(str, sorted(older)))}" if older else "no cluster"
        raise Untouched(
            f"{wanted.host} has {there} named {wanted.name} before {wanted.version}, and there must be one;"
            " -e upgrade_discard=true removes what the last upgrade kept. Nothing was changed"
        )
    if wanted.directory.exists() and any(wanted.directory.iterdir()):
        raise Untouched(f"{wanted.directory} is not empty, and no upgrade made it: move it away. Nothing was changed")
    obstacle = gate.obstacle(wanted.drills, wanted.stanza, now)
    if obstacle and not wanted.reason:
        raise Untouched(
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
        raise Untouched(
            f"{place} has {to_byte_size(free)} free and {to_byte_size(size + SPARE)} are needed for a copy: free space,"
            " or set upgrade_mode=link, which cannot be taken back. Nothing was changed"
        )
    lines = [
        f"{to_byte_size(size)}; everything is unavailable while that is {'linked' * (entry.mode == 'link') or 'copied'}"
    ]
    if wanted.scope:
        lines.append("the cluster's other members are stopped meanwhile, and copy it after its backup")
    elif standbys:
        lines.append(
            "its standbys stay behind: give each an empty host's data and configuration, and site.yml copies it"
        )
    if overridden:
        lines.append(f"not taken over: {overridden}, set by ALTER SYSTEM; set them in postgresql_settings")
    return lines


def sides(wanted: Wanted, entry: Upgrade) -> tuple[Side, Side]:
    """The old and the new one."""
    return (
        Side(entry.old, wanted.name, Path(entry.source)),
        Side(entry.new, wanted.name, Path(entry.directory)),
    )


def prepare(wanted: Wanted, entry: Upgrade) -> Upgrade:
    """A new cluster of the old one's shape, and pg_upgrade's own check, while the old server goes on."""
    if entry.reached("prepared") and entry.phase != "upgrading":
        return entry
    old, new = sides(wanted, entry)
    killed = entry.phase == "upgrading"
    if killed:
        programs.refuse_running(new)  # it has the old files still
    with _giving_up(wanted, old, new):
        if killed:
            _give_up(wanted, old, new)  # the old server serves again
        entry = journal.keep(wanted.name, entry, "preparing")
        new = _initialise(wanted, new)
        programs.pg_upgrade(old, new, link=entry.mode == "link", check=True, timeout=wanted.timeout)
    return journal.keep(wanted.name, entry, "prepared")


def upgrade(wanted: Wanted, entry: Upgrade) -> Upgrade:
    """Stops the old server and upgrades its data. What fails before that is done leaves the old server serving."""
    entry = prepare(wanted, entry)
    if entry.reached("upgraded"):
        return entry
    old, new = sides(wanted, entry)
    with _giving_up(wanted, old, new):
        with closing(connect(port=wanted.port)) as connection, connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        new = replace(new, libraries=_shape(wanted)["libraries"])
        entry = journal.keep(wanted.name, entry, "upgrading", stopped=entry.stopped or time.time())
        keeper = wanted.keeper(old)
        keeper.stop()
        keeper.hold("upgrading")
        programs.pg_upgrade(old, new, link=entry.mode == "link", check=False, timeout=wanted.timeout)
        keeper.hold(programs.identifier(new))
    return journal.keep(wanted.name, entry, "upgraded")


def serve(wanted: Wanted, entry: Upgrade) -> Upgrade:
    """Starts what was upgraded; extensions and statistics follow while clients come in."""
    old, new = sides(wanted, entry)
    if not entry.reached("serving"):
        boot(wanted, new, old)
        _start(wanted, entry, new)
        entry = journal.keep(wanted.name, entry, "serving", served=time.time())
    update_extensions(wanted)
    programs.statistics(new, wanted.port, wanted.timeout)
    return entry


def boot(wanted: Wanted, this: Side, not_that: Side) -> None:
    """Patroni starts by itself."""
    if not wanted.scope:
        not_that.start_at_boot(False)
        this.start_at_boot(True)


def _start(wanted: Wanted, entry: Upgrade, new: Side) -> None:
    try:
        wanted.keeper(new).serve()
    except (PostgresqlError, PatroniError) as error:
        raise UpgradeError(
            f"{error}. The old cluster is whole in {entry.source}: mend that and run upgrade.yml again, or set"
            f" postgresql_version to {entry.old} and go back with -e rollback=true"
        ) from error


@contextmanager
def _giving_up(wanted: Wanted, old: Side, new: Side) -> Iterator[None]:
    """What fails leaves the old server serving, and no upgrade under way."""
    try:
        yield
    except (UpgradeError, PostgresqlError, PatroniError, OSError) as error:
        _give_up(wanted, old, new)
        journal.path(wanted.name).unlink(missing_ok=True)
        raise Untouched(f"{error}. Nothing was upgraded; {old.label} serves") from error


def _shape(wanted: Wanted) -> dict[str, Any]:
    with closing(connect(port=wanted.port)) as connection:
        return programs.shape(connection)


def _initialise(wanted: Wanted, new: Side) -> Side:
    found = _shape(wanted)
    _empty(new)
    programs.initdb(new, found, wanted.timeout)
    return replace(new, libraries=found["libraries"])


def _give_up(wanted: Wanted, old: Side, new: Side) -> None:
    """Back to the old server; nothing of the new cluster stays."""
    if not wanted.scope:
        wanted.keeper(new).stop()
    for side, unit in (
        (old, member.UNIT if wanted.scope else wanted.server(old.version).unit),
        (new, "" if wanted.scope else wanted.server(new.version).unit),
    ):
        programs.stop_stray(side, unit)
    _empty(new)
    show(old)
    wanted.keeper(old).release()
    wanted.keeper(old).serve()


def show(old: Side) -> None:
    """Takes back what ``pg_upgrade --link`` does to the old cluster, so that nobody starts it."""
    hidden = old.directory / "global" / "pg_control.old"
    if hidden.exists():
        hidden.rename(old.directory / "global" / "pg_control")


def _empty(side: Side) -> None:
    """An empty directory of the owner, and none of that version's files in tablespaces."""
    tablespaces.remove_data(side.directory, side.version)
    owner = as_user(SUPERUSER)
    make_directory(side.directory, 0o700)
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


@contextmanager
def alone(wanted: Wanted) -> Iterator[None]:
    """One upgrade at a time. The kernel gives the lock back whatever happens to the holder."""
    make_directory(journal.STATE)
    with journal.path(wanted.name).with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpgradeError("another upgrade is under way on this host; wait for its end") from error
        yield
