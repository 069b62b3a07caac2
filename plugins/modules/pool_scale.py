#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_scale
short_description: Say how many instances of each host serve in a set of a HAProxy pool
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - A pool of a service with C(scaling.max) has spare servers, in maintenance and without weight. New ones get requests
    once HAProxy's own check of them has passed. Those that are too many get nothing more, sticky clients included, and
    are waited for; nothing is cut.
  - A server that somebody put into maintenance keeps its weight and stays where it is.
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: none
    description: C(scale.yml) ends before it in check mode.
  diff_mode:
    support: none
    description: It changes no text.
  idempotent:
    support: full
    description: A set that is as it should be is left alone.
options:
  pool:
    description: Name of the pool.
    type: str
    required: true
  set:
    description: Name of the set.
    type: str
    required: true
  instances:
    description: How many of each host.
    type: int
    required: true
  checked:
    description: >-
      Whether new servers have to pass HAProxy's check. If one does not, none of them gets requests and the module
      fails. Not for a set that nobody sends requests to yet.
    type: bool
    default: true
  wait:
    description: Seconds to wait for their checks.
    type: float
    default: 30
  drain_timeout:
    description: Seconds to wait for the last request of those that leave.
    type: float
    default: 0
seealso:
  - module: slipway.ops.pool_info
"""

EXAMPLES = r"""
- name: Three of each host
  slipway.ops.pool_scale:
    pool: shop
    set: blue
    instances: 3
    drain_timeout: 60
"""

RETURN = r"""
joined:
  description: Servers that get requests now.
  type: list
  elements: str
  returned: success
left:
  description: Servers that get none any more.
  type: list
  elements: str
  returned: success
sessions:
  description: Requests and WebSockets that those still serve; 0 is drained.
  type: int
  returned: success
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.scale import Set


def main() -> None:
    """Read the options, change what differs, answer."""
    module = AnsibleModule(
        {
            "pool": {"type": "str", "required": True},
            "set": {"type": "str", "required": True},
            "instances": {"type": "int", "required": True},
            "checked": {"type": "bool", "default": True},
            "wait": {"type": "float", "default": 30},
            "drain_timeout": {"type": "float", "default": 0},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
        }
    )
    options = module.params
    edge = Edge.at(options["socket"], options["master_socket"], options["map"])
    try:
        done = Set(edge, options["pool"], options["set"]).scale(
            options["instances"], options["wait"], options["drain_timeout"], options["checked"]
        )
    except HaproxyError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done.joined or done.left), **asdict(done))


if __name__ == "__main__":
    main()
