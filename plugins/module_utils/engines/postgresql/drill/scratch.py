# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The scratch server of a drill: restored beside its source, reachable by a socket alone, archiving nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.scope import Scope
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.recovery_log import ending
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PROGRAM, words
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.run import as_user

MARK = ".slipway-drill"  # whose directory it is
PORT = 5432  # of the socket in a directory of the drill's own; nothing listens on the network
SOCKET = Path("/run/slipway-drill-postgresql")
# A standby refuses to start with less than its primary had.
_AT_LEAST = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_transactions": "max_prepared_xacts",
    "max_locks_per_transaction": "max_locks_per_xact",
}
# Whatever the source has, in its files or by ALTER SYSTEM: the copy talks to nobody, and runs no jobs.
_SILENT = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "external_pid_file": "",
    "ssl": "off",
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
    "max_logical_replication_workers": 0,
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "autovacuum": "off",
    "hot_standby": "on",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "lc_messages": "C",
    "cluster_name": "slipway-drill",
    "wal_retrieve_retry_interval": "500ms",
    "recovery_target": "",
    "recovery_target_time": "",
    "recovery_target_xid": "",
    "recovery_target_lsn": "",
    "recovery_target_timeline": "latest",
    "recovery_target_action": "promote",
    "recovery_min_apply_delay": 0,
}


@dataclass
class Scratch:
    """``root`` holds everything of the drill on disk; ``programs`` is where PostgreSQL's own are."""

    root: Path
    programs: Path
    stanza: str
    repository: int
    scope: Scope
    preload: str = ""
    timeout: float = 6 * 3600.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def words(self) -> str:
        """All that the server said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def prepare(self) -> None:
        """Empty directories of the server's user, in place of what an earlier drill left."""
        if self.root.exists() and any(self.root.iterdir()) and not (self.root / MARK).exists():
            raise DrillError(
                f"{self.root} is not empty and no drill made it; it was not touched: move it away, or set another"
                " directory"
            )
        self.clean()
        owner = as_user(self.scope.user)
        for path in (self.root, self.data, self.root / "tablespaces", SOCKET):
            make_directory(path, 0o700)
            os.chown(path, owner["user"], owner["group"])
            (self.root / MARK).touch()
        for name, text in (("postgresql.conf", ""), ("pg_hba.conf", "local all postgres peer map=drill\n")):
            (self.root / name).write_text(text)
        (self.root / "pg_ident.conf").write_text("drill postgres postgres\ndrill root postgres\n")
        self.log.touch()

    def clean(self) -> None:
        """Ends and removes everything of this drill and of earlier ones."""
        self.stop(signal.SIGQUIT, 5.0)
        self.scope.sweep()
        shutil.rmtree(SOCKET, ignore_errors=True)
        if (self.root / MARK).exists():
            shutil.rmtree(self.root, ignore_errors=True)

    def restore(self, label: str) -> None:
        """Restores one backup as a standby; tablespaces go below ``root`` and never where the source has its own."""
        options = [
            *self._common(),
            f"--set={label}",
            f"--spool-path={self.root}/spool",
            "--type=standby",
            "--job-retry=1",
            "--archive-mode=off",
            f"--tablespace-map-all={self.root}/tablespaces",
            "--log-level-console=warn",
            "--log-level-stderr=off",
        ]
        ended = self.scope.run("restore", [PROGRAM, *options, "restore"], self.timeout)
        if ended.code:
            said = words(ended) or f"nothing, status {ended.code}"
            raise DrillError(f"backup {label} cannot be restored; pgBackRest says: {said}")

    def _common(self) -> list[str]:
        """Locks are the drill's own, so that it is in nobody's way; no log file either."""
        return [
            f"--stanza={self.stanza}",
            f"--repo={self.repository}",
            f"--pg1-path={self.data}",
            f"--lock-path={self.root}/lock",
            "--log-level-file=off",
        ]

    def start(self, target: str, least: Mapping[str, int]) -> None:
        """Starts it as a standby that becomes a server of its own at the restore point ``target``.

        ``least`` is what the source has of the settings of which a standby must have as much.
        """
        get = [PROGRAM, *self._common(), "--no-archive-async", "--log-level-console=info", "--log-level-stderr=off"]
        settings = {
            **_SILENT,
            **self._sizes(least),
            "unix_socket_directories": SOCKET,
            "config_file": self.root / "postgresql.conf",
            "hba_file": self.root / "pg_hba.conf",
            "ident_file": self.root / "pg_ident.conf",
            "shared_preload_libraries": self.preload,
            "restore_command": f'{" ".join(get)} archive-get %f "%p"',
            "recovery_target_name": target,
        }
        program = [str(self.programs / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            program += ["-c", f"{name}={value}"]
        self.process = self.scope.start("server", program, self.log)

    def _sizes(self, least: Mapping[str, int]) -> dict[str, int]:
        ended = self.scope.run("control", [str(self.programs / "pg_controldata"), str(self.data)], 60)
        told = dict(re.findall(r"^(\w+) setting:\s+(\d+)$", ended.output, re.MULTILINE))
        return {name: max(int(told.get(shown, 0)), least.get(name, 0)) for name, shown in _AT_LEAST.items()}

    def connect(self, database: str = "postgres") -> Any:
        """A connection; PostgresqlError while the server does not take any."""
        return connect(database, PORT, socket=str(SOCKET))

    def answers(self) -> bool:
        """Whether it can be read."""
        try:
            self.connect().close()
        except PostgresqlError:
            return False
        return True

    def check_alive(self) -> None:
        """DrillError with the server's last words once it has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise DrillError(f"the restored server ended with status {self.process.returncode}: {ending(self.words)}")

    def stop(self, how: signal.Signals = signal.SIGINT, patience: float = 300.0) -> None:
        """Stops the server, by default in order."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        deadline = time.monotonic() + patience
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.process.poll() is None:
            self.scope.sweep()
            self.process.wait()

    def amcheck(self, timeout: float) -> None:
        """Checks every table and index; DrillError with the first things that are wrong."""
        program = [
            str(self.programs / "pg_amcheck"),
            "--all",
            "--install-missing",
            "--heapallindexed",
            f"--host={SOCKET}",
            f"--port={PORT}",
            f"--username={self.scope.user}",
            "--no-password",
        ]
        ended = self.scope.run("amcheck", program, timeout)
        if ended.code:
            told = [line.strip() for line in (ended.output + ended.errors).splitlines() if line.strip()]
            raise DrillError(f"pg_amcheck found damage in the restored server: {' '.join(told[:4])}")

    def checksums(self, timeout: float) -> bool:
        """Checks every page of the stopped server; false when the cluster has no checksums."""
        ended = self.scope.run(
            "checksums", [str(self.programs / "pg_checksums"), "--check", "-D", str(self.data)], timeout
        )
        if "checksums are not enabled" in ended.errors:
            return False
        if ended.code:
            told = [line.strip() for line in ended.errors.splitlines() if line.strip()]
            raise DrillError(f"pg_checksums found damaged pages in the restored server: {' '.join(told[:4])}")
        return True
