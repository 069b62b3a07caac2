# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""disk: room on the file system that holds a path, or on every other one, in bytes and in inodes, as `df` counts."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import absolute_path, flag, limit_in, option

_MOUNTS = Path("/proc/self/mounts")
# Whose room is another host's affair, or that of the file system beneath.
_ELSEWHERE = re.compile(r"nfs4?|cifs|smb3|ceph|glusterfs|9p|autofs|overlay|fuse.*")


@dataclass(frozen=True, kw_only=True)
class Disk(Check):
    KIND = "disk"
    AREA = "infrastructure"

    path: str = option(absolute_path, "/")
    others: bool = option(flag, False)
    used: Limit = option(limit_in("%"), "< 90 %")
    free: Limit | None = option(limit_in("By"), None)
    inodes: Limit = option(limit_in("%"), "< 90 %")

    @property
    def aspect(self) -> str:
        return "others" if self.others else self.path

    @property
    def statement(self) -> str:
        which = "Every other file system than that" if self.others else "The file system"
        return f"{which} of {self.path} has room: used {self.used}" + (f", free {self.free}" if self.free else "")

    async def measure(self, client: HttpClient) -> list[Finding]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Finding]:
        try:
            if not self.others:
                return self._findings(self.path, os.statvfs(self.path))
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            rest = others(mounts, device_of(self.path))
            found = [one for place, size in rest for one in self._findings(place, size)]
        except FileNotFoundError as error:
            raise CheckFailed(f"{error.filename} is not there") from error
        except OSError as error:
            raise CheckUnknown(f"the room of {error.filename} cannot be told: {error.strerror}") from error
        return found or [Finding("skip", reason=f"there is no other file system than that of {self.path}")]

    def _findings(self, place: str, size: os.statvfs_result) -> list[Finding]:
        used = size.f_blocks - size.f_bfree
        findings = [within(self.used, _share(used, size.f_bavail), "%", f"used space of {place}")]
        if self.free:
            findings.append(within(self.free, size.f_bavail * size.f_frsize, "By", f"free space of {place}"))
        if size.f_files:  # btrfs and some network file systems count none
            inodes = _share(size.f_files - size.f_ffree, size.f_favail)
            findings.append(within(self.inodes, inodes, "%", f"used inodes of {place}"))
        return findings


def device_of(place: str) -> int:
    """The number of the device that a place is on."""
    return Path(place).stat().st_dev


def others(mounts: Iterable[str], home: int) -> Iterator[tuple[str, os.statvfs_result]]:
    """The writable file systems of this host beside the one of device ``home``, each once, with their sizes."""
    seen = {home}
    for line in mounts:
        _, place, kind, options = line.split(" ")[:4]
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)
        if _ELSEWHERE.fullmatch(kind) or "ro" in options.split(",") or not Path(place).is_dir():
            continue
        device, size = device_of(place), os.statvfs(place)
        if size.f_blocks and device not in seen:  # what the kernel only shows has none
            seen.add(device)
            yield place, size


def _share(used: int, available: int) -> float:
    return 100 * used / (used + available) if used + available else 0.0
