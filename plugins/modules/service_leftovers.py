#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_leftovers
short_description: What services that are not in the inventory left on a host
version_added: 0.1.0
description:
  - Looks for containers by their labels, and for secrets and releases below O(root).
options:
  known:
    description: Names of the services that belong here.
    type: list
    elements: str
    required: true
  root:
    description: The directory in which each service has its own.
    type: path
    default: /srv/slipway
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.service_retired
"""

EXAMPLES = r"""
- name: See what was left here
  slipway.ops.service_leftovers:
    known: "{{ app_services | map(attribute='name') }}"
  register: left
"""

RETURN = r"""
services:
  description: By service, how many containers, releases and secrets it left.
  type: dict
  returned: success
  sample: {shop: [2 containers, 3 releases, 1 secret]}
told:
  description: The same as sentences, which name what to do.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.release.retire import leftovers

ARGUMENTS = {
    "known": {"type": "list", "elements": "str", "required": True},
    "root": {"type": "path", "default": "/srv/slipway"},
}


def told(name: str, things: list[str]) -> str:
    """For an operator."""
    return (
        f"{name} is not in app_services any more and left {', '.join(things)}; "
        f"ansible-playbook playbooks/retire.yml -e service={name} takes them away."
    )


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    root = Path(module.params["root"])
    try:
        left = leftovers(root, module.params["known"])
        module.exit_json(changed=False, services=left, told=[told(name, things) for name, things in left.items()])
    except OSError as error:
        module.fail_json(msg=f"What services left under {root} could not be read: {error}.")


if __name__ == "__main__":
    main()
