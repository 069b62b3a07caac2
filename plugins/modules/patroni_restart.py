#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_restart
short_description: Restart a replica that runs older programs or settings than it has
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Compares the versions of PostgreSQL and Patroni that run with those installed, and asks which settings wait for a
    restart.
  - Restarts this host's member when that is needed and it is a replica, with all others healthy, and waits until the
    cluster is whole again. The leader is only told of.
options:
  members:
    description: Members that must be there.
    type: list
    elements: str
    default: []
  maximum_lag:
    description: How far a replica may be behind, in bytes.
    type: int
    default: 1048576
  timeout:
    description: Seconds in which the cluster must be whole again.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Nothing is restarted.
  diff_mode:
    support: none
    description: Nothing is written.
  idempotent:
    support: full
    description: A member that runs what it has is left alone.
"""

EXAMPLES = r"""
- name: Restart replicas that need it, one after the other
  slipway.ops.patroni_restart:
    members: [db1, db2, db3]
  throttle: 1
"""

RETURN = r"""
leads:
  description: Whether this host's member is the leader.
  type: bool
  returned: success
reasons:
  description: Why a restart was, or for the leader is, needed, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["PostgreSQL 17.5 runs, 17.6 is installed"]
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.restart import needed, restart
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.switch import Wanted


def main() -> None:
    """Read the options, compare, restart, answer."""
    module = AnsibleModule(
        argument_spec={
            "members": {"type": "list", "elements": "str", "default": []},
            "maximum_lag": {"type": "int", "default": 1 << 20},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        client = Client.of_this_host()
        leads, why = needed(client)
        changed = bool(why) and not leads
        if changed and not module.check_mode:
            restart(client, Wanted(**module.params))
    except (PatroniError, OSError, subprocess.CalledProcessError) as error:
        module.fail_json(msg=f"patroni_restart: {error}")
    module.exit_json(changed=changed, leads=leads, reasons=why)


if __name__ == "__main__":
    main()
