# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd: a unit is in the right state and was not restarted too often."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.background import run_program
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    same,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import choice, limit_in, option, text, texts

_PROPERTIES = "--property=LoadState,ActiveState,SubState,NRestarts,Result"


@dataclass(frozen=True, kw_only=True)
class Systemd(Check):
    KIND = "systemd"
    AREA = "infrastructure"

    unit: str = option(text)
    active: tuple[str, ...] = option(texts, "active")
    sub: tuple[str, ...] | None = option(texts, None)
    restarts: Limit | None = option(limit_in("1"), None)
    missing: str = option(choice("fail", "skip"), "fail")

    @property
    def aspect(self) -> str:
        return self.unit

    @property
    def statement(self) -> str:
        return f"The unit {self.unit} is {' or '.join(self.active)}"

    async def measure(self, client: HttpClient) -> list[Finding]:
        state = await self._state()
        if state.get("LoadState") == "not-found":
            reason = f"there is no unit {self.unit} on this host"
            if self.missing == "skip":
                return [Finding("skip", reason=reason)]
            raise CheckFailed(reason)
        active, sub = state.get("ActiveState", ""), state.get("SubState", "")
        seen = f"{self.unit} is {active} ({sub}, result {state.get('Result') or 'none'}); see journalctl -u {self.unit}"
        findings = [same(active, self.active, seen)]
        if self.sub:
            findings.append(same(sub, self.sub, seen))
        if self.restarts:
            restarts = float(state.get("NRestarts") or 0)
            findings.append(
                within(self.restarts, restarts, "1", f"the count of restarts of {self.unit} since it was started")
            )
        return findings

    async def _state(self) -> dict[str, str]:
        try:
            ended = await run_program(("systemctl", "show", _PROPERTIES, "--", self.unit))
        except OSError as error:
            raise CheckUnknown(f"systemctl cannot be run: {error.strerror}; this host has no systemd") from error
        if ended.status:
            raise CheckUnknown(f"systemctl show {self.unit} failed: {ended.errors.strip()}")
        return dict(line.partition("=")[::2] for line in ended.output.splitlines())
