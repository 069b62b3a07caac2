#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_watch
short_description: Keep an eye on a new release under traffic, and say as soon as it breaks a limit
version_added: 0.1.0
description:
  - Watches a prober that M(slipway.ops.traffic) started on this host, and HAProxy's checks of the live set.
  - Fails at once when the last O(window) seconds broke a limit, when a server of the live set is down, or when nothing
    could be measured; so a bad release is live for seconds, not for the whole watch.
options:
  prober:
    description: Name of the running prober.
    type: str
    required: true
  pool:
    description: HAProxy pool whose live set is watched.
    type: str
    required: true
  seconds:
    description: How long to watch.
    type: int
    required: true
  window:
    description: Seconds over which the limits are judged; the time before the watch does not count.
    type: int
    default: 10
  limits:
    description: Limits by measure, as in M(slipway.ops.traffic).
    type: dict
    required: true
  subject:
    description: What the results speak of.
    type: str
    required: true
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: none
    description: In check mode nothing was released that could be watched.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
seealso:
  - module: slipway.ops.traffic
author:
  - The Slipway authors
"""

EXAMPLES = r"""
- name: Watch the release for a minute
  slipway.ops.release_watch:
    prober: deploy-shop
    pool: shop
    seconds: 60
    subject: shop
    limits: {error_rate: "< 1 %", latency_p95: "< 500 ms"}
"""

RETURN = r"""
watched:
  description: Seconds watched.
  type: float
  returned: always
requests:
  description: Requests judged last.
  type: int
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.haproxy import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.haproxy_pools import Edge
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import check_results, results

ID_PREFIX = "delivery.watch"
LOOK = 1.0  # seconds between two looks
FIRST = 3.0  # seconds before the first judgement: fewer are too few requests to judge by


def down(edge: Edge, pool: str) -> list[str]:
    """The servers of the live set that are down, each with what its check said."""
    live = edge.running_map().get(pool)
    found = edge.pool(pool, having=live)
    return [server.describe() for server in found.sets.get(live or "", []) if not server.up]


def watch(params: dict) -> dict:
    """Looks every second; ends early when there is a reason to."""
    control = Control(default_root(), params["prober"])
    edge = Edge.at(params["socket"], params["master_socket"], params["map"])
    limits = check_results(ID_PREFIX, params["limits"])
    started = time.monotonic()
    while True:
        time.sleep(LOOK)
        watched = time.monotonic() - started
        last = watched >= params["seconds"]
        window = watched if last else min(watched, params["window"])
        traffic = control.summary(window)
        judged = results(traffic, ID_PREFIX, params["subject"], limits)
        reasons = down(edge, params["pool"])
        if last or watched >= FIRST:
            reasons += [result["reason"] for result in judged if result["verdict"] in ("fail", "unknown")]
        if reasons or last:
            return {
                "changed": False,
                "watched": round(watched, 1),
                "requests": traffic["total"]["requests"],
                "reason": "; ".join(reasons[:2]),
            }


def main() -> None:
    path = {"type": "path"}
    module = AnsibleModule(
        {
            "prober": {"type": "str", "required": True},
            "pool": {"type": "str", "required": True},
            "seconds": {"type": "int", "required": True},
            "window": {"type": "int", "default": 10},
            "limits": {"type": "dict", "required": True},
            "subject": {"type": "str", "required": True},
            "socket": {**path, "default": "/run/haproxy/admin.sock"},
            "master_socket": {**path, "default": "/run/haproxy-master.sock"},
            "map": {**path, "default": "/var/lib/slipway/haproxy/live.map"},
        }
    )
    try:
        seen = watch(module.params)
    except (HaproxyError, TrafficError, OSError) as error:
        module.fail_json(msg=f"The release could not be watched, so it does not count as good: {error}")
    if seen["reason"]:
        module.fail_json(msg=f"after {seen['watched']:g} s: {seen['reason']}", **seen)
    module.exit_json(**seen)


if __name__ == "__main__":
    main()
