# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""disk: room on the file system that holds a path, in bytes and in inodes, counted as `df` counts."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.options import absolute_path, limit_in, option


@dataclass(frozen=True, kw_only=True)
class Disk(Check):
    KIND = "disk"
    AREA = "infrastructure"

    path: str = option(absolute_path, "/")
    used: Limit = option(limit_in("%"), "< 90 %")
    free: Limit | None = option(limit_in("By"), None)
    inodes: Limit = option(limit_in("%"), "< 90 %")

    @property
    def aspect(self) -> str:
        return self.path

    @property
    def statement(self) -> str:
        return f"The file system of {self.path} has room: used {self.used}" + (
            f", free {self.free}" if self.free else ""
        )

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            size = await asyncio.to_thread(os.statvfs, self.path)
        except FileNotFoundError as error:
            raise CheckFailed(f"{self.path} is not there") from error
        used = size.f_blocks - size.f_bfree
        findings = [within(self.used, _share(used, size.f_bavail), "%", f"used space of {self.path}")]
        if self.free:
            findings.append(within(self.free, size.f_bavail * size.f_frsize, "By", f"free space of {self.path}"))
        if size.f_files:  # btrfs and some network file systems count none
            inodes = _share(size.f_files - size.f_ffree, size.f_favail)
            findings.append(within(self.inodes, inodes, "%", f"used inodes of {self.path}"))
        return findings


def _share(used: int, available: int) -> float:
    return 100 * used / (used + available) if used + available else 0.0
