#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_switch
short_description: Send a HAProxy pool's requests to another of its sets, at once and durably
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - A pool of role C(slipway.ops.haproxy) has sets of servers, like C(blue) and C(green); a map that HAProxy asks at
    each request says which one is live. This module changes that entry with one atomic runtime command, without a
    reload, and writes the map file, so that a restarted HAProxy comes back the same.
  - The new set must be healthy first, judged by HAProxy's own checks. Requests that the old set has begun end there.
  - What serves is the truth. A run killed after the command leaves the file behind; the next run of this module or of
    M(slipway.ops.pool_prepare) writes it from the running process. A full disk is noticed before anything switches.
  - Processes that a reload left with open connections are switched too. One that saw the new set down when it was
    retired checks no more and would answer 503, so it keeps the old set until its connections end; see
    RV(old_workers_behind) and O(drain_timeout).
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: full
    description: Says what would change. Servers that are down are a warning then, because what would have started them
      has not run; O(wait) is not waited for.
  diff_mode:
    support: full
    description: Shows the pool's line of the map before and after.
  idempotent:
    support: full
    description: A set that is live already stays so, and is not judged.
options:
  pool:
    description: Name of the pool.
    type: str
    required: true
  to:
    description: Name of the set that shall be live.
    type: str
    required: true
  expect:
    description: The set that the caller believes to be live. Fails when it is another one; O(to) being live already is
      fine.
    type: str
  min_servers_up:
    description: How many servers of the new set must be up; a number, or V(all).
    type: str
    default: all
  wait:
    description: Seconds to wait for them.
    type: float
    default: 0
  drain_timeout:
    description: Seconds to wait after the switch until the old set serves nothing any more. V(0) does not wait.
    type: float
    default: 0
  drain_tunnels:
    description:
      - Whether WebSockets are waited for as well. They go on either way; without this, only requests are.
    type: bool
    default: true
  drain_from:
    description: The set to wait for. The one that was live before, unless given; give it to wait again after a run that
      was killed.
    type: str
seealso:
  - module: slipway.ops.pool_info
  - module: community.general.haproxy
    description: Drains, weighs and disables single servers over the same socket.
"""

EXAMPLES = r"""
- name: Send the requests to green, once all of it is healthy
  slipway.ops.pool_switch:
    pool: sample
    to: green
    expect: blue
    wait: 30
    drain_timeout: 60
  register: switched

- name: Take one server out for maintenance (another module's job, the same socket)
  community.general.haproxy:
    state: drain
    backend: sample-blue
    host: app1-1
    socket: /run/haproxy/admin.sock
    wait: true
    drain: true
"""

RETURN = r"""
before:
  description: The set that was live.
  type: str
  returned: success
  sample: blue
after:
  description: The set that is live, or would be in check mode.
  type: str
  returned: success
  sample: green
at:
  description: When HAProxy had switched, RFC 3339 UTC; none when it did not have to.
  type: str
  returned: success
  sample: "2026-11-21T11:40:00.123Z"
switch_took:
  description: Seconds that the runtime command took.
  type: float
  returned: success
took:
  description: Seconds from the module's start, with all waiting.
  type: float
  returned: success
servers:
  description: The servers of the set O(to), after the switch.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name in HAProxy., type: str}
    address: {description: Address and port., type: str}
    up: {description: "Gets requests, and its check has passed in this process.", type: bool}
    status: {description: "HAProxy's word, like C(UP), C(DOWN), C(DRAIN), C(MAINT).", type: str}
    check: {description: "Result of the last check, like C(L7OK), C(L7STS), C(L4CON).", type: str}
    check_code: {description: HTTP status of the last check., type: str}
    check_said: {description: What the last check said., type: str}
    check_took: {description: Milliseconds of the last check., type: int}
    weight: {description: "Weight, 0 to 256.", type: int}
    sessions: {description: Requests and WebSockets that it serves., type: int}
    queued: {description: Requests that wait for it., type: int}
drained:
  description: How the wait for the old set ended.
  type: dict
  returned: when O(drain_timeout) is over 0 and there is a set to wait for
  contains:
    set: {description: Name of the set., type: str}
    left: {description: "Sessions that were left; 0 is drained.", type: int}
    tunnels: {description: "How many of them are WebSockets that were not waited for.", type: int}
    took: {description: Seconds waited., type: float}
old_workers:
  description: How many processes of before a reload still have connections.
  type: int
  returned: success
old_workers_behind:
  description: How many of them keep the old set until their connections end.
  type: int
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import (
    Edge,
    drain,
    switch,
    too_few_up,
    wait_for_servers,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError


def main() -> None:
    """Read the options, switch, and answer."""
    module = AnsibleModule(
        argument_spec={
            "pool": {"type": "str", "required": True},
            "to": {"type": "str", "required": True},
            "expect": {"type": "str"},
            "min_servers_up": {"type": "str", "default": "all"},
            "wait": {"type": "float", "default": 0},
            "drain_timeout": {"type": "float", "default": 0},
            "drain_tunnels": {"type": "bool", "default": True},
            "drain_from": {"type": "str"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except HaproxyError as error:
        module.fail_json(msg=str(error))


def minimum_of(text: str) -> int | None:
    """The number in O(min_servers_up); None for all."""
    if text == "all":
        return None
    if not text.isdigit():
        raise HaproxyError(f"min_servers_up is a number or 'all', not {text!r}.")
    return int(text)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Judge the new set, switch to it, wait for the old one."""
    started = time.monotonic()
    options = module.params
    pool, to, minimum = options["pool"], options["to"], minimum_of(options["min_servers_up"])
    edge = Edge.at(options["socket"], options["master_socket"], options["map"])
    if options["drain_from"] == to:
        raise HaproxyError(f"Set {to!r} shall be live: it cannot be the one to drain (drain_from).")
    if options["drain_from"]:
        edge.pool(pool, having=options["drain_from"])

    plan = switch(edge, pool, to, options["expect"], dry_run=True)
    if plan.before != to:
        servers = wait_for_servers(edge, pool, to, minimum, 0 if module.check_mode else options["wait"])
        problem = too_few_up(pool, to, servers, minimum)
        if problem and not module.check_mode:
            raise HaproxyError(f"Nothing was switched. {problem}")
        if problem:
            module.warn(problem)
    done = plan if module.check_mode else switch(edge, pool, to, options["expect"])

    result: dict[str, Any] = {
        "changed": done.changed,
        "before": done.before,
        "after": to,
        "at": done.at,
        "switch_took": done.took,
        "old_workers": done.old_workers,
        "old_workers_behind": done.old_workers_behind,
        "diff": {
            "before_header": options["map"],
            "after_header": options["map"],
            "before": f"{pool} {done.before}\n",
            "after": f"{pool} {to}\n",
        },
    }
    leaving = options["drain_from"] or (done.before if done.before != to else None)
    if options["drain_timeout"] > 0 and leaving and not module.check_mode:
        left = drain(edge, pool, leaving, options["drain_timeout"], options["drain_tunnels"])
        result["drained"] = {"set": leaving, "left": left.sessions, "tunnels": left.tunnels, "took": left.waited}
    result["servers"] = [server.as_dict() for server in edge.pool(pool, having=to).sets[to]]
    result["took"] = round(time.monotonic() - started, 3)
    return result


if __name__ == "__main__":
    main()
