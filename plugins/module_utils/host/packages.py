# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which packages a host of Debian's family has: one read of dpkg's own file instead of a call of apt a role."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

STATUS = Path("/var/lib/dpkg/status")


def installed(status: str) -> list[str]:
    """The names of the packages that dpkg's status file says are installed, held ones too, sorted."""
    found = set()
    for paragraph in status.split("\n\n"):
        name, state = "", ""
        for line in paragraph.splitlines():
            if line.startswith("Package: "):
                name = line.removeprefix("Package: ").strip()
            elif line.startswith("Status: "):
                state = line.removeprefix("Status: ")
        if name and state.split()[1:] == ["ok", "installed"]:
            found.add(name)
    return sorted(found)


def seen_here() -> list[str]:
    """This host's packages; empty where there is no dpkg."""
    return installed(STATUS.read_text(encoding="utf-8", errors="replace")) if STATUS.exists() else []


def missing(names: Iterable[str], there: Collection[str]) -> list[str]:
    """Those that are not there; so is what only apt can judge, such as a name with a version."""
    return [name for name in names if name not in there]
