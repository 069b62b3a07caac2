# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.known_variables``; it never talks to the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible_collections.slipway.ops.plugins.module_utils.inventory.variable_names import describe, unknown_names
from ansible_collections.slipway.ops.plugins.plugin_utils import preflight

SPOKEN = 6  # hosts that are named for one problem


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            {"role": {"type": "list", "elements": "str"}, "playbook": {"type": "str"}},
            mutually_exclusive=[["role", "playbook"]],
            required_one_of=[["role", "playbook"]],
        )
        variables = task_vars or {}
        if arguments["playbook"]:
            problems = list(dict.fromkeys(self._of_playbook(arguments["playbook"], variables)))
        else:
            problems = list(self._of_roles(arguments["role"], variables))
        if problems:
            raise AnsibleActionFail("\n".join([*problems, "Nothing was changed."]))
        return {"changed": False}

    def _of_roles(self, names: list[str], variables: dict[str, Any]) -> Iterator[str]:
        """What roles that are about to run refuse of their host."""
        roles = preflight.all_roles(self._loader)
        known = preflight.known_names(self._loader, only=names)
        for name, owner, near in self._unknown(variables["inventory_hostname"], known, variables):
            if owner in names:
                yield describe(name, owner, near)
        for role in [roles[name] for name in names]:
            if refusals := role.refusals():
                yield from preflight.refusal_problems(self._templar_of(role.variables(variables)), refusals)

    def _of_playbook(self, playbook: str, variables: dict[str, Any]) -> Iterator[str]:
        """What is wrong on any host of this play, each problem once with its hosts."""
        hosts = variables["ansible_play_hosts"]
        given = self._given(playbook, variables)
        found: dict[str, list[str]] = {}
        for host in hosts:
            for problem in self._of_host(playbook, host, given.get(host), variables):
                found.setdefault(problem, []).append(host)
        for problem, at in found.items():
            more = f" and {len(at) - SPOKEN} more" if len(at) > SPOKEN else ""
            yield f"{', '.join(at[:SPOKEN])}{more}: {problem}"

    def _of_host(
        self, playbook: str, host: str, given: list[tuple[str, Any]] | None, variables: dict[str, Any]
    ) -> Iterator[str]:
        hostvars = variables["hostvars"]
        own = {**hostvars.raw_get(host), "hostvars": hostvars}
        for name, owner, near in self._unknown(host, preflight.known_names(self._loader), own):
            yield describe(name, owner, near)
        later = preflight.play_variables(self._loader, playbook)  # what builds on these is worked out by the play
        options = preflight.playbook_options().get(playbook, {})
        now = {name: one for name, one in options.items() if not any(word in str(own.get(name)) for word in later)}
        yield from preflight.option_problems(self._templar_of(own), own, now)
        for role in preflight.all_roles(self._loader).values() if given is not None else ():
            conditions = [when for name, when in given or [] if name == role.name]
            templar = self._templar_of(role.variables(own))
            if any(preflight.holds(templar, when) for when in conditions):
                wrong = list(preflight.option_problems(templar, own, role.all_options()))
                yield from wrong or preflight.refusal_problems(templar, role.refusals())
            elif not conditions:
                yield from preflight.refusal_problems(templar, role.elsewhere())

    def _given(self, playbook: str, variables: dict[str, Any]) -> dict[str, list[tuple[str, Any]]]:
        """By host, the roles that the playbook gives it, each with its ``when``."""
        names = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=self._loader, templar=self._templar)
        found: dict[str, list[tuple[str, Any]]] = {}
        for pattern, roles in preflight.given_roles(self._loader, playbook):
            for host in names.run([self._templar.template(pattern)], variables=variables):
                found.setdefault(host, []).extend(roles)
        if found:
            return {host: found.get(host, []) for host in variables["ansible_play_hosts"]}
        return {}

    def _unknown(
        self, host: str, known: Mapping[str, set[str]], variables: dict[str, Any]
    ) -> Iterator[tuple[str, str, str | None]]:
        """Of what inventory and command line say; what tasks gave the host, by ``register`` say, is none of ours."""
        manager = variables["hostvars"]._variable_manager
        given = {*manager._nonpersistent_fact_cache.get(host, {}), *manager._vars_cache.get(host, {})}
        foreign = self._templar_of(variables).template(variables.get("slipway_foreign_variables", []))
        for name, (owner, near) in unknown_names(set(variables) - given, known, foreign).items():
            yield name, owner, near

    def _templar_of(self, variables: dict[str, Any]) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables)
