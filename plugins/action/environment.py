# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.environment``; it never talks to a host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.ops.plugins.plugin_utils.environments import (
    EnvironmentRefused,
    approved_elsewhere,
    environment_of,
    question,
)


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        variables = task_vars or {}
        try:
            hosts = {host: self._own(host, variables) for host in variables["ansible_play_hosts_all"]}
            environment = environment_of(hosts)
            members = [host for host, name in hosts.items() if name]
            asked = question(environment, members, str(variables.get("confirm") or ""))
            if asked and not self._task.check_mode and not approved_elsewhere(variables):
                _ask(asked, environment)
        except EnvironmentRefused as error:
            raise AnsibleActionFail(f"{error} Nothing was changed.") from None
        return {"changed": False, "environment": environment}

    def _own(self, host: str, variables: dict[str, Any]) -> str:
        raw = variables["hostvars"].raw_get(host)
        if not raw.get("slipway_environment"):
            return ""
        templar = self._templar.copy_with_new_env(available_variables={**raw, "hostvars": variables["hostvars"]})
        try:
            return str(templar.template(raw["slipway_environment"]))
        except AnsibleError as error:
            raise EnvironmentRefused(f"slipway_environment of {host} cannot be worked out: {error}") from error


def _ask(asked: str, environment: str) -> None:
    try:
        answer = Display().prompt_until(asked).decode(errors="replace").strip()
    except AnsiblePromptNoninteractive:
        raise EnvironmentRefused(
            f"This changes {environment}, and nobody is here to be asked. If it is meant: -e confirm={environment}."
        ) from None
    except AnsiblePromptInterrupt:
        answer = ""
    if answer != environment:
        raise EnvironmentRefused(f"{environment} was not confirmed.")
