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
  - Fails at the end when what answered was not O(version), or when HAProxy sent the live set no request. Somebody else
    was watched then.
  - What a prober that was late itself missed takes no release back; it is in RV(doubts). A prober that has seen no
    answer yet because it was late is given a minute more.
options:
  prober:
    description: Name of the running prober.
    type: str
    required: true
  pool:
    description: HAProxy pool whose live set is watched; of a pool without sets, all its servers.
    type: str
    required: true
  away:
    description: Hosts that need not be up. It is known of them, and their servers of a pool without sets are not asked.
    type: list
    elements: str
    default: []
  version:
    description: The version that must be among the answers that tell one. Empty when the service tells none of use.
    type: str
    default: ""
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
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Watch the release for a minute
  slipway.ops.release_watch:
    prober: deploy-shop
    pool: shop
    version: 2.0.0
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
served:
  description: Requests that HAProxy sent the live set meanwhile, of the prober and of others.
  type: int
  returned: always
doubts:
  description: What could not be measured, because the prober itself was late.
  type: list
  elements: str
  returned: always
"""

import time
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.leave import places_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, find_pools, pick
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.release.watch import Look, decide
from ansible_collections.slipway.ops.plugins.module_utils.service.model import MIXED
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import check_results, results

ID_PREFIX = "delivery.watch"
LOOK = 1.0  # seconds between two looks


def live_set(edge: Edge, pool: str, away: Sequence[str] = ()) -> tuple[list[str], int]:
    """The servers of the live set that are down, each with what its check said, and the requests it was sent so far."""
    stats = edge.worker.stats()
    found = pick("pool", pool, find_pools(stats))
    if not found.sets:
        absent = {server for host in away for _, server in places_of(host, [found])}
        asked = [one for one in found.servers if one.name not in absent and not one.status.startswith("MAINT")]
        return [one.describe() for one in asked if not one.up], stats.requests[pool]
    live = edge.running_map().get(pool)
    servers = pick(f"set of pool {pool!r} called", live, found.sets) if live is not None else []
    if live == MIXED:  # a rolling release keeps what is not to serve in maintenance
        servers = [server for server in servers if not server.status.startswith("MAINT")]
    down = [server.describe() for server in servers if not server.up]
    return down, found.requests.get(live or "", 0)


def watch(params: dict) -> dict:
    """Looks every second; ends early when there is a reason to."""
    control = Control(default_root(), params["prober"])
    edge = Edge.at(params["socket"], params["master_socket"], params["map"])
    limits = check_results(ID_PREFIX, params["limits"])
    started = time.monotonic()
    _, before = live_set(edge, params["pool"], params["away"])
    while True:
        time.sleep(LOOK)
        watched = time.monotonic() - started
        window = watched if watched >= params["seconds"] else min(watched, params["window"])
        traffic = control.summary(window)
        down, requests = live_set(edge, params["pool"], params["away"])
        before = before if requests >= before else 0  # a reload counts anew
        look = Look(
            watched=watched,
            wanted=params["seconds"],
            traffic=traffic,
            judged=results(traffic, ID_PREFIX, params["subject"], limits),
            down=down,
            served=requests - before,
            version=params["version"],
        )
        decision = decide(look)
        if decision.over:
            return {
                "changed": False,
                "watched": round(watched, 1),
                "requests": traffic["total"]["requests"],
                "served": look.served,
                "doubts": decision.doubts,
                "reason": "; ".join(decision.refused[:2]),
            }


def main() -> None:
    path = {"type": "path"}
    module = AnsibleModule(
        {
            "prober": {"type": "str", "required": True},
            "pool": {"type": "str", "required": True},
            "away": {"type": "list", "elements": "str", "default": []},
            "version": {"type": "str", "default": ""},
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
