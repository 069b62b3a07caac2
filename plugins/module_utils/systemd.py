# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd's units, by ``systemctl``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Systemctl:
    """Runs ``systemctl``. What it refuses is told as ``error``, which is the caller's own."""

    error: type[Exception]

    def __call__(self, *words: str) -> str:
        """What it says."""
        ended = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise self.error(f"systemctl {' '.join(words)} failed: {ended.stderr.strip()}")
        return ended.stdout

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """A unit's properties by name, empty texts for those that it does not have."""
        output = self("show", f"--property={','.join(properties)}", unit)
        return dict.fromkeys(properties, "") | dict(line.partition("=")[::2] for line in output.splitlines())

    def refresh(self, unit: str) -> None:
        """Has systemd read the unit's files again if they are not those that it has read.

        Before version 254 (Debian 12) it does not tell so of a unit's first drop-in: it looks for directories of
        drop-ins at a daemon-reload only.
        """
        read = self.show(unit, "NeedDaemonReload", "DropInPaths")
        there = {str(file) for file in (UNITS / f"{unit}.d").glob("*.conf")}
        if read["NeedDaemonReload"] == "yes" or there - set(read["DropInPaths"].split()):
            self("daemon-reload")
