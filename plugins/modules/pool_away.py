#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_away
short_description: Take a host out of HAProxy's pools for maintenance, and bring it back
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - Of role C(slipway.ops.haproxy)'s pools, the servers of a host are those that are named after it, like C(app1-1).
  - A host that is away gets nothing new, sticky clients included. What it has begun ends there.
  - Who is away is written down on the edge beforehand, so that a run which was killed is taken up by the next one. A
    server that an operator put into maintenance is left there.
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: full
    description: Says whether something would change, and refuses what would be refused.
  diff_mode:
    support: none
    description: Servers have no text worth comparing.
  idempotent:
    support: full
    description: Who is away, or back, is left alone.
options:
  host:
    description: The host, by its name in the inventory. Without it the module only looks.
    type: str
    default: ""
  state:
    description: V(away) sends nothing more to it. V(back) brings it back when its checks pass.
    type: str
    choices: [away, back]
    default: away
  last:
    description: Whether a pool may be left without any server that is up.
    type: bool
    default: false
  wait:
    description: Seconds to wait, for what the host serves to end, or for its checks to pass.
    type: float
    default: 60
seealso:
  - module: slipway.ops.pool_info
"""

EXAMPLES = r"""
- name: Send app1 nothing more
  slipway.ops.pool_away:
    host: app1
  delegate_to: edge1

- name: Bring it back
  slipway.ops.pool_away:
    host: app1
    state: back
  delegate_to: edge1
"""

RETURN = r"""
servers:
  description: Those that left or came back, or would, as C(backend/server).
  type: list
  elements: str
  returned: success
  sample: [sample-blue/app1-1]
left:
  description: Requests and WebSockets that the host still served when O(wait) was over.
  type: int
  returned: success
away:
  description: Hosts that are away now.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.leave import Away, come_back, leave
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError


def main() -> None:
    """Read the options, send away or bring back, answer."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["away", "back"], "default": "away"},
            "last": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 60},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
        },
        supports_check_mode=True,
    )
    options, left = module.params, 0
    places: list[tuple[str, str]] = []
    edge = Edge.at(options["socket"], options["master_socket"], options["map"])
    try:
        if options["host"] and options["state"] == "away":
            places, left = leave(edge, options["host"], options["last"], options["wait"], module.check_mode)
        elif options["host"]:
            places = come_back(edge, options["host"], options["wait"], module.check_mode)
        away = sorted(Away.of(edge).read())
    except (HaproxyError, OSError) as error:
        module.fail_json(msg=str(error))
    servers = ["/".join(place) for place in places]
    module.exit_json(changed=bool(servers), servers=servers, left=left, away=away)


if __name__ == "__main__":
    main()
