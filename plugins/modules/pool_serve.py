#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_serve
short_description: Say which colour of a HAProxy pool serves on which host
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - For releases that go from host to host. Puts the servers of the pool's set C(both) in and out of maintenance, sends
    the pool's requests to that set, and waits until the hosts that are to get none have ended those that they have.
  - Maintenance cuts nothing, and overrides the cookies of sticky pools.
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: none
    description: A release in check mode ends before it.
  diff_mode:
    support: none
    description: It changes no text.
  idempotent:
    support: full
    description: A server that is as it should be is left alone.
options:
  pool:
    description: Name of the pool, which has sets C(blue), C(green) and C(both).
    type: str
    required: true
  colours:
    description:
      - By app host, the colour that gets its requests; empty for none. Without this option every server of the set
        serves again, and where the pool's requests go stays as it is.
    type: dict
  up:
    description: Hosts whose servers must be up, by HAProxy's own checks, before any is taken out.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds to wait for O(up).
    type: float
    default: 0
  drain_timeout:
    description: Seconds to wait for the last request of hosts that get none any more.
    type: float
    default: 0
  strict:
    description:
      - Whether it is a failure that a server of O(up) is down; nothing is taken out then. Where something is restored,
        any step towards it is better than none.
    type: bool
    default: true
seealso:
  - module: slipway.ops.pool_switch
"""

EXAMPLES = r"""
- name: Take app1 out
  slipway.ops.pool_serve:
    pool: shop
    colours: {app1: "", app2: blue}
    drain_timeout: 60

- name: Put it back with the new release
  slipway.ops.pool_serve:
    pool: shop
    colours: {app1: green, app2: blue}
    up: [app1]
    wait: 30
"""

RETURN = r"""
left:
  description: Sessions that were left on hosts that get no requests any more; 0 is drained.
  type: int
  returned: always
took:
  description: Seconds waited for them.
  type: float
  returned: always
down:
  description: Servers of O(up) that are down, each with what its check said.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, switch
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.release import rolling
from ansible_collections.slipway.ops.plugins.module_utils.service.model import MIXED


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Brings in what is to serve, then takes out what is not."""
    edge = Edge.at(params["socket"], params["master_socket"], params["map"])
    pool, colours = params["pool"], params["colours"]
    changed = rolling.serve(edge, pool, colours, ["ready"])
    if colours is None:
        return {"changed": changed, "left": 0, "took": 0.0, "down": []}
    down = rolling.wait_up(edge, pool, colours, params["up"], params["wait"])
    if down and params["strict"]:
        raise HaproxyError(f"Pool {pool!r}: after {params['wait']:g} s {'; '.join(down)}. No host was taken out.")
    changed |= rolling.serve(edge, pool, colours, ["maint"])
    changed |= switch(edge, pool, MIXED).changed
    away = [host for host, colour in colours.items() if not colour]
    left, took = rolling.drain(edge, pool, away, params["drain_timeout"]) if away else (0, 0.0)
    return {"changed": changed, "left": left, "took": took, "down": down}


def main() -> None:
    """Read the options and answer."""
    path = {"type": "path"}
    module = AnsibleModule(
        {
            "pool": {"type": "str", "required": True},
            "colours": {"type": "dict"},
            "up": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "float", "default": 0},
            "drain_timeout": {"type": "float", "default": 0},
            "strict": {"type": "bool", "default": True},
            "socket": {**path, "default": "/run/haproxy/admin.sock"},
            "master_socket": {**path, "default": "/run/haproxy-master.sock"},
            "map": {**path, "default": "/var/lib/slipway/haproxy/live.map"},
        }
    )
    try:
        module.exit_json(**run(module.params))
    except HaproxyError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
