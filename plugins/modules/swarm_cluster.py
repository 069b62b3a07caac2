#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_cluster
short_description: Arrange the nodes of a swarm
version_added: 0.2.0
description:
  - Runs on a manager. Gives every node its role, labels and availability, and says which nodes no host of the inventory
    is.
options:
  nodes:
    description: All hosts that are nodes. Without any, nodes are left as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name of the host, for messages.
        type: str
        required: true
      id:
        description: Its id in the swarm, as M(slipway.ops.swarm_node) returns it.
        type: str
        required: true
      role:
        description: What it is.
        type: str
        choices: [manager, worker]
        required: true
      availability:
        description: Whether it runs tasks. V(drain) has those go that it runs, V(pause) gives it no others.
        type: str
        choices: [active, pause, drain]
        default: active
      labels:
        description: Its labels. Others are removed.
        type: dict
        default: {}
  whole:
    description: Whether O(nodes) are all of the inventory; only then a node beyond them is known to be absent from it.
    type: bool
    default: true
  remove_absent:
    description: Whether nodes that no host is are drained and removed.
    type: bool
    default: false
  autolock:
    description: Whether managers need a key after a restart.
    type: bool
  rotate_tokens:
    description: Whether the tokens by which hosts join are made anew.
    type: bool
    default: false
  tokens:
    description: Whether they are returned. Give the task C(no_log) then.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be done.
  diff_mode:
    support: none
    description: See RV(actions).
  idempotent:
    support: partial
    description: All but O(rotate_tokens), which makes new ones each time.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: No tasks on the manager
  slipway.ops.swarm_cluster:
    nodes:
      - {host: node1, id: "{{ node1_id }}", role: manager, availability: drain}
      - {host: node2, id: "{{ node2_id }}", role: worker, labels: {rack: "2"}}
"""

RETURN = r"""
actions:
  description: What was done, a sentence each.
  type: list
  elements: str
  returned: success
absent:
  description: Nodes that no host is, and that stay.
  type: list
  elements: str
  returned: success
join:
  description: Tokens by role.
  type: dict
  returned: when O(tokens) is true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.swarm import node
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError

ARGUMENTS = {
    "nodes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "id": {"type": "str", "required": True},
            "role": {"type": "str", "choices": ["manager", "worker"], "required": True},
            "availability": {"type": "str", "choices": ["active", "pause", "drain"], "default": "active"},
            "labels": {"type": "dict", "default": {}},
        },
    },
    "whole": {"type": "bool", "default": True},
    "remove_absent": {"type": "bool", "default": False},
    "autolock": {"type": "bool"},
    "rotate_tokens": {"type": "bool", "default": False, "no_log": False},
    "tokens": {"type": "bool", "default": False, "no_log": False},
}


def change(params: dict, check: bool) -> dict:
    """Does what is asked; returns the module's result."""
    members = [
        node.Member(**one | {"labels": {name: str(value) for name, value in one["labels"].items()}})
        for one in params["nodes"]
    ]
    actions = [] if params["autolock"] is None else node.lock(params["autolock"], check)
    actions += node.arrange(members, check) if members else []
    absent = node.absent(members) if members and params["whole"] else []
    if params["remove_absent"]:
        for one in absent:
            actions.append(f"{node.named(one)} is removed")
            if not check:
                node.remove(one)
        absent = []
    if params["rotate_tokens"]:
        actions.append("tokens are made anew")
        if not check:
            node.rotate()
    return {"changed": bool(actions), "actions": actions, "absent": [node.named(one) for one in absent]}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        if module.check_mode and node.seen().state == "locked":  # it is opened before, and says nothing until then
            module.exit_json(changed=False, actions=[], absent=[], join={})
        result = change(module.params, module.check_mode)
        if module.params["tokens"]:
            result["join"] = node.tokens()
        module.exit_json(**result)
    except SwarmError as error:
        module.fail_json(msg=f"Swarm: {error}.")


if __name__ == "__main__":
    main()
