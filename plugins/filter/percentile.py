# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter percentile."""

from __future__ import annotations

DOCUMENTATION = r"""
name: percentile
short_description: A percentile of numbers
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - The value that so many percent of the numbers do not exceed, between two of them in proportion, as numpy does.
positional: percent
options:
  _input:
    description: The numbers, in any order, at least one.
    type: list
    required: true
    elements: float
  percent:
    description: Which percentile, 0 to 100.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: The 95th percentile of response times
  ansible.builtin.debug:
    msg: "{{ [120, 80, 95, 310] | slipway.ops.percentile(95) }}"  # 281.5
"""

RETURN = r"""
_value:
  description: The percentile, in the unit of the numbers.
  type: float
"""

from collections.abc import Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.percentile import percentile


def _filter(samples: Iterable[float], percent: float) -> float:
    try:
        return percentile(samples, float(percent))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"percentile: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"percentile": _filter}
