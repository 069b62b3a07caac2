# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The running server: started, reloaded when its files are newer than what it has read, restarted only when it asks.

Everything is decided from what the server and systemd say, not from what a run remembers: whatever a killed run left
undone, the next one does.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import SUPERUSER, connect, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.ports import strangers
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl

_POLL = 0.1
_systemctl = Systemctl(PostgresqlError)
_BAD = re.compile("FATAL|PANIC|HINT|LOG:  could not|Failed|No such file")
_RELOAD_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_STREAMING = "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'"


@dataclass(frozen=True)
class Server:
    """``sources`` are files outside the configuration that a reload takes over, such as certificates; seconds."""

    version: int
    name: str
    port: int
    sources: tuple[str, ...] = ()
    may_restart: bool = True
    timeout: float = 300.0

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-{self.name}.service"

    @property
    def log(self) -> Path:
        return Path(f"/var/log/postgresql/postgresql-{self.version}-{self.name}.log")

    @property
    def configuration(self) -> Path:
        return Path("/etc/postgresql") / str(self.version) / self.name


@dataclass
class Outcome:
    """What was done, each a sentence, and what an operator should hear."""

    actions: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    in_recovery: bool | None = None


def settle(server: Server, check_mode: bool) -> Outcome:
    """Brings the running server to what its files say."""
    outcome = Outcome()
    if not check_mode:
        _systemctl.refresh(server.unit)
    if _unit_state(server)["ActiveState"] not in ("active", "reloading", "refreshing"):
        outcome.actions.append(f"started {server.unit}")
        if check_mode:
            return outcome
        _start(server)
    with closing(_connect(server)) as connection:
        if _is_stale(server, connection):
            outcome.actions.append(f"reloaded {server.unit}")
            if not check_mode:
                _reload(server, connection)
        _refuse_bad_files(connection)
        outcome.pending = _pending(connection)
    if outcome.pending:
        _apply_pending(server, outcome, check_mode)
    with closing(_connect(server)) as connection:
        _refuse_strangers(connection)
        outcome.in_recovery = rows(connection, "SELECT pg_is_in_recovery()")[0][0]
        outcome.notices += _overridden(connection)
        outcome.notices += _left_behind(connection) if outcome.in_recovery else _lost_slots(connection)
    return outcome


def follows(server: Server) -> bool:
    """Whether it is a standby that receives its source's log at this moment."""
    try:
        with closing(connect(port=_running_port(server))) as connection:
            return bool(rows(connection, _STREAMING))
    except PostgresqlError:
        return False


def stop(server: Server) -> None:
    """Stops the server, if it runs."""
    _systemctl("stop", server.unit)


def _apply_pending(server: Server, outcome: Outcome, check_mode: bool) -> None:
    names = ", ".join(outcome.pending)
    if not server.may_restart:
        outcome.notices.append(
            f"{names}: only a restart applies this, and postgresql_restart is false. Run with"
            f" -e postgresql_restart=true when a pause of some seconds suits, or: systemctl restart {server.unit}"
        )
        return
    outcome.actions.append(f"restarted {server.unit} for {names}")
    if not check_mode:
        _restart(server)


def _start(server: Server) -> None:
    began, written = time.time(), _size(server.log)
    if _unit_state(server)["SubState"].startswith("auto-restart"):
        stop(server)  # systemd waits for its next try; one that is replaying its log is left to it
    _systemctl("start", "--no-block", server.unit)
    give_up = time.monotonic() + server.timeout
    while True:
        state = _unit_state(server)
        if state["ActiveState"] == "active":
            return
        if state["ActiveState"] in ("failed", "inactive") and state["Job"] in ("", "0"):
            raise PostgresqlError(
                f"{server.unit} does not start ({state['Result']}): {_last_words(server, began, written)}"
            )
        if int(state["NRestarts"] or 0) > 2:
            raise PostgresqlError(
                f"{server.unit} fails to start, and systemd goes on trying: {_last_words(server, began, written)}"
            )
        if time.monotonic() >= give_up:
            # It may be replaying its log for longer than that: it is left to it.
            raise PostgresqlError(
                f"{server.unit} was not ready after {server.timeout:g} s and goes on starting:"
                f" {_last_words(server, began, written)}"
            )
        time.sleep(_POLL)


def _restart(server: Server) -> None:
    """A checkpoint first, so that the pause is short."""
    with closing(_connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    stop(server)
    _start(server)


def _connect(server: Server) -> Any:
    return connect(port=_running_port(server), wait=server.timeout)


def _reload(server: Server, connection: Any) -> None:
    """Returns when the server has read its files again."""
    before = rows(connection, "SELECT pg_conf_load_time()")
    _systemctl("reload", server.unit)
    give_up = time.monotonic() + _RELOAD_SECONDS
    while rows(connection, "SELECT pg_conf_load_time()") == before:
        if time.monotonic() >= give_up:
            raise PostgresqlError(
                f"{server.unit} did not read its files again within {_RELOAD_SECONDS:g} s after a reload"
            )
        time.sleep(_POLL)


def _is_stale(server: Server, connection: Any) -> bool:
    """Whether a file is newer than the server's last look at it."""
    loaded = float(rows(connection, "SELECT extract(epoch FROM pg_conf_load_time())")[0][0])
    return _newest(_files(server)) > loaded


def _files(server: Server) -> Iterable[Path]:
    yield from (server.configuration / name for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"))
    yield from (server.configuration / "conf.d").glob("*.conf")
    yield from map(Path, server.sources)


def _newest(files: Iterable[Path]) -> float:
    """When the newest was changed or put in its place; a rename sets the second."""
    return max((max(file.stat().st_mtime, file.stat().st_ctime) for file in files if file.exists()), default=0.0)


def _refuse_bad_files(connection: Any) -> None:
    """Lines that the server passed over in silence."""
    bad = rows(
        connection,
        "SELECT format('%s:%s %s %s', sourcefile, sourceline, name, error) FROM pg_file_settings"
        # What waits for a restart has an error here too; where its line was removed, one without a place.
        " WHERE error IS NOT NULL AND sourcefile <> ''"
        " AND coalesce(name, '') NOT IN (SELECT name FROM pg_settings WHERE pending_restart)"
        " UNION ALL SELECT format('pg_hba.conf:%s %s', line_number, error) FROM pg_hba_file_rules"
        " WHERE error IS NOT NULL",
    )
    if bad:
        raise PostgresqlError("the server refuses: " + "; ".join(row[0] for row in bad))


def _refuse_strangers(connection: Any) -> None:
    port, addresses = rows(connection, "SELECT current_setting('port')::int, current_setting('listen_addresses')")[0]
    found = strangers(port, [address.strip() for address in addresses.split(",")], SUPERUSER)
    if found:
        raise PostgresqlError(
            f"another program listens on {', '.join(found)} and gets the connections that are meant for this server,"
            " which runs without that address. Stop it and restart this server, or change postgresql_port or"
            " postgresql_addresses"
        )


def _pending(connection: Any) -> list[str]:
    """Settings that only a restart applies; those of a recovery are nothing to a server whose recovery is over."""
    waiting = rows(
        connection,
        "SELECT name FROM pg_settings WHERE pending_restart"
        " AND (pg_is_in_recovery() OR NOT starts_with(name, 'recovery_target')) ORDER BY name",
    )
    return [name for (name,) in waiting]


def _overridden(connection: Any) -> list[str]:
    found = rows(
        connection,
        "SELECT DISTINCT automatic.name FROM pg_file_settings automatic JOIN pg_file_settings written USING (name)"
        " WHERE automatic.sourcefile ~ '/postgresql[.]auto[.]conf$'"
        " AND written.sourcefile !~ '/postgresql[.]auto[.]conf$'",
    )
    names = ", ".join(sorted(name for (name,) in found))
    return (
        [f"ALTER SYSTEM has set {names}, which wins over the inventory; ALTER SYSTEM RESET undoes it"] if found else []
    )


def _left_behind(connection: Any) -> list[str]:
    """A standby that has just been started gets a moment to reach its primary."""
    if rows(connection, "SELECT pg_is_wal_replay_paused()")[0][0]:
        return [
            "this standby has stopped replaying; the server's log says why. When the primary allows more connections or"
            " workers, run the role here with the same settings"
        ]
    give_up = time.monotonic() + _CONNECT_SECONDS
    while not rows(connection, _STREAMING):
        if time.monotonic() >= give_up:
            return [
                "this standby receives nothing from its primary; the server's log says why. When the primary no longer"
                " has what it needs (its slot is lost), run with -e postgresql_rejoin=true to copy it anew"
            ]
        time.sleep(_POLL)
    return []


def _lost_slots(connection: Any) -> list[str]:
    lost = rows(connection, "SELECT slot_name FROM pg_replication_slots WHERE wal_status = 'lost'")
    return [
        f"the slot {name} is lost: its standby was away for more than max_slot_wal_keep_size. Run the role on it with"
        " -e postgresql_rejoin=true"
        for (name,) in lost
    ]


def _running_port(server: Server) -> int:
    """The port of the running server, which may wait for a restart to get another one."""
    data = _data_directory(server)
    try:
        lines = (data / "postmaster.pid").read_text().splitlines() if data else []
    except OSError:
        lines = []
    return int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else server.port


def _data_directory(server: Server) -> Path | None:
    for line in (server.configuration / "postgresql.conf").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "data_directory":
            return Path(value.strip().strip("'"))
    return None


def _unit_state(server: Server) -> dict[str, str]:
    return _systemctl.show(server.unit, "ActiveState", "SubState", "Result", "NRestarts", "Job")


def _last_words(server: Server, began: float, written: int) -> str:
    """The last errors since a start, of the unit (before the server has its log) and of the server's log."""
    journal = ("journalctl", "--no-pager", "--output=cat", f"--since=@{began:.0f}", f"--unit={server.unit}")
    told = _program(*journal).stdout.splitlines()
    if server.log.exists():
        with server.log.open(errors="replace") as log:
            log.seek(written)
            told += log.read().splitlines()
    errors = [line.partition("] ")[2] or line for line in told if _BAD.search(line)]
    return " / ".join(list(dict.fromkeys(errors))[-3:]) or f"see journalctl -u {server.unit} and {server.log}"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _program(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
