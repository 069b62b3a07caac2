# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.known_variables``; it never talks to the host."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.variable_names import describe, unknown_names

ROLES = Path(__file__).resolve().parents[2] / "roles"


@lru_cache
def specified_names(specs: Path) -> set[str]:
    """Every option of every entry point in a role's ``meta/argument_specs.yml``."""
    entry_points = yaml.safe_load(specs.read_text(encoding="utf-8"))["argument_specs"].values()
    return {name for entry_point in entry_points for name in entry_point.get("options") or {}}


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            {"role": {"type": "list", "elements": "str", "required": True}}
        )
        siblings = [path.name for path in ROLES.iterdir()]
        complaints = []
        for role in arguments["role"]:
            known = specified_names(ROLES / role / "meta" / "argument_specs.yml")
            unknown = unknown_names(role, (task_vars or {}).keys(), known, siblings)
            if unknown:
                complaints.append(describe(role, unknown))
        if complaints:
            raise AnsibleActionFail(" ".join(complaints))
        return {"changed": False}
