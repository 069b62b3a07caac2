# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.secrets``; it talks to no host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.plugin_utils import locking, preflight
from ansible_collections.slipway.ops.plugins.plugin_utils.environments import approved_elsewhere as in_awx
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets import register
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.files import SecretsError, Vault, alone, discover
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.needs import Need, needs, read_kinds
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.plan import Plan, Wishes, file_for_new, plan
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.values import new_value

ARGUMENTS: dict[str, Any] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "rotate": {"type": "list", "elements": "str", "default": []},
    "make": {"type": "bool", "default": True},
    "file": {"type": "str"},
    "given": {"type": "list", "elements": "str", "default": []},
    "max_age": {"type": "str", "default": "365d"},
    "owner": {"type": "str"},
}
SHOWN_BY_OTHERS = "ENC["  # how a value looks that SOPS has encrypted and nobody has opened


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        variables = task_vars or {}
        try:
            return self._run(arguments, variables)
        except SecretsError as error:
            raise AnsibleActionFail(f"{error}\nNothing was written.") from None
        except OSError as error:
            raise AnsibleActionFail(f"{error}. What was not written yet was not written.") from None

    def _run(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        hosts = {host: variables["hostvars"].raw_get(host) for host in arguments["hosts"]}
        inventories = _inventories(hosts)
        vault = Vault(self._loader._vault)
        with alone(inventories[0]):
            sealed = discover(inventories, vault)
            _refuse_unread(hosts)
            kinds = read_kinds()
            options = {name for names in preflight.known_names(self._loader).values() for name in names}
            needed = needs(hosts, variables["groups"], kinds, options)
            new_file = file_for_new(inventories[0], arguments["file"], sealed, vault)
            wishes = Wishes(kinds, arguments["rotate"], arguments["given"], arguments["make"])
            planned = plan(needed, sealed, new_file, wishes)
            place = inventories[0] / register.PLACE
            before = register.read(place)
            owner = arguments["owner"] or locking.owner(variables)
            after = _registered(before, planned, needed, inventories[0], owner)
            noted = after != before and (arguments["make"] or bool(planned.rotated))  # who only looks changes no file
            results = [one.as_dict() for one in register.results(after, arguments["max_age"])]
            texts = {"before": register.text(before), "after": register.text(after if noted else before)}
            if planned.made or planned.rotated:
                _refuse_what_goes_away(variables)
            if not self._task.check_mode:
                _write(planned)
                if noted:
                    register.write(place, texts["after"])
        return {
            "changed": bool(planned.made or planned.rotated or noted),
            "made": planned.made,
            "rotated": planned.rotated,
            "missing": planned.missing,
            "records": results,
            "lines": _lines(planned, needed, results, self._task.check_mode),
            "diff": {"before_header": str(register.PLACE), "after_header": str(register.PLACE)} | texts,
        }


def _inventories(hosts: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    places = dict.fromkeys(Path(str(one.get("inventory_dir") or "")) for one in hosts.values())
    found = [place for place in places if place.is_absolute() and place.is_dir()]
    if not found:
        raise SecretsError("The inventory is no file, so there is no place beside it for secrets.")
    return found


def _refuse_unread(hosts: Mapping[str, Mapping[str, Any]]) -> None:
    for host, variables in hosts.items():
        for name, value in variables.items():
            if isinstance(value, str) and value.startswith(SHOWN_BY_OTHERS):
                raise SecretsError(
                    f"{name} of {host} is what SOPS has encrypted: Ansible does not open such files here. Set "
                    "vars_plugins_enabled = host_group_vars,community.sops.sops in [defaults] of ansible.cfg."
                )


def _refuse_what_goes_away(variables: Mapping[str, Any]) -> None:
    """AWX removes a job's files when it ends, and what was made would be gone."""
    if in_awx(variables):
        raise SecretsError("AWX throws away what is written here. Make and rotate secrets in a checkout, and push.")


def _registered(
    before: register.Register, planned: Plan, needed: Mapping[str, Need], inventory: Path, owner: str
) -> register.Register:
    """The register as it will be: an entry for whatever an encrypted file holds."""
    found = {}
    for name, file in planned.files.items():
        place = os.path.relpath(file.path, inventory)
        known: dict[str, Any] = {"owner": owner, "file": place, "used": _used(needed, name)}
        if name in planned.kinds and planned.kinds[name].fixed:
            known["max_age"] = register.NEVER
        event = "created" if name in planned.made else "rotated" if name in planned.rotated else ""
        found[name] = register.entry(before.get(name), known, event)
    return found


def _used(needed: Mapping[str, Need], name: str) -> list[str]:
    return sorted(needed[name].used) if name in needed else []


def _write(planned: Plan) -> None:
    """File by file: of each the former is there, or the new one."""
    values: dict[Path, dict[str, str]] = {}
    for name in [*planned.made, *planned.rotated]:
        kind = planned.kinds[name].kind if name in planned.kinds else "password"
        values.setdefault(planned.files[name].path, {})[name] = new_value(kind)
    for path, new in values.items():
        next(file for file in planned.files.values() if file.path == path).write(new)


def _lines(planned: Plan, needed: Mapping[str, Need], results: list[dict[str, Any]], dry: bool) -> list[str]:
    """What an operator reads: names, places and ages."""

    def where(name: str) -> str:
        used = _used(needed, name)
        return f", for {', '.join(used)}" if used else ""

    would = "would be " if dry else ""
    lines = [f"{name}: {would}made in {planned.files[name].path}{where(name)}" for name in planned.made]
    lines += [f"{name}: {would}rotated in {planned.files[name].path}{where(name)}" for name in planned.rotated]
    lines += [f"{name}: missing{where(name)}" for name in planned.missing]
    lines += [f"{one['subject']}: {one['reason']}" for one in results if one["verdict"] != "pass"]
    carried = [name for name in planned.rotated if name in needed]
    if carried:
        lines.append("site.yml carries it out; until then the old values are in use.")
    if any(place.startswith("app_services") for name in carried for place in needed[name].used):
        lines.append("Then deploy.yml -e deploy_force=true, for services that read secrets only at their start.")
    return lines or ["Nothing is missing, and nothing is too old."]
