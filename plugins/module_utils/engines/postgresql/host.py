# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much of a host a database server may use: memory, cores and the disk below its data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60  # cgroup v1 writes a huge number for "no limit"
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Host:
    """``memory`` and ``disk`` are bytes; ``disk`` is the size of the whole file system."""

    memory: int
    cores: int
    disk: int


def look(directory: str) -> Host:
    """This host, and the file system that holds the directory or will."""
    path = Path(directory)
    while not path.exists():
        path = path.parent
    size = os.statvfs(path)
    return Host(_memory(), len(os.sched_getaffinity(0)), size.f_blocks * size.f_frsize)


def _memory() -> int:
    """The machine's memory, or the limit of the container that this is."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [Path(name).read_text().strip() for name in _LIMITS if Path(name).exists()]
    return min([installed, *(int(limit) for limit in limits if limit.isdigit() and int(limit) < _NO_LIMIT)])
