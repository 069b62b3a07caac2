# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter byte_size."""

from __future__ import annotations

DOCUMENTATION = r"""
name: byte_size
short_description: Bytes in a text such as 256MiB
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Reads a size, C(256MiB), C(1.5 GB), C(512k), and gives bytes. A bare number is bytes.
  - C(kB), C(MB), C(GB) are powers of 1000; C(KiB), C(MiB), C(GiB) and the bare letters C(k), C(M), C(G), as Docker and
    systemd mean them, are powers of 1024.
options:
  _input:
    description: The size.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: A memory limit in bytes
  ansible.builtin.debug:
    msg: "{{ '256MiB' | slipway.ops.byte_size }}"  # 268435456
"""

RETURN = r"""
_value:
  description: Bytes.
  type: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, byte_size


def _filter(value: str | int | float) -> int:
    try:
        return byte_size(value)
    except UnitError as error:
        raise AnsibleFilterError(f"byte_size: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"byte_size": _filter}
