#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_replica_set
short_description: Have a replica set of MongoDB with these members, and its administrator
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Begins the set when no member is in one, and makes its administrator on the host's own server, which lets in who
    makes the first user. Afterwards it takes members in and out, one at a time.
  - Run it on one member.
options:
  name:
    description: Name of the set.
    type: str
    required: true
  members:
    description: All members, the host's own first.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: Name by which clients and members reach it, with its port.
        type: str
        required: true
      arbiter:
        description: Whether it votes and has no data.
        type: bool
        default: false
  local:
    description: URI of the host's own server on loopback.
    type: str
    required: true
  options:
    description: Options of every member's URI, such as V(tls=true).
    type: str
    default: ""
  user:
    description: The administrator.
    type: str
    default: admin
  password:
    description: Its password.
    type: str
    required: true
  timeout:
    description: Seconds to wait until somebody leads.
    type: float
    default: 60
requirements:
  - python3-pymongo on the host
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: A sentence for each change.
  idempotent:
    support: full
    description: A set with these members and a password that comes in is left alone.
"""

EXAMPLES = r"""
- name: Have the set
  slipway.ops.mongodb_replica_set:
    name: rs0
    members: [{host: "db1:27017"}, {host: "db2:27017"}, {host: "db3:27017", arbiter: true}]
    local: mongodb://127.0.0.1:27017/?directConnection=true&tls=true&tlsAllowInvalidHostnames=true
    options: tls=true
    password: "{{ vault_mongodb_admin }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["took db3:27017 into the set"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.replica_set import Asked, Member, settle

MEMBER = {"host": {"type": "str", "required": True}, "arbiter": {"type": "bool", "default": False}}


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "dict", "required": True, "options": MEMBER},
            "local": {"type": "str", "required": True},
            "options": {"type": "str", "default": ""},
            "user": {"type": "str", "default": "admin"},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    members, patience = [Member(**one) for one in given.pop("members")], given.pop("timeout")
    try:
        actions = settle(Asked(members=members, patience=patience, **given), module.check_mode)
    except MongodbError as error:
        module.fail_json(msg=f"mongodb_replica_set: {error}")
    module.exit_json(
        changed=bool(actions), actions=actions, diff={"before": "", "after": "".join(f"{one}\n" for one in actions)}
    )


if __name__ == "__main__":
    main()
