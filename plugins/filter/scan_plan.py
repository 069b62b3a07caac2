# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter scan_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scan_plan
short_description: Which host runs which of the scanners that no role installs
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Says, of what M(slipway.ops.scan_info) found on hosts, what each of them is to run. A host that has Trivy or Grype
    looks at its own images; the one that scans the others looks at those of hosts that have neither.
options:
  _input:
    description: What M(slipway.ops.scan_info) returned, by host. Hosts without C(programs) are left out.
    type: dict
    required: true
  scanner:
    description: The host that scans the others.
    type: str
    required: true
  optional:
    description:
      - Which are asked for, of V(gixy), V(sslyze), V(images) and V(probes). What is missing of them will be unknown.
        V(none) asks for the scanners that are there.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: See who looks at the images
  ansible.builtin.debug:
    msg: "{{ {'monitor1': looked} | slipway.ops.scan_plan('monitor1', ['images']) }}"
"""

RETURN = r"""
_value:
  description: >-
    By host whether to run C(gixy), C(sslyze) and C(probes), the C(image_scanner), the C(images) as M(slipway.ops.scan)
    takes them, and where C(programs) are.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.plugin_utils.scan import plan


def _filter(looks: Mapping[str, Any], scanner: str, optional: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    if not isinstance(looks, Mapping):
        raise AnsibleFilterError("scan_plan: what scan_info found is wanted, by host")
    return plan({host: look for host, look in looks.items() if "programs" in look}, scanner, optional)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scan_plan": _filter}
