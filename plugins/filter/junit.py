# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter junit."""

from __future__ import annotations

DOCUMENTATION = r"""
name: junit
short_description: Results as JUnit XML
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Writes results of the common shape, such as those of M(slipway.ops.health_check), as JUnit XML for CI systems.
  - A C(fail) becomes a failure, C(unknown) an error, C(skip) skipped. A C(warn) passes and says why.
options:
  _input:
    description: A mapping of host names to lists of results. Each host becomes a test suite.
    type: dict
    required: true
  name:
    description: The name of the whole.
    type: str
    default: health
"""

EXAMPLES = r"""
- name: Keep the results where CI finds them
  ansible.builtin.copy:
    content: "{{ {inventory_hostname: health.results} | slipway.ops.junit }}"
    dest: reports/health.xml
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The XML document.
  type: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.health.junit import junit


def _filter(by_host: Mapping[str, Sequence[Mapping[str, Any]]], name: str = "health") -> str:
    if not isinstance(by_host, Mapping):
        raise AnsibleFilterError("junit: give a mapping of host names to lists of results")
    try:
        return junit(by_host, str(name))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"junit: not results of the common shape: {error!r}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"junit": _filter}
