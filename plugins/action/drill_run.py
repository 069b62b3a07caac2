# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.drill_run``: asks the host again and again, and prints what it says."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.ops.plugins.action.backup_run import ActionModule as Follower
from ansible_collections.slipway.ops.plugins.action.backup_run import skipped


class ActionModule(Follower):
    work = "drill"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """A timer that meets a backup skips its drill; who asks for one must hear that there was none."""
        answer = super().run(tmp, task_vars)
        if reasons := skipped(answer):
            answer |= {"failed": True, "msg": f"No drill was made: {' '.join(reasons)}"}
        return answer
