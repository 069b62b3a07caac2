# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processes, as the kernel shows them."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"


def newest_child(pid: int) -> float:
    """When the newest child of a process was started, seconds since the epoch to 10 ms; 0 where it has none."""
    ticks = [int(fields[19]) for fields in map(_stat, _PROC.glob("[0-9]*")) if fields and fields[1] == str(pid)]
    if not ticks:
        return 0.0
    uptime = float((_PROC / "uptime").read_text(encoding="ascii").split()[0])
    return time.time() - uptime + max(ticks) / os.sysconf("SC_CLK_TCK")


def listens(address: str, pid: int) -> bool:
    """Whether the user of a process listens on the port of an address.

    Whose a socket is even root may not see in a container; its user everybody sees.
    """
    port = int(address.rpartition(":")[2])
    user = _user(pid)
    sockets = [line.split() for table in ("tcp", "tcp6") for line in _lines(_PROC / "net" / table)[1:]]
    return any(
        socket[3] == _LISTENS and int(socket[1].rpartition(":")[2], 16) == port and socket[7] == user
        for socket in sockets
    )


def _user(pid: int) -> str:
    told = dict(line.partition(":\t")[::2] for line in _lines(_PROC / str(pid) / "status"))
    return told.get("Uid", "").partition("\t")[0]


def _stat(process: Path) -> list[str]:
    """The fields after the name; none of a process that has ended."""
    text = "".join(_lines(process / "stat"))
    return text.rpartition(")")[2].split()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
