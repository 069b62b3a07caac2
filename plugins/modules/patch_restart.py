#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_restart
short_description: Restart what runs files that were replaced by an update
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - Asks needrestart, and restarts one unit after the other. HAProxy is reloaded and nginx replaced while it runs,
    which loses no request.
  - The bus, sessions, the network and their kind are left as they are until the host is started again.
  - Restarts databases too. Who must not be interrupted is not asked for.
attributes:
  check_mode:
    support: full
    description: Says what would be restarted.
  diff_mode:
    support: none
    description: A restart has no text worth comparing.
  idempotent:
    support: full
    description: What runs the files that are there is left alone.
seealso:
  - module: slipway.ops.patch_info
"""

EXAMPLES = r"""
- name: Restart what needs it
  slipway.ops.patch_restart:
"""

RETURN = r"""
restarted:
  description: The units, in the order in which they were restarted.
  type: list
  elements: str
  returned: success
reboot:
  description: Why the host itself has to be started again, a sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import patch


def main() -> None:
    """Look, restart, answer."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        now = patch.stale()
        restarted = now.restartable if module.check_mode else patch.restart(now.restartable)
    except (patch.PatchError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(restarted), restarted=restarted, reboot=now.reboot)


if __name__ == "__main__":
    main()
