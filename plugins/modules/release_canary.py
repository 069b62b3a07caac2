#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_canary
short_description: Give a new release a share of the requests, and judge it against the live one
version_added: 0.1.0
description:
  - One step of a canary on one edge. Weighs the servers of the pool's set C(both), sends the pool's requests there, and
    compares what both releases make of the same minutes.
  - Errors are what HAProxy counted of all requests, compared by Fisher's exact test. Latencies are the prober's, by the
    version that answered, compared by Mann and Whitney's U.
  - Fails as soon as the canary is far worse, as soon as one of its servers is down, when it is worse at the end, and
    when there was too little data to say so. Nothing is taken back then; that is the caller's.
options:
  pool:
    description: HAProxy pool, which has sets C(blue), C(green) and C(both).
    type: str
    required: true
  colour:
    description: The new release's.
    type: str
    choices: [blue, green]
    required: true
  version:
    description: The new release's, as its answers tell it.
    type: str
    required: true
  baseline_version:
    description: The live release's.
    type: str
    required: true
  prober:
    description: Name of the running prober of M(slipway.ops.traffic).
    type: str
    required: true
  share:
    description: Percent of the requests that the new release gets, 1 to 99.
    type: int
    required: true
  seconds:
    description: How long the step takes at least.
    type: int
    required: true
  hold:
    description: Seconds beyond O(seconds) for which it waits for enough data.
    type: int
    default: 300
  minimum:
    description: Requests and answers of each release that are enough to judge.
    type: int
    default: 500
  error_rate:
    description: Percentage points by which more requests may fail than of the live release.
    type: float
    default: 0.5
  latency:
    description: Percent by which the median may be longer than the live release's.
    type: float
    default: 10
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: none
    description: In check mode nothing was released that could be judged.
  diff_mode:
    support: none
    description: Weights are for minutes.
  idempotent:
    support: none
    description: Every run measures.
seealso:
  - module: slipway.ops.pool_switch
  - module: slipway.ops.release_watch
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: A tenth of the requests for two minutes
  slipway.ops.release_canary:
    pool: shop
    colour: green
    version: 2.0.0
    baseline_version: 1.0.0
    prober: deploy-shop
    share: 10
    seconds: 120
"""

RETURN = r"""
share:
  description: The new release's share in percent.
  type: int
  returned: always
verdict:
  description: V(pass), V(fail), or V(hold) when there was too little data.
  type: str
  returned: always
watched:
  description: Seconds that the step took.
  type: float
  returned: always
canary:
  description: What the new release made of its requests.
  type: dict
  returned: always
  contains: &side
    requests: {description: Requests that HAProxy sent it., type: int}
    failed: {description: "Those that were answered with 5xx, or not at all.", type: int}
    answers: {description: Answers to the prober whose time was taken., type: int}
    latency_p50: {description: Milliseconds within which half of them came., type: float}
baseline:
  description: What the live release made of its own.
  type: dict
  returned: always
  contains: *side
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, switch
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.release.canary import Seen, count, decide, described, weigh
from ansible_collections.slipway.ops.plugins.module_utils.release.judge import Measured, Tolerance
from ansible_collections.slipway.ops.plugins.module_utils.release.plan import other
from ansible_collections.slipway.ops.plugins.module_utils.service.model import MIXED
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError

LOOK = 1.0  # seconds between two looks


def step(params: dict[str, Any]) -> dict[str, Any]:
    """Looks every second until there is a last word."""
    edge = Edge.at(params["socket"], params["master_socket"], params["map"])
    control = Control(default_root(), params["prober"])
    pool, colour = params["pool"], params["colour"]
    tolerance = Tolerance(minimum=params["minimum"], error_rate=params["error_rate"], latency=params["latency"])
    weigh(edge, pool, colour, params["share"])
    switch(edge, pool, MIXED)
    before = count(edge.worker.ask("show stat"), pool)
    began, started = time.time(), time.monotonic()
    while True:
        time.sleep(LOOK)
        now = count(edge.worker.ask("show stat"), pool)
        latency = control.latency_of_versions(began)
        sides = {
            version: Measured(made.requests, made.failed, latency.get(version, {}))
            for version, name in ((params["version"], colour), (params["baseline_version"], other(colour)))
            for made in (now[name].since(before[name]),)
        }
        seen = Seen(
            watched=time.monotonic() - started,
            wanted=params["seconds"],
            patience=params["hold"],
            canary=sides[params["version"]],
            baseline=sides[params["baseline_version"]],
            down=[server.describe() for server in edge.pool(pool, having=colour).sets[colour] if not server.up],
        )
        judgement = decide(seen, tolerance)
        if judgement:
            return {
                "changed": True,
                "share": params["share"],
                "verdict": judgement.verdict,
                "reason": judgement.reason,
                "watched": round(seen.watched, 1),
                "canary": described(seen.canary),
                "baseline": described(seen.baseline),
            }


def main() -> None:
    path = {"type": "path"}
    module = AnsibleModule(
        {
            "pool": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": ["blue", "green"], "required": True},
            "version": {"type": "str", "required": True},
            "baseline_version": {"type": "str", "required": True},
            "prober": {"type": "str", "required": True},
            "share": {"type": "int", "required": True},
            "seconds": {"type": "int", "required": True},
            "hold": {"type": "int", "default": 300},
            "minimum": {"type": "int", "default": 500},
            "error_rate": {"type": "float", "default": 0.5},
            "latency": {"type": "float", "default": 10},
            "socket": {**path, "default": "/run/haproxy/admin.sock"},
            "master_socket": {**path, "default": "/run/haproxy-master.sock"},
            "map": {**path, "default": "/var/lib/slipway/haproxy/live.map"},
        }
    )
    if not 0 < module.params["share"] < 100:
        module.fail_json(msg=f"share is {module.params['share']}, and a canary's is 1 to 99 percent.")
    try:
        seen = step(module.params)
    except (HaproxyError, TrafficError, OSError) as error:
        module.fail_json(msg=f"The canary could not be judged, so it does not count as good: {error}")
    if seen["verdict"] != "pass":
        module.fail_json(msg=f"at {seen['share']} %, after {seen['watched']:g} s: {seen['reason']}", **seen)
    module.exit_json(**seen)


if __name__ == "__main__":
    main()
