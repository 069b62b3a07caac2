# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter to_byte_size."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_byte_size
short_description: Bytes as a text in the fitting unit
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Gives bytes in the largest unit that leaves at least 1, to two digits, such as C(256MiB) or C(1.5GiB).
options:
  _input:
    description: Bytes, 0 or more.
    type: int
    required: true
  decimal:
    description: Powers of 1000 (kB, MB, GB) instead of 1024 (KiB, MiB, GiB).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Free space to read
  ansible.builtin.debug:
    msg: "{{ 1610612736 | slipway.ops.to_byte_size }}"  # 1.5GiB
"""

RETURN = r"""
_value:
  description: The size.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, to_byte_size


def _filter(size: str | int | float, decimal: bool = False) -> str:
    try:
        return to_byte_size(size, bool(decimal))
    except UnitError as error:
        raise AnsibleFilterError(f"to_byte_size: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"to_byte_size": _filter}
