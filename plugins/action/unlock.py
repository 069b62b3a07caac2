# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.unlock``: only its controller knows whether a run still lives."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.host import lock


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "name": {"type": "str", "default": ""},
                "force": {"type": "bool", "default": False},
                "directory": {"type": "path", "default": "/var/lib/slipway/locks"},
            }
        )
        found: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        held = found.get("locks", {}).get(arguments["name"])
        if found.get("failed") or found.get("unreachable") or not held:
            return result | found
        holder = lock.Holder(**held)
        refusal = lock.refusal_to_open(arguments["name"], holder, lock.provably_dead(holder.process))
        if refusal and not arguments["force"]:
            return result | found | {"failed": True, "msg": refusal}
        opened: dict[str, Any] = self._execute_module(module_args=arguments | {"run": holder.run}, task_vars=task_vars)
        if opened.get("failed") or opened.get("unreachable"):
            return result | opened
        told = "would be opened" if self._task.check_mode else "opened"
        return result | opened | {"lines": [*found["lines"], f"{arguments['name']}: {told}"]}
