#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_bake
short_description: Have a host watch a release that is live, and go back from it when it is bad
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Gives the unit C(slipway-bake@SERVICE) of a host its order, or ends it. The unit runs by itself, also after the host
    was started anew and when nobody controls it.
  - An edge watches the requests to the release, a prober's latencies and HAProxy's checks, an app host its instances'
    processors and memory. Who sees a trigger hold says so on the app hosts' boards, and every edge then sends its
    requests to the release before.
options:
  state:
    description: V(going_on) fails when the bake has gone back from the release meanwhile.
    type: str
    choices: [started, going_on, cancelled]
    required: true
  service:
    description: Name of the service.
    type: str
    required: true
  run:
    description: Id of the run that released it, or that ends the bake.
    type: str
    required: true
  order:
    description: >-
      What is watched, for V(started): C(host), C(version), C(colour), C(previous_version), C(previous_colour),
      C(limits) and C(seconds) (C(bake) of C(app_services)), C(boards), C(board), C(probe), C(cpus), C(interval),
      C(root) and C(edge).
    type: dict
    default: {}
  key:
    description: Signs what the hosts tell each other, for V(started).
    type: str
attributes:
  check_mode:
    support: none
    description: A release in check mode ends before it.
  diff_mode:
    support: none
    description: It changes no text.
  idempotent:
    support: partial
    description: A bake that has ended stays so. Each start is a new bake.
"""

EXAMPLES = r"""
- name: No bake goes on
  slipway.ops.release_bake:
    state: cancelled
    service: shop
    run: "{{ slipway_run }}"
"""

RETURN = r"""
bake:
  description: How the last bake stands or ended.
  type: dict
  returned: when there ever was one
"""

import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool
from ansible_collections.slipway.ops.plugins.module_utils.release import bake
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError


def start(module: AnsibleModule, unit: str) -> None:
    """Replaces what the host was told before."""
    params = module.params
    told = dict(params["order"])
    limits = {name: float(value) for name, value in told.pop("limits").items() if name not in ("seconds", "port")}
    seconds = float(told.pop("seconds"))
    order = bake.Order(
        run=params["run"],
        service=params["service"],
        key=params["key"],
        seconds=seconds,
        until=time.time() + seconds,
        limits=limits,
        **told,
    )
    bake.begin(order)
    module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    module.run_command(["systemctl", "enable", "--quiet", unit], check_rc=True)
    module.run_command(["systemctl", "restart", unit], check_rc=True)


def cancel(module: AnsibleModule, unit: str) -> bool:
    """Ends what goes on; whether anything did."""
    service, run = module.params["service"], module.params["run"]
    order = bake.read_order(service)
    if order is None:
        return False
    module.run_command(["systemctl", "stop", unit], check_rc=True)
    if bake.read_order(service) is None:  # it ended by itself meanwhile
        return True
    outcome = bake.standing(order, "cancelled", f"by {run}")
    Spool().leave([bake.record(order, outcome).as_dict()], f"bake-{service}")
    bake.end(order, outcome)
    Control(default_root(), f"bake-{service}").remove()
    return True


def main() -> None:
    """Read the options and answer."""
    module = AnsibleModule(
        {
            "state": {"type": "str", "choices": ["started", "going_on", "cancelled"], "required": True},
            "service": {"type": "str", "required": True},
            "run": {"type": "str", "required": True},
            "order": {"type": "dict", "default": {}},
            "key": {"type": "str", "no_log": True},
        },
        required_if=[("state", "started", ["order", "key"])],
    )
    service, unit = module.params["service"], f"slipway-bake@{module.params['service']}.service"
    result: dict[str, Any] = {"changed": False}
    try:
        if module.params["state"] == "started":
            start(module, unit)
            result["changed"] = True
        elif module.params["state"] == "cancelled":
            result["changed"] = cancel(module, unit)
    except (OSError, TrafficError) as error:
        module.fail_json(msg=f"The bake of {service} could not be {module.params['state']}: {error}")
    found = bake.read_standing(service)
    if found:
        result["bake"] = asdict(found)
    if module.params["state"] == "going_on" and found and found.state in ("rolled_back", "stuck"):
        module.fail_json(msg=found.sentence(), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
