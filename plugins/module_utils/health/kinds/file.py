# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""file: a file is there (or is not), young enough and large enough; of a pattern's files the newest counts."""

from __future__ import annotations

import asyncio
import glob
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import absolute_path, flag, limit_in, option


@dataclass(frozen=True, kw_only=True)
class File(Check):
    KIND = "file"
    AREA = "infrastructure"

    path: str = option(absolute_path)
    exists: bool = option(flag, True)
    age: Limit | None = option(limit_in("s"), None)
    size: Limit | None = option(limit_in("By"), None)

    def __post_init__(self) -> None:
        if not self.exists and (self.age or self.size):
            raise ValueError("age and size need a file; leave them out or set exists to true")

    @property
    def aspect(self) -> str:
        return self.path

    @property
    def statement(self) -> str:
        conditions = [f"{name} {limit}" for name, limit in (("age", self.age), ("size", self.size)) if limit]
        return f"{self.path} {'exists' if self.exists else 'does not exist'}" + "".join(f", {c}" for c in conditions)

    async def measure(self, client: HttpClient) -> list[Finding]:
        newest = await asyncio.to_thread(_newest, self.path)
        if newest is None or not self.exists:
            found = newest is not None
            measured = "present" if found else "absent"
            if found == self.exists:
                return [Finding("pass", measured)]
            reason = f"{newest[0]} exists" if newest else f"nothing on this host matches {self.path}"
            return [Finding("fail", measured, reason=reason)]
        path, status = newest
        findings = []
        if self.age:
            findings.append(within(self.age, max(0.0, time.time() - status.st_mtime), "s", f"the age of {path}"))
        if self.size:
            findings.append(within(self.size, status.st_size, "By", f"the size of {path}"))
        return findings or [Finding("pass", "present")]


def _newest(pattern: str) -> tuple[str, os.stat_result] | None:
    # A name that is itself a file wins over what its brackets would match.
    paths = [pattern] if os.path.lexists(pattern) else glob.glob(pattern)  # noqa: PTH207 - Path cannot, from a root
    found = []
    for path in paths:
        try:
            found.append((path, Path(path).stat()))
        except FileNotFoundError:
            continue  # a dangling link, or removed in between
    return max(found, key=lambda item: item[1].st_mtime, default=None)
