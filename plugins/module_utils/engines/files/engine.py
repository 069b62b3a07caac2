# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files as an engine: snapshots in a repository of restic's are its backups."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits, Report
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind, Restore, Settings, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import backup, keeper, rehearsal
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import restore as restoring
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import plan


def back_up(kind: Kind, settings: Settings, only: str | None, tell: Tell) -> list[Result]:
    """A snapshot is always whole, and sends what changed: an incremental one is of daily sources, a full one of all. On
    the backup host a verification also removes what is beyond its days."""
    wanted = plan(settings)
    if kind != "verify":
        return backup.back_up(wanted, kind, only, tell)
    own = backup.verify(wanted, tell) if wanted.sources else []
    return own + (keeper.keep(wanted, tell) if wanted.kept else [])


def statuses(settings: Settings, now: float) -> list[Status]:
    wanted = plan(settings)
    return backup.statuses(wanted, now)


def drill(settings: Settings, run: str, tell: Tell) -> Report:
    limits = {name: settings["limits"][name] for name in ("rto", "rpo", "age") if name in settings["limits"]}
    return rehearsal.drill(plan(settings), Limits(**limits), run, tell)


def sweep(settings: Settings) -> None:
    rehearsal.sweep(plan(settings))


def restore(settings: Settings, asked: Restore, tell: Tell) -> None:
    restoring.restore(plan(settings), str(settings["host"]), asked, tell)
