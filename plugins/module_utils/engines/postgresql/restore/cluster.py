# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster's data directory and server, as a restore stops, moves, fills and starts them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import (
    PostgresqlError,
    control,
    tablespaces,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery_log import ending, position
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.tables import Error
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.keeper import (
    Keeper,
    Member,
    Single,
    has_server,
    systemctl,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PROGRAM, words
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.target import Target
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.run import as_user, run

KEPT = ".before-"  # between the data directory's name and the run that put another in its place
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_RECOVERY = (
    "restore_command",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
)
_HEADER = struct.Struct("=HHIQ")  # of a page of WAL: magic number, flags, timeline, its own address
_POLL = 0.1


@dataclass(frozen=True)
class Cluster:
    """One cluster of this host. ``scope`` is Patroni's name of it, empty for a server by itself; ``user`` owns it;
    ``timeout`` is seconds for each long step."""

    version: int
    name: str
    directory: Path
    port: int
    stanza: str
    repository: int
    scope: str = ""
    user: str = "postgres"
    timeout: float = 86400.0

    @property
    def server(self) -> Server:
        return Server(self.version, self.name, self.port, timeout=self.timeout)

    @property
    def keeper(self) -> Keeper:
        """Who runs the server."""
        return Member(self.scope, self.server, self.directory, self.user) if self.scope else Single(self.server)

    @property
    def entries(self) -> int:
        """How much is in the data directory."""
        return len(list(self.directory.iterdir())) if self.directory.exists() else 0

    @property
    def can_be_completed(self) -> bool:
        """Whether pgBackRest takes what is there for half of a restore. In the first moments of one there are only
        directories, over which it refuses to restore, with ``--delta`` too."""
        return any((self.directory / name).exists() for name in ("PG_VERSION", "backup.manifest"))

    @property
    def recovering(self) -> bool:
        """Whether what is there has yet to become a server of its own."""
        return (self.directory / "recovery.signal").exists()

    def running(self) -> bool:
        """Whether a server has the data directory."""
        return has_server(self.directory)

    def timeline(self) -> int:
        """The timeline of the data that is there, 0 when there is none."""
        if self.running():
            with suppress(PostgresqlError, Error), closing(self.connect()) as connection:
                return _timeline(connection)  # the control file may have yet to get it
        return int(_control(self, self.directory, control.TIMELINE) or 0)

    def kept(self) -> list[Path]:
        """Former data beside the data directory, the oldest first."""
        return sorted(self.directory.parent.glob(f"{self.directory.name}{KEPT}*"))

    def empty(self) -> None:
        """Removes what is in the data directory, and its files in tablespaces."""
        tablespaces.remove_data(self.directory, self.version)

    def connect(self) -> Any:
        return connect(port=self.port)

    def stop(self) -> None:
        """Stops the server. The last transaction it gets lets a target of a moment ago be reached."""
        if self.running():
            with suppress(PostgresqlError, Error), closing(self.connect()) as connection:
                # Its replicas may be gone already.
                rows(connection, "SELECT set_config('synchronous_commit', 'local', false), pg_current_xact_id()::text")
        self.keeper.stop()
        if self.running():
            raise RestoreError(
                f"a server that is not the {self.keeper.name} has {self.directory}: stop it first. Nothing was changed"
            )

    def renew(self) -> None:
        """An empty data directory of its owner."""
        owner = as_user(self.user)
        make_directory(self.directory, 0o700)
        os.chown(self.directory, owner["user"], owner["group"])
        self.directory.chmod(0o700)

    def restore(self, label: str, target: Target, archive: bool) -> None:
        """Fills the directory from a backup; what is there already and right is left (``--delta``)."""
        options = [
            f"--stanza={self.stanza}",
            f"--repo={self.repository}",
            f"--pg1-path={self.directory}",
            f"--set={label}",
            *target.options(),
            *([] if archive else ["--archive-mode=off"]),
            *(["--delta"] if self.entries else []),
            "--log-level-console=warn",
            "--log-level-stderr=off",
        ]
        ended = run([PROGRAM, *options, "restore"], self.user, self.timeout)
        if ended.code:
            said = words(ended) or f"nothing, status {ended.code}"
            raise RestoreError(f"backup {label} could not be restored; pgBackRest says: {said}")

    def carry(self, former: Path, newest: str) -> list[str]:
        """Copies the WAL that the archive may lack, so that nothing that the former server had acknowledged is lost.

        ``newest`` is the last segment that the repository had, where recovery looks first; more may have come since.
        """
        if not newest or _identity(self, former) != _identity(self, self.directory):
            return []
        carried = []
        for segment in sorted((former / "pg_wal").iterdir()):
            if segment.name <= newest or not _is_written(segment):
                continue
            place = self.directory / "pg_wal" / segment.name
            shutil.copyfile(segment, place)
            shutil.copymode(segment, place)
            owner = as_user(self.user)
            os.chown(place, owner["user"], owner["group"])
            carried.append(segment.name)
        return carried

    def leave_timeline(self) -> None:
        """Has the stopped server go to the end of its own timeline when it starts, and from there on a new one."""
        get = f'{PROGRAM} --stanza={self.stanza} --repo={self.repository} archive-get %f "%p"'
        with (self.directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(f"restore_command = '{get}'\nrecovery_target_timeline = 'current'\n")
        signal = self.directory / "recovery.signal"
        signal.touch(mode=0o600)
        owner = as_user(self.user)
        os.chown(signal, owner["user"], owner["group"])

    def recover(self) -> float | None:
        """Starts the server, waits until it has come to the target, and lets clients in.

        Answers when the newest transaction was committed that came back, Unix time; None for none.
        """
        self._reach_target()
        moment = self._settled()
        self.keeper.take_over()
        return moment

    def _reach_target(self) -> None:
        log, unit = self.server.log, self.keeper.unit
        said = log.stat().st_size if log.exists() else 0
        if not self.running():  # as a run that was killed may have left it
            self.keeper.start()
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if self._is_primary():
                return
            state = systemctl("show", "--property=ActiveState,NRestarts", unit).split()
            # It can be read for a moment before it ends for want of the target, and then systemd tries again.
            if "ActiveState=failed" in state or not {"NRestarts=0", "NRestarts="} & set(state):
                systemctl("stop", unit)  # systemd would try again for ever
                raise RestoreError(f"the restored server did not come to the target: {_last_words(log, said, unit)}")
            time.sleep(_POLL)
        raise RestoreError(f"the restored server was still recovering after {self.timeout:g} s, and goes on")

    def _is_primary(self) -> bool:
        try:
            with closing(self.connect()) as connection:
                return not rows(connection, "SELECT pg_is_in_recovery()")[0][0]
        except (PostgresqlError, Error):
            return False

    def _settled(self) -> float | None:
        """Forgets the recovery's settings, which a standby would otherwise obey later."""
        with closing(self.connect()) as connection:
            with connection.cursor() as cursor:
                for name in _RECOVERY:
                    cursor.execute(f"ALTER SYSTEM RESET {name}")
            ((_, moment),) = rows(connection, "SELECT pg_reload_conf(), pg_last_xact_replay_timestamp()")
        return None if moment is None else moment.timestamp()


def fetch(cluster: Cluster, file: str) -> str:
    """A small file of the repository, as text; empty when it is not there."""
    quiet = ["--log-level-console=off", "--log-level-stderr=error", "--ignore-missing"]
    argv = [PROGRAM, f"--stanza={cluster.stanza}", f"--repo={cluster.repository}", *quiet, "repo-get", file]
    ended = run(argv, cluster.user, 120)
    if ended.code > 1:  # 1 is a missing file
        raise RestoreError(f"{file} cannot be read from the repository; pgBackRest says: {words(ended)}")
    return ended.output


def _last_words(log: Path, after: int, unit: str) -> str:
    """Why the server ended, from what its log got since it had ``after`` bytes."""
    with log.open("rb") as file:
        file.seek(after)
        return f"{ending(file.read().decode(errors='replace'))} ({unit}, {log})"


def _timeline(connection: Any) -> int:
    """Of a server that takes writes; the control file's of one that replays."""
    ((timeline,),) = rows(
        connection,
        "SELECT CASE WHEN pg_is_in_recovery() THEN to_hex(timeline_id)"
        " ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END FROM pg_control_checkpoint()",
    )
    return int(timeline, 16)


def _is_written(segment: Path) -> bool:
    """Whether it begins with WAL of its own, and is not an old segment that was renamed to be written over."""
    if not _SEGMENT.fullmatch(segment.name):
        return False
    with segment.open("rb") as file:
        header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return False
    _, _, timeline, address = _HEADER.unpack(header)
    first, _ = position(segment.name, segment.stat().st_size)
    return (timeline, address) == (int(segment.name[:8], 16), first)


def _identity(cluster: Cluster, directory: Path) -> str:
    """The system identifier of the data in a directory."""
    return _control(cluster, directory, control.IDENTIFIER) or f"none in {directory}"


def _control(cluster: Cluster, directory: Path, name: str) -> str:
    return control.field(control.read(cluster.version, directory, cluster.user), name)
