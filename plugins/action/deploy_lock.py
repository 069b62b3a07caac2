# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.deploy_lock``: the waiting."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.plugin_utils.locking import wait_for_lock


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)

        def attempt(options: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = self._execute_module(module_args=options, task_vars=task_vars)
            return answer

        arguments = dict(self._task.args)
        if arguments.get("state", "present") == "absent":
            return result | attempt(arguments)
        return result | wait_for_lock(attempt, arguments, task_vars)
