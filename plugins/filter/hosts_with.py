# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter hosts_with."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hosts_with
short_description: The hosts whose inventory switches something on
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - For the pattern of a play, where a condition on each task would have the others skip it in every run.
positional: hostvars, variable
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  variable:
    description: Name of the switch. A host that does not have it is off.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Who talks to whom
  hosts: "{{ groups['all'] | slipway.ops.hosts_with(hostvars, 'firewall_enabled') }}"
  roles: [slipway.ops.firewall]
"""

RETURN = r"""
_value:
  description: A pattern of those hosts; V(!all), which matches none, when there are none.
  type: str
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean

NOBODY = "!all"


def _filter(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], variable: str) -> str:
    def is_on(host: str) -> bool:
        try:
            return boolean(hostvars.get(host, {}).get(variable, False))
        except TypeError as error:
            raise AnsibleFilterError(f"{variable} of {host} is neither true nor false: {error}") from error

    return ",".join(filter(is_on, hosts)) or NOBODY


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"hosts_with": _filter}
