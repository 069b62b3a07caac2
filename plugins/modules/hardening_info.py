#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_info
short_description: What a host allows to be hardened, and what must not be
version_added: 0.2.0
description:
  - Used by role C(slipway.ops.hardening), in one call for all that decides what its tasks do.
  - Tries what the kernel allows rather than guessing it from the distribution.
options:
  topics:
    description: Names of the topics that are wanted.
    type: list
    elements: str
    required: true
  modules:
    description: Kernel modules that are to be blocked.
    type: list
    elements: str
    default: []
  sysctl:
    description: Kernel settings that are to be made, and their values.
    type: dict
    default: {}
  packages:
    description: Packages that must not be there; those that are installed are returned.
    type: list
    elements: str
    default: []
  docker:
    description: Whether the inventory wants containers on this host; Docker that is there already counts too.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It reads only.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: See what the host allows
  slipway.ops.hardening_info:
    topics: [modules, sysctl]
    modules: [vfat, dccp]
    sysctl: {net.ipv4.ip_forward: 0}
  register: seen
"""

RETURN = r"""
not_applicable:
  description: Topics of which nothing can be done here, and why.
  type: dict
  returned: success
  sample: {modules: a container (docker) loads no kernel modules; they belong to the machine beneath}
modules:
  description: Those of O(modules) that may be blocked.
  type: list
  elements: str
  returned: success
sysctl:
  description: Those of O(sysctl) that may be set, with their values as the kernel writes them.
  type: dict
  returned: success
kept:
  description: Modules and settings that this host needs as they are, and why.
  type: dict
  returned: success
  sample: {net.ipv4.ip_forward: "Docker's containers would be cut off"}
installed:
  description: Those of O(packages) that are installed.
  type: list
  elements: str
  returned: success
earlier:
  description: Topics that an earlier run had and that O(topics) has not, with what that run wrote down of them.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import hardening


def main() -> None:
    """Read the options, look, and answer."""
    module = AnsibleModule(
        argument_spec={
            "topics": {"type": "list", "elements": "str", "required": True},
            "modules": {"type": "list", "elements": "str", "default": []},
            "sysctl": {"type": "dict", "default": {}},
            "packages": {"type": "list", "elements": "str", "default": []},
            "docker": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    host = hardening.Host(docker=wanted["docker"])
    try:
        earlier = hardening.earlier(host, wanted["topics"])
    except hardening.HardeningError as error:
        module.fail_json(msg=str(error))
    obstacles = hardening.obstacles(host)
    modules, kept_modules = hardening.blocked_modules(host, wanted["modules"])
    sysctl, kept_sysctl = hardening.allowed_sysctl(host, wanted["sysctl"])
    module.exit_json(
        changed=False,
        not_applicable={name: obstacles[name] for name in wanted["topics"] if name in obstacles},
        modules=modules,
        sysctl=sysctl,
        kept=kept_modules | kept_sysctl,
        installed=hardening.installed(wanted["packages"]),
        earlier=earlier,
    )


if __name__ == "__main__":
    main()
