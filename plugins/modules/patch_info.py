#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_info
short_description: See which updates a host waits for, and what still runs as it was before one
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - Asks apt what it would install now, from the index that is there, and needrestart which services run files that
    were replaced. Changes nothing.
options:
  scope:
    description: V(security) is what a security archive of the distribution offers, V(all) everything.
    type: str
    choices: [security, all]
    default: security
  subject:
    description: The host's name in results.
    type: str
    required: true
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
seealso:
  - module: slipway.ops.patch_restart
"""

EXAMPLES = r"""
- name: See what waits
  slipway.ops.patch_info:
    scope: all
    subject: "{{ inventory_hostname }}"
  register: waiting
"""

RETURN = r"""
packages:
  description: What would be installed, as apt takes it.
  type: list
  elements: str
  returned: success
  sample: ["openssl=3.5.7-1~deb13u2"]
restart:
  description: Units that run replaced files and can be restarted.
  type: list
  elements: str
  returned: success
until_reboot:
  description: Units that run replaced files and are not restarted under those who use them, such as C(dbus.service).
  type: list
  elements: str
  returned: success
reboot:
  description: Why the host has to be started again, a sentence each.
  type: list
  elements: str
  returned: success
lines:
  description: All of it, for people; empty where there is nothing to do.
  type: list
  elements: str
  returned: success
results:
  description: What is measured, as M(slipway.ops.evidence) takes it.
  type: list
  elements: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import patch


def main() -> None:
    """Look and answer."""
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "choices": [patch.SECURITY, patch.ALL], "default": patch.SECURITY},
            "subject": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        waiting, now = patch.updates(module.params["scope"]), patch.stale()
    except (patch.PatchError, OSError) as error:
        module.fail_json(msg=str(error))
    lines = [update.line() for update in waiting]
    lines += [f"restart {unit}" for unit in now.restartable]
    lines += [f"runs replaced files until the next start: {unit}" for unit in now.until_reboot]
    lines += [f"reboot: {reason}" for reason in now.reboot]
    module.exit_json(
        changed=False,
        packages=[f"{update.name}={update.offered}" for update in waiting],
        restart=now.restartable,
        until_reboot=now.until_reboot,
        reboot=now.reboot,
        lines=lines,
        results=[one.as_dict() for one in patch.results(module.params["subject"], waiting, now)],
    )


if __name__ == "__main__":
    main()
