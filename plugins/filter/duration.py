# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter duration."""

from __future__ import annotations

DOCUMENTATION = r"""
name: duration
short_description: Seconds in a text such as 1h30m
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Reads a duration, C(500ms), C(90s), C(1h30m), C(2.5 d), and gives seconds. A bare number is seconds.
  - Knows ns, us, ms, s, min or m, h, d and wk or w.
options:
  _input:
    description: The duration.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: An hour and a half
  ansible.builtin.debug:
    msg: "{{ '1h30m' | slipway.ops.duration }}"  # 5400.0
"""

RETURN = r"""
_value:
  description: Seconds.
  type: float
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, duration


def _filter(value: str | int | float) -> float:
    try:
        return duration(value)
    except UnitError as error:
        raise AnsibleFilterError(f"duration: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"duration": _filter}
