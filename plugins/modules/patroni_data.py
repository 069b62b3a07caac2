#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_data
short_description: Leave a data directory to Patroni, if it may have it
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Patroni makes, copies and rewinds the data directory. This makes an empty one, refuses what
    M(slipway.ops.postgresql_cluster) refuses (data that nobody here knows, another version's, a volume that is not
    mounted), and says how much memory, cores and disk the host has.
options:
  version:
    description: Major version.
    type: int
    required: true
  name:
    description: Name of the cluster, as Debian's tools have it.
    type: str
    default: main
  directory:
    description: The data directory.
    type: path
    required: true
  mount:
    description: A mount point that must hold O(directory). Empty for none.
    type: str
    default: ""
  adopt:
    description: Let Patroni have a directory that is not empty and not known.
    type: bool
    default: false
  upgrade:
    description: As O(adopt), and of another major version than what this member has so far.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Nothing is made. What would be refused is refused.
  diff_mode:
    support: none
    description: A data directory has no diff.
  idempotent:
    support: full
    description: What is there stays as it is.
"""

EXAMPLES = r"""
- name: Leave the data directory to Patroni
  slipway.ops.patroni_data:
    version: 17
    directory: /var/lib/postgresql/17/main
  register: data
"""

RETURN = r"""
host:
  description: C(memory) and C(disk) in bytes, C(cores); what settings are derived from.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, cluster
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.host import look as look_at_host
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.data import hand_over


def main() -> None:
    """Read the options, look, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "int", "required": True},
            "name": {"type": "str", "default": "main"},
            "directory": {"type": "path", "required": True},
            "mount": {"type": "str", "default": ""},
            "adopt": {"type": "bool", "default": False},
            "upgrade": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    try:
        host = vars(look_at_host(module.params["directory"]))
        upgrade = options.pop("upgrade")
        changed = hand_over(cluster.Wanted(**options), upgrade, module.check_mode)
    except (PostgresqlError, OSError) as error:
        module.fail_json(msg=f"patroni_data: {error}")
    module.exit_json(changed=changed, host=host)


if __name__ == "__main__":
    main()
