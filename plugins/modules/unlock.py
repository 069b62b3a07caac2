#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: unlock
short_description: See who holds which lock on a host, and open one whose run is gone
version_added: 0.1.0
description:
  - Reads the locks that M(slipway.ops.deploy_lock) keeps on a host, and with O(name) opens that one.
  - A lock is opened when its time is over, or when the C(ansible-playbook) that took it was of this controller and no
    longer runs. Of a run on another controller nobody here can know; that lock is opened with O(force).
  - An action plugin of the same name judges on the controller; the module itself reads, and opens what it is told to.
options:
  name:
    description: The lock to open, a service's name. Empty opens none.
    type: str
    default: ""
  force:
    description: Opens the lock of a run that lives, or that may live elsewhere.
    type: bool
    default: false
  directory:
    description: Where the locks are on the host.
    type: path
    default: /var/lib/slipway/locks
  run:
    description: The run whose lock is opened. The action plugin fills it in.
    type: str
attributes:
  check_mode:
    support: full
    description: Says what would be opened.
  diff_mode:
    support: none
    description: A lock has no text worth comparing.
  idempotent:
    support: full
    description: Where there is no lock nothing is opened.
seealso:
  - module: slipway.ops.deploy_lock
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: See who holds what
  slipway.ops.unlock:
  register: locks

- name: Open the lock of a run that was killed
  slipway.ops.unlock:
    name: shop
"""

RETURN = r"""
locks:
  description: The locks that there were, by name. What each holds is as RV(slipway.ops.deploy_lock#module:holder).
  type: dict
  returned: success
lines:
  description: Each of them, and what became of O(name), for people.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import lock


def main() -> None:
    module = AnsibleModule(
        {
            "name": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "directory": {"type": "path", "default": "/var/lib/slipway/locks"},
            "run": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    directory, changed = Path(params["directory"]), False
    try:
        locks = lock.held(directory)
        if params["run"]:
            changed = lock.release(directory / f"{params['name']}.json", params["run"], dry=module.check_mode)
    except OSError as error:
        module.fail_json(msg=lock.unusable(directory, error))
    module.exit_json(
        changed=changed,
        locks={name: asdict(holder) for name, holder in locks.items()},
        lines=lock.describe(locks),
    )


if __name__ == "__main__":
    main()
