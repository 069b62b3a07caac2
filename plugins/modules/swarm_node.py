#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_node
short_description: Have this host be a node of a swarm
version_added: 0.2.0
description:
  - Makes a swarm of the host or has it join one, and waits until it takes part. Tokens go to the engine's socket, never
    through a command line.
options:
  state:
    description:
      - V(seen) only says how the host is; it opens a locked manager where O(key_file) has the key.
      - V(present) has it take part.
    type: str
    choices: [seen, present]
    required: true
  role:
    description: What it is when it joins; later M(slipway.ops.swarm_cluster) changes it.
    type: str
    choices: [manager, worker]
    default: manager
  address:
    description: Address at which the other nodes reach it, IPv4 or IPv6.
    type: str
  data_path_address:
    description: Address for the traffic of overlay networks. Empty for O(address).
    type: str
    default: ""
  managers:
    description: Addresses of managers to join. Without any the host begins a swarm of its own.
    type: list
    elements: str
    default: []
  token:
    description: Token of the swarm for the host's role.
    type: str
    default: ""
  address_pools:
    description: Networks of which overlay networks get theirs, of a swarm that begins. Empty for Docker's own.
    type: list
    elements: str
    default: []
  key_file:
    description: Where the key that opens managers is kept, for root alone. Empty keeps none.
    type: path
attributes:
  check_mode:
    support: full
    description: Nothing is begun, joined or opened.
  diff_mode:
    support: none
    description: A membership has no text worth comparing.
  idempotent:
    support: full
    description: A host that takes part is left alone.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Begin a swarm
  slipway.ops.swarm_node:
    state: present
    address: 10.0.0.11
"""

RETURN = r"""
id:
  description: The node's id, empty for none.
  type: str
  returned: success
node_state:
  description: Docker's word for it, such as V(active), V(inactive) or V(locked).
  type: str
  returned: success
manages:
  description: Whether it answers as a manager.
  type: bool
  returned: success
address:
  description: As given.
  type: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import SOCKET
from ansible_collections.slipway.ops.plugins.module_utils.swarm import node
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError

ARGUMENTS = {
    "state": {"type": "str", "choices": ["seen", "present"], "required": True},
    "role": {"type": "str", "choices": ["manager", "worker"], "default": "manager"},
    "address": {"type": "str"},
    "data_path_address": {"type": "str", "default": ""},
    "managers": {"type": "list", "elements": "str", "default": []},
    "token": {"type": "str", "default": "", "no_log": True},
    "address_pools": {"type": "list", "elements": "str", "default": []},
    "key_file": {"type": "path", "no_log": False},
}


def change(params: dict, check: bool) -> bool:
    """Whether the host had to change; in check mode, whether it would."""
    key_file = Path(params["key_file"]) if params["key_file"] else None
    now = node.seen()
    if now.state == "locked" and key_file:
        if not check:
            node.unlock(key_file)
        return True
    if params["state"] == "seen":
        return False
    if now.state == "locked":
        raise SwarmError("this manager is locked: docker swarm unlock asks for its key")
    changed = now.state not in ("active", "pending")
    if changed and not check:
        data_path = params["data_path_address"] or params["address"]
        if params["managers"]:
            manages = params["role"] == "manager"
            node.join(params["address"], data_path, params["managers"], params["token"], manages)
        else:
            node.begin(params["address"], data_path, params["address_pools"])
    if key_file and not check and node.seen().manages:
        changed |= node.keep_key(key_file)
    return changed


def expected(params: dict, check: bool) -> node.Node:
    """How the host is; in check mode, a locked one as it would be once it is opened."""
    now = node.seen()
    opened = check and now.state == "locked" and params["key_file"]
    return node.Node("active", now.id, manages=True) if opened else now


def main() -> None:
    module = AnsibleModule(ARGUMENTS, required_if=[("state", "present", ["address"])], supports_check_mode=True)
    address = module.params["address"]
    try:
        changed = change(module.params, module.check_mode)
        now = expected(module.params, module.check_mode)
    except (AddressError, SwarmError, OSError) as error:
        if module.check_mode and not Path(SOCKET).exists():  # the engine comes before it in the same dry run
            module.exit_json(
                changed=module.params["state"] == "present",
                id="",
                node_state="inactive",
                manages=False,
                address=address,
            )
        module.fail_json(msg=f"Swarm: {error}.")
    module.exit_json(changed=changed, id=now.id, node_state=now.state, manages=now.manages, address=address)


if __name__ == "__main__":
    main()
