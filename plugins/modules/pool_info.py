#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_info
short_description: See which set of each HAProxy pool is live, and how every server is
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Reads from the running HAProxy, which is the truth, and compares with the map file that it would restart from.
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
options:
  pools:
    description: Names of pools; all when not given. An unknown one is an error.
    type: list
    elements: str
  up:
    description: Name of a set. Fails, naming the servers and what their checks said, unless all of it is up in each of
      O(pools).
    type: str
  wait:
    description: Seconds to wait for that.
    type: float
    default: 0
seealso:
  - module: slipway.ops.pool_switch
"""

EXAMPLES = r"""
- name: See what is live
  slipway.ops.pool_info:
  register: edge

- name: Say it
  ansible.builtin.debug:
    msg: "{{ edge.pools.sample.live }} since the last switch, {{ edge.pools.sample.sets.green.up }} of green up"
"""

RETURN = r"""
pools:
  description: By the pool's name.
  type: dict
  returned: success
  contains:
    live: {description: The live set; none for a pool without sets., type: str}
    durable: {description: "Whether the map file says the same; false after a run that was killed.", type: bool}
    sets:
      description: "By the set's name: C(total) and C(up) count servers, C(sessions) what it serves now, C(servers)
        is as in M(slipway.ops.pool_switch)."
      type: dict
    servers: {description: "The servers of a pool without sets.", type: list, elements: dict}
version:
  description: HAProxy's version.
  type: str
  returned: success
uptime:
  description: Seconds since the running process was started by a start or reload.
  type: int
  returned: success
old_workers:
  description: How many processes of before a reload still have connections.
  type: int
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import (
    Edge,
    describe_pools,
    too_few_up,
    wait_for_servers,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError


def _not_up(edge: Edge, pool: str, set_name: str, wait: float) -> str | None:
    return too_few_up(pool, set_name, wait_for_servers(edge, pool, set_name, None, wait), None)


def main() -> None:
    """Read the options, look, and answer."""
    module = AnsibleModule(
        argument_spec={
            "pools": {"type": "list", "elements": "str"},
            "up": {"type": "str"},
            "wait": {"type": "float", "default": 0},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
        },
        required_by={"up": ["pools"]},
        supports_check_mode=True,
    )
    options: dict[str, Any] = module.params
    edge = Edge.at(options["socket"], options["master_socket"], options["map"])
    try:
        problems = [
            problem
            for pool in options["pools"] or []
            if options["up"] and (problem := _not_up(edge, pool, options["up"], options["wait"]))
        ]
        if problems:
            module.fail_json(msg=" ".join(problems))
        info = edge.worker.info()
        pools = describe_pools(edge, options["pools"])
        old = len(edge.old_workers())
    except HaproxyError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False, pools=pools, version=info.get("Version"), uptime=int(info.get("Uptime_sec", 0)), old_workers=old
    )


if __name__ == "__main__":
    main()
