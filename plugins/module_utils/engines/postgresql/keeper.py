# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who runs a server whose data is restored or upgraded: Debian's unit, or Patroni together with other members."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, control
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import ctl, member
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server, settle
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import stop as stop_server
from ansible_collections.slipway.ops.plugins.module_utils.host.run import run

_POLL = 0.5
_LEASE_SECONDS = 90.0  # longer than the lease of any preset
_START_SECONDS = 600.0  # for data that is there and was shut down
# While it recovers nobody but this host's superuser comes in, and it waits for no other server.
_ALONE = {
    "listen_addresses": "",
    "ssl": "off",
    "hot_standby": "off",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
}


class Keeper(Protocol):
    """``unit`` recovers the data, ``name`` is what an operator calls the server."""

    @property
    def unit(self) -> str: ...

    @property
    def name(self) -> str: ...

    def stop(self) -> None:
        """Nobody here runs the server any more."""

    def start(self) -> None:
        """Begins to recover the data."""

    def take_over(self) -> None:
        """Clients may come: the recovered server becomes what it was before."""

    def serve(self) -> None:
        """Runs the data as it is, for clients."""

    def hold(self, identifier: str) -> None:
        """Nobody whose data is not of that system identifier runs it, on any host, until ``release``. Any other word
        keeps out all."""

    def release(self) -> None:
        """Takes ``hold`` back."""


# Patroni compares its data's with what looks like one, of ten digits and more; a cluster of any other word it takes for
# its own to begin.
_NOBODYS = "0000000000"


@dataclass(frozen=True)
class Single:
    """A server by itself, in Debian's unit: what recovers it goes on running it."""

    server: Server

    @property
    def unit(self) -> str:
        return self.server.unit

    @property
    def name(self) -> str:
        return f"live server {self.unit}"

    def stop(self) -> None:
        stop_server(self.server)

    def start(self) -> None:
        systemctl("reset-failed", self.unit)
        systemctl("start", "--no-block", self.unit)

    def take_over(self) -> None:
        """It runs."""

    def serve(self) -> None:
        settle(self.server, False)

    def hold(self, identifier: str) -> None:
        """There is no other host."""

    def release(self) -> None:
        """Nobody was kept out."""


@dataclass(frozen=True)
class Member:
    """A member of Patroni's cluster ``scope``. Patroni comes back when the data is what it shall be: it is recovered in
    a unit of its own before, and etcd forgets the cluster whose history ended."""

    scope: str
    server: Server
    directory: Path
    user: str = "postgres"

    @property
    def unit(self) -> str:
        return f"slipway-restore-{self.server.version}-{self.server.name}.service"

    @property
    def name(self) -> str:
        return f"live cluster {self.scope} of Patroni"

    def stop(self) -> None:
        systemctl("stop", member.UNIT)
        systemctl("stop", self.unit)
        if has_server(self.directory):  # left by a Patroni that is paused or was killed
            run([self._program("pg_ctl"), "-D", str(self.directory), "-m", "fast", "-w", "stop"], self.user, 3600)
        leads = ctl.leader()
        give_up = time.monotonic() + _LEASE_SECONDS
        while leads and time.monotonic() < give_up:
            time.sleep(_POLL)
            leads = ctl.leader()
        if leads:
            systemctl("start", member.UNIT)
            raise PostgresqlError(
                f"{leads} leads {self.scope} after Patroni was stopped here: stop patroni.service on all other members,"
                " or they would go on with the former data. Nothing was changed"
            )

    def start(self) -> None:
        settings = _ALONE | {"port": str(self.server.port)}
        properties = {
            "Type": "exec",
            "KillMode": "mixed",
            "KillSignal": "SIGINT",
            "TimeoutStopSec": "1h",
        }
        systemctl("reset-failed", self.unit)
        argv = [
            "systemd-run",
            "--quiet",
            f"--unit={self.unit}",
            f"--uid={self.user}",
            f"--gid={self.user}",
            *(f"--property={name}={value}" for name, value in properties.items()),
            "--",
            # By its owner: where fs.protected_regular is 2 not even root, which systemd opens it as, may open it.
            *("/bin/sh", "-c", 'exec >>"$0" 2>&1; exec "$@"', str(self.server.log)),
            self._program("postgres"),
            f"--config-file={self.server.configuration}/postgresql.conf",
            f"-D{self.directory}",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise PostgresqlError(f"{self.unit} cannot be started: {ended.stderr.strip()}")

    def take_over(self) -> None:
        systemctl("stop", self.unit)
        if not self._patroni_runs():
            # Data of the same identifier is on the other members: one that came back now would lead with that.
            told = control.read(self.server.version, self.directory, self.user)
            ctl.lead(control.field(told, control.IDENTIFIER))
        self.serve()

    def hold(self, identifier: str) -> None:
        ctl.forget(self.scope)
        ctl.claim(identifier if identifier.isdigit() else _NOBODYS)

    def release(self) -> None:
        if not self._patroni_runs():
            ctl.forget(self.scope)

    def serve(self) -> None:
        timeout = min(self.server.timeout, _START_SECONDS)
        outcome = member.settle(member.Wanted(None, timeout=timeout), check_mode=False)
        if outcome.role != "leader":
            raise PostgresqlError(
                f"the data is in place, but another member leads {self.scope}: stop patroni.service there, and run the"
                " same again"
            )

    def _patroni_runs(self) -> bool:
        """As a run that was killed may have got so far."""
        return systemctl("is-active", member.UNIT).strip() == "active"

    def _program(self, name: str) -> str:
        return f"/usr/lib/postgresql/{self.server.version}/bin/{name}"


def has_server(directory: Path) -> bool:
    """Whether a running server has a data directory; not another program whose number it had before a crash."""
    try:
        pid = int((directory / "postmaster.pid").read_text().split()[0])
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except (OSError, ValueError, IndexError):
        return False


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False).stdout
