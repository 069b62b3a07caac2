#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_rejoin
short_description: Have a replica give up its data and copy the leader anew
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - For replicas of a cluster that was restored, whose data is of another history than the leader's.
  - Removes what is in this host's data directory and has Patroni fill it, from the newest backup where the cluster has
    backups, and waits until it streams.
  - Refuses where nobody leads, and on the leader.
options:
  timeout:
    description: Seconds in which the copy must be there and stream.
    type: float
    default: 86400
attributes:
  check_mode:
    support: full
    description: Nothing is removed.
  diff_mode:
    support: none
    description: Data has no diff.
  idempotent:
    support: full
    description: A member that streams on the leader's timeline is left alone.
"""

EXAMPLES = r"""
- name: Follow the restored leader
  slipway.ops.patroni_rejoin:
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.rejoin import rejoin
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={"timeout": {"type": "float", "default": 86400.0}},
        supports_check_mode=True,
    )
    try:
        changed = rejoin(module.params["timeout"], module.check_mode)
    except (PatroniError, RestoreError, OSError) as error:
        module.fail_json(msg=f"patroni_rejoin: {error}")
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
