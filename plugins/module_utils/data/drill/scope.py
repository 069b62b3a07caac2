# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs of a drill run in systemd scopes of their own, with little weight and memory, and are found after a kill."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended, environment, run

NAME = "slipway-drill"


@dataclass(frozen=True)
class Weight:
    """How much a drill may take from its neighbours: shares of 100 under contention, and memory before it is slowed."""

    cpu: int = 20
    io: int = 20
    memory: str = "1G"


@dataclass(frozen=True)
class Scope:
    """Runs programs as ``user``; ``engine`` is part of the scopes' names, so that one engine's leftovers are known."""

    engine: str
    user: str
    weight: Weight

    def argv(self, what: str, program: Sequence[str]) -> list[str]:
        """The command line that runs a program within a scope; it becomes the program."""
        limits = {
            "CPUWeight": self.weight.cpu,
            "IOWeight": self.weight.io,
            "MemoryHigh": self.weight.memory or "infinity",
        }
        return [
            "systemd-run",
            "--scope",
            "--quiet",
            "--collect",
            f"--unit={NAME}-{self.engine}-{what}",
            *(f"--property={name}={value}" for name, value in limits.items()),
            f"--uid={self.user}",
            f"--gid={self.user}",
            "--",
            *program,
        ]

    def run(self, what: str, program: Sequence[str], timeout: float) -> Ended:
        """Runs a program to its end."""
        return run(self.argv(what, program), "root", timeout)

    def start(self, what: str, program: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Starts a program whose output goes to a file."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.argv(what, program),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env=environment(),
            )

    def sweep(self) -> None:
        """Ends whatever still runs in this engine's scopes."""
        pattern = f"{NAME}-{self.engine}-*.scope"
        subprocess.run(["systemctl", "kill", "--signal=SIGKILL", pattern], capture_output=True, check=False)
        subprocess.run(["systemctl", "stop", pattern], capture_output=True, check=False)
