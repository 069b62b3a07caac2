# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis and Valkey as an engine: snapshots as a replica gets them are its backups."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits, Report
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind, Restore, Settings, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import backup, rehearsal
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import restore as restoring


def back_up(kind: Kind, settings: Settings, only: str | None, tell: Tell) -> list[Result]:
    """A snapshot is always whole: an incremental one is a full one."""
    wanted = backup.plan(settings)
    if only not in (None, wanted.name):
        return []
    return backup.verify(wanted, tell) if kind == "verify" else backup.back_up(wanted, tell)


def statuses(settings: Settings, now: float) -> list[Status]:
    wanted = backup.plan(settings)
    try:
        return wanted.shelf.statuses(backup.ENGINE, now)
    except DataError as error:
        return [Status(backup.ENGINE, wanted.name, trouble=str(error))]


def drill(settings: Settings, run: str, tell: Tell) -> Report:
    limits = {name: settings["limits"][name] for name in ("rto", "rpo", "age") if name in settings["limits"]}
    return rehearsal.drill(backup.plan(settings), Limits(**limits), run, tell)


def sweep(settings: Settings) -> None:
    rehearsal.sweep(backup.plan(settings))


def restore(settings: Settings, asked: Restore, tell: Tell) -> None:
    restoring.restore(backup.plan(settings), str(settings["host"]), asked, tell)
