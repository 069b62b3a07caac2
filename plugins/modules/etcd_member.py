#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Have this host's etcd take part in its cluster
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Starts etcd and waits until it answers what needs a majority.
  - A member without data, while the others work on, is taken out of the cluster and let in anew; it copies theirs.
  - Restarts a member with changed files only when asked, and only while the others can do without it.
options:
  name:
    description: Name of this host's member.
    type: str
    required: true
  members:
    description: Peer URLs of all members, this one too, by name.
    type: dict
    required: true
  client_port:
    description: Port for clients, on all members.
    type: int
    default: 2379
  data_directory:
    description: The data directory.
    type: path
    required: true
  ca:
    description: Authority of the members' certificates.
    type: path
    required: true
  certificate:
    description: Certificate to ask the members with.
    type: path
    required: true
  key:
    description: Its key.
    type: path
    required: true
  formed:
    description: >-
      Other members that have taken part in a cluster before. Where there are some and no majority of them works, a
      member without data is not started. It could begin a second cluster.
    type: list
    elements: str
    default: []
  restart:
    description: Restart the member if its files are newer than it.
    type: bool
    default: false
  timeout:
    description: Seconds to wait until the member takes part.
    type: float
    default: 90
requirements:
  - etcdctl on the host
attributes:
  check_mode:
    support: full
    description: Nothing is started, joined or restarted.
  diff_mode:
    support: none
    description: Nothing is written.
  idempotent:
    support: full
    description: A member that takes part and has read its files is left alone.
"""

EXAMPLES = r"""
- name: Take part in the cluster
  slipway.ops.etcd_member:
    name: db1
    members: {db1: "https://db1:2380", db2: "https://db2:2380", db3: "https://db3:2380"}
    formed: [db2, db3]
    data_directory: /var/lib/etcd/slipway
    ca: /usr/local/share/ca-certificates/slipway-internal-ca.crt
    certificate: /etc/slipway/certificates/etcd/fullchain.pem
    key: /etc/slipway/certificates/etcd/key.pem
"""

RETURN = r"""
actions:
  description: What was done, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["joined the cluster of db1, db2 anew"]
stale:
  description: Whether the member runs with older files than there are.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.etcd import EtcdError
from ansible_collections.slipway.ops.plugins.module_utils.etcd.member import Member, restart, take_part


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "members": {"type": "dict", "required": True},
            "client_port": {"type": "int", "default": 2379},
            "data_directory": {"type": "path", "required": True},
            "ca": {"type": "path", "required": True},
            "certificate": {"type": "path", "required": True},
            "key": {"type": "path", "required": True, "no_log": False},
            "formed": {"type": "list", "elements": "str", "default": []},
            "restart": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 90},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    wants_restart = options.pop("restart")
    member = Member(**options)
    try:
        outcome = restart(member) if wants_restart and not module.check_mode else take_part(member, module.check_mode)
    except (EtcdError, OSError) as error:
        module.fail_json(msg=f"etcd_member: {error}")
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, stale=outcome.stale)


if __name__ == "__main__":
    main()
