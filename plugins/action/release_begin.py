# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.release_begin``: waits for the lock where one is asked for."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.plugin_utils.locking import wait_for_lock


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)

        def attempt(options: dict[str, Any] | None) -> dict[str, Any]:
            answer: dict[str, Any] = self._execute_module(
                module_args=arguments | {"lock": options}, task_vars=task_vars
            )
            return answer

        options = arguments.get("lock")
        return result | (wait_for_lock(attempt, dict(options), task_vars) if options else attempt(None))
