# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL as an engine: pgBackRest makes its backups."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Report
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind, Settings, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill import rehearsal
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest import status
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.backup import (
    in_recovery,
    left_to_primary,
    perform,
    targets,
)


def back_up(kind: Kind, settings: Settings, only: str | None, tell: Tell) -> list[Result]:
    """Performs it for each target, one after the other; a failure of one does not keep the next from its backup."""
    patience = float(settings["patience"]) if kind == "full" else 0.0
    found: list[Result] = []
    for target in targets(settings):
        if only not in (None, target.stanza, target.name):
            continue
        if settings.get("local_port") and in_recovery(target.user, settings["local_port"]):
            made = [left_to_primary(kind, target)]
        else:
            made = perform(kind, target, patience, tell)
        for result in made:
            tell(f"{result.verdict}: {result.claim}" + (f" - {result.reason}" if result.reason else ""))
        found += made
    return found


def statuses(settings: Settings, now: float) -> list[Status]:
    return status.statuses(settings, now)


def drill(settings: Settings, run: str, tell: Tell) -> Report:
    return rehearsal.drill(rehearsal.plan(settings["plan"]), run, tell)


def sweep(settings: Settings) -> None:
    rehearsal.sweep(rehearsal.plan(settings["plan"]))
