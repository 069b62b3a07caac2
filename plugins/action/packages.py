# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of M(slipway.ops.packages): asks apt only for what a reading of the same run does not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.host.packages import missing

DAY = 86400
FORBIDDEN = 101  # what a policy-rc.d answers that lets nothing be started


class ActionModule(ActionBase):
    """A host whose packages were read in this run, and are there, is not asked again."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _, wanted = self.validate_argument_spec(
            {
                "name": {"type": "list", "elements": "str", "required": True},
                "start": {"type": "bool", "default": True},
                "new_sources": {"type": "bool", "default": False},
            }
        )
        there = self._read(task_vars or {})
        if there is not None and not wanted["new_sources"] and not missing(wanted["name"], there):
            return {**result, "changed": False}
        options: dict[str, Any] = {
            "name": wanted["name"],
            "install_recommends": False,
            "update_cache": True,
            "cache_valid_time": 0 if wanted["new_sources"] else DAY,
        }
        if not wanted["start"]:
            options["policy_rc_d"] = FORBIDDEN
        answer = self._ask(options, task_vars)
        if answer.get("failed") and options["cache_valid_time"]:
            # The index may be older than a source that a killed run added, or name what the mirror has no more.
            answer = self._ask(options | {"cache_valid_time": 0}, task_vars)
        return {**result, **answer}

    def _ask(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module("ansible.builtin.apt", options, task_vars=task_vars)
        return answer

    def _read(self, variables: Mapping[str, Any]) -> list[str] | None:
        """What role C(baseline) read of this host in this run; None without, and for a task of another host."""
        if self._task.delegate_to:
            return None
        seen = variables.get("__baseline_seen") or {}
        packages: list[str] | None = seen.get("packages")
        return packages
