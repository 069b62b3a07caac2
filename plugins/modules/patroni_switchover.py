#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_switchover
short_description: Hand over from one leader of a Patroni cluster to another, and measure how long nobody led
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Runs on any one member. Refuses while a member is missing, does not stream, or is behind, and where the candidate
    may lack rows in synchronous mode.
  - Switches, and waits until all members follow the new leader. What was measured lies in the host's spool, from which
    playbooks take it into the evidence store.
options:
  candidate:
    description: Who is to lead. Empty for the synchronous replica, or the one that is the least behind.
    type: str
    default: ""
  members:
    description: Members that must be there.
    type: list
    elements: str
    default: []
  maximum_lag:
    description: How far a replica may be behind beforehand, in bytes.
    type: int
    default: 1048576
  timeout:
    description: Seconds in which the cluster must be whole again.
    type: float
    default: 120
  follow:
    description:
      - Wait until all members follow. With V(false) it ends when the new leader lets clients in, and
        O(switched_from) waits for the rest.
    type: bool
    default: true
  switched_from:
    description: Who led before a switch that was not waited for. Nothing is switched then; all members must follow.
    type: str
    default: ""
  look:
    description: Only say who leads and who would, without switching.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says who would lead.
  diff_mode:
    support: none
    description: Nothing is written.
  idempotent:
    support: partial
    description: A named candidate that leads already stays. Without one each run switches.
"""

EXAMPLES = r"""
- name: Let db2 lead
  slipway.ops.patroni_switchover:
    candidate: db2
    members: [db1, db2, db3]

- name: Go on as soon as another leads
  slipway.ops.patroni_switchover:
    follow: false
  register: switched

- name: See that all members follow it
  slipway.ops.patroni_switchover:
    switched_from: "{{ switched.former }}"
"""

RETURN = r"""
former:
  description: Who led.
  type: str
  returned: success
leader:
  description: Who leads now, or would.
  type: str
  returned: success
gap:
  description: Seconds in which no member answered as the leader. None when nothing was switched now.
  type: float
  returned: success
  sample: 1.84
problems:
  description: What is still wrong with the cluster, a sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.switch import (
    Wanted,
    followed,
    switch,
)
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool

VERSION = "0.1.0"


def main() -> None:
    """Read the options, switch, answer."""
    module = AnsibleModule(
        argument_spec={
            "candidate": {"type": "str", "default": ""},
            "members": {"type": "list", "elements": "str", "default": []},
            "maximum_lag": {"type": "int", "default": 1 << 20},
            "timeout": {"type": "float", "default": 120},
            "follow": {"type": "bool", "default": True},
            "switched_from": {"type": "str", "default": ""},
            "look": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    only_look = options.pop("look") or module.check_mode
    former = options.pop("switched_from")
    try:
        client = Client.of_this_host()
        wanted = Wanted(**options)
        done = followed(client, wanted, former) if former else switch(client, wanted, only_look)
    except PatroniError as error:
        module.fail_json(msg=f"patroni_switchover: {error}")
    results = done.results(client.scope, f"patroni_switchover {VERSION}")
    Spool().leave([result.as_dict() for result in results], "switchover")
    changed = done.leader != done.former and not (module.params["look"] or former)
    module.exit_json(changed=changed, former=done.former, leader=done.leader, gap=done.gap, problems=done.problems)


if __name__ == "__main__":
    main()
