# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""command: a program (no shell) ends with the right status and says the right thing."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePath

from ansible_collections.slipway.ops.plugins.module_utils.health.background import run_program
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, CheckUnknown, Finding, same
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import arguments, integer, option, pattern

_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Command(Check):
    KIND = "command"
    AREA = "operations"

    argv: tuple[str, ...] = option(arguments)
    status: int = option(integer(0, 255), 0)
    skip_status: int | None = option(integer(1, 255), None)
    unknown_status: int | None = option(integer(1, 255), None)
    matches: re.Pattern[str] | None = option(pattern, None)

    @property
    def aspect(self) -> str:
        return PurePath(self.argv[0]).name

    @property
    def statement(self) -> str:
        return f"{shlex.join(self.argv)} ends with status {self.status}" + (
            f" and says {self.matches.pattern}" if self.matches else ""
        )

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            ended = await run_program(self.argv)
        except OSError as error:
            raise CheckFailed(f"{self.argv[0]} cannot be run: {error.strerror}") from error
        said = " ".join((ended.errors or ended.output).split())[:_SHOWN]
        if self.skip_status is not None and ended.status == self.skip_status:
            return [Finding("skip", reason=said or f"it ended with status {ended.status}, which is to skip")]
        if self.unknown_status is not None and ended.status == self.unknown_status:
            raise CheckUnknown(said or f"it ended with status {ended.status}, which says that it could not find out")
        told = f"it ended with status {ended.status}, wanted {self.status}" + (f"; it said: {said}" if said else "")
        findings = [same(ended.status, [self.status], told)]
        if self.matches:
            found = self.matches.search(ended.output)
            measured = " ".join((found[0] if found else ended.output).split())[:_SHOWN]
            reason = None if found else f"its output does not match {self.matches.pattern}: {measured or 'it is empty'}"
            findings.append(Finding("pass" if found else "fail", measured, limit=None, reason=reason))
        return findings
