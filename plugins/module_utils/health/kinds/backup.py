# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""backup: the newest backup is young enough; it was verified and drilled lately, and a restore is fast enough.

With ``proven`` only that it was verified and drilled as often as the role's limits ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.ask import ask
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, absence, unproven
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckUnknown, Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import flag, limit_in, option, text

_NEVER = {
    "full_age": "there is no full backup of {} yet",
    "verified": "the backups of {} were never verified",
    "drill": "no restore of {} was ever drilled",
    "rto": "no drill has measured the RTO of {}",
    "rpo": "no drill has measured the RPO of {}",
}


@dataclass(frozen=True, kw_only=True)
class Backup(Check):
    KIND = "backup"
    AREA = "data"

    engine: str = option(text, "postgresql")
    of: str | None = option(text, None)
    proven: bool = option(flag, False)
    age: Limit | None = option(limit_in("s"), None)
    full_age: Limit | None = option(limit_in("s"), None)
    verified: Limit | None = option(limit_in("s"), None)
    drill: Limit | None = option(limit_in("s"), None)
    rto: Limit | None = option(limit_in("s"), None)
    rpo: Limit | None = option(limit_in("s"), None)

    @property
    def aspect(self) -> str:
        return self.of or self.engine

    @property
    def statement(self) -> str:
        if self.proven:
            return f"{self.engine} backups{f' of {self.of}' if self.of else ''} were verified and restored lately"
        return f"The newest {self.engine} backup{f' of {self.of}' if self.of else ''} is young enough" + (
            f" ({self.age})" if self.age else ""
        )

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            statuses = await asyncio.to_thread(ask, [self.engine])
        except (BackupError, OSError, ValueError) as error:
            raise CheckUnknown(f"the state of the backups cannot be told: {error}") from error
        wanted = [status for status in statuses if self.of in (None, status.name)]
        if not wanted:
            names = ", ".join(status.name for status in statuses)
            raise CheckUnknown(f"this host makes no backup of {self.of}; it makes those of {names}")
        findings = self._proof if self.proven else self._findings
        return [finding for status in wanted for finding in findings(status)]

    def _proof(self, status: Status) -> Iterable[Finding]:
        """One: the age of the backup is another check's."""
        lacking = unproven(status, status.limits)
        do = f"backup.yml -e type=verify and drill.yml show that a restore works (-e engine={self.engine})"
        reason = f"{'; '.join(lacking)}: {do}" if lacking else None
        yield Finding("fail" if lacking else "pass", len(lacking), limit="= 0", reason=reason)

    def _findings(self, status: Status) -> Iterable[Finding]:
        configured = Limit("<=", status.limits.age / 3600, "h") if status.limits.age is not None else None
        values = {
            "age": (self.age or configured, status.age, "the age of the newest backup"),
            "full_age": (self.full_age, status.full_age, "the age of the newest full backup"),
            "verified": (self.verified, status.verified_age, "the time since the last verification"),
            "drill": (self.drill, status.drill_age, "the time since the last restore drill"),
            "rto": (self.rto, status.rto, "the RTO"),
            "rpo": (self.rpo, status.rpo, "the RPO"),
        }
        for name, (limit, seconds, what) in values.items():
            if seconds is None and (limit or name == "age"):
                reason = absence(status) if name == "age" else _NEVER[name].format(status.name)
                yield Finding("fail", "never", limit=limit.bare if limit else None, reason=reason)
            elif limit and seconds is not None:
                yield within(limit, seconds, "s", f"{what} of {status.name}")
        if status.verified_verdict == "fail":
            yield Finding("fail", "damaged", reason=f"the last verification of {status.name} found damage")
        if not any(limit for limit, _, _ in values.values()) and status.age is not None:
            yield Finding("pass", round(status.age), "s")
