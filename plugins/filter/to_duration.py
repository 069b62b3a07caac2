# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter to_duration."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_duration
short_description: The shortest text for seconds
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Gives the shortest exact text for seconds, down to a millisecond, such as C(1h30m), C(1.5s) or C(250ms).
  - P(slipway.ops.duration#filter) reads it back.
options:
  _input:
    description: Seconds, 0 or more.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: How long it took
  ansible.builtin.debug:
    msg: "{{ 5400 | slipway.ops.to_duration }}"  # 1h30m
"""

RETURN = r"""
_value:
  description: The duration.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, to_duration


def _filter(seconds: str | int | float) -> str:
    try:
        return to_duration(seconds)
    except UnitError as error:
        raise AnsibleFilterError(f"to_duration: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"to_duration": _filter}
