# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prints lines, as M(slipway.ops.say) describes, even where unchanged tasks are silent."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Runs on the controller alone; no connection is made."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"lines": {"type": "list", "elements": "str", "required": True}})
        # One call, so that lines of hosts that speak at the same time do not mix.
        Display().display("\n".join(["", *arguments["lines"]]))
        return {"changed": False}
