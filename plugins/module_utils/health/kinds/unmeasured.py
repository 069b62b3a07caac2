# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""unmeasured: stands where checks should be that could not be made; the others are measured all the same."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import option, seconds, text


@dataclass(frozen=True, kw_only=True)
class Unmeasured(Check):
    KIND = "unmeasured"
    AREA = "operations"

    reason: str = option(text)
    deadline: float | None = option(seconds, 0)  # it does not get better by waiting

    @property
    def aspect(self) -> str:
        return "checks"

    @property
    def statement(self) -> str:
        return "There are checks"

    async def measure(self, client: HttpClient) -> list[Finding]:
        return [Finding("unknown", reason=self.reason)]
