#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_begin
short_description: Begin a release on a host, in one call
version_added: 0.1.0
description:
  - Takes the service's lock where O(lock) is given, then looks at what M(slipway.ops.release_info) looks at, then
    starts the prober that O(probe) describes. A rollback is a matter of seconds, and each call of its own is half of
    one.
  - Without the lock nothing else is done. Its action plugin waits for the lock as that of M(slipway.ops.deploy_lock)
    does.
options:
  lock:
    description: The lock to take, as M(slipway.ops.deploy_lock) describes it; on the one host that keeps it.
    type: dict
    suboptions:
      name: {description: The service., type: str, required: true}
      run: {description: Id of this playbook run., type: str, required: true}
      purpose: {description: What the lock is held for., type: str, default: ""}
      wait: {description: Seconds to wait for it., type: float, default: 0}
      expiry: {description: Seconds after which others may take it over., type: float, default: 1800}
      directory: {description: Where the locks are., type: path, default: /var/lib/slipway/locks}
      owner: {description: Filled in by the action plugin., type: str}
      process: {description: Filled in by the action plugin., type: str}
      dead: {description: Filled in by the action plugin., type: str}
  probe:
    description: The prober to start, with the options of M(slipway.ops.traffic).
    type: dict
extends_documentation_fragment:
  - slipway.ops.release
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: full
    description: The lock is looked at and not taken, and no prober is started.
  diff_mode:
    support: none
    description: There is no text worth comparing.
  idempotent:
    support: partial
    description: Taking a held lock again prolongs it and reports a change.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.deploy_lock
  - module: slipway.ops.release_info
  - module: slipway.ops.traffic
"""

EXAMPLES = r"""
- name: Take the lock and look
  slipway.ops.release_begin:
    service: shop
    parts: [pool]
    lock: {name: shop, run: "{{ slipway_run }}", purpose: rollback}
  register: begun
"""

RETURN = r"""
pool:
  description: The service's pool, on an edge. On an app host, what else M(slipway.ops.release_info) returns.
  type: dict
  returned: success
acquired:
  description: Whether this run has the lock now; with it what else M(slipway.ops.deploy_lock) returns.
  type: bool
  returned: when a lock was asked for
probe:
  description: Whether a prober was started (C(changed)), and its C(pid).
  type: dict
  returned: when a prober was asked for
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import lock
from ansible_collections.slipway.ops.plugins.module_utils.release.look import ARGUMENTS, LookError, look
from ansible_collections.slipway.ops.plugins.module_utils.traffic import order
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError

OPTIONS = {
    **{name: option for name, option in ARGUMENTS.items() if name != "logs_of"},
    "lock": {"type": "dict", "options": lock.ARGUMENTS},
    "probe": {"type": "dict", "options": order.argument_spec()},
}


def begin(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Lock, look, probe; ends after the lock when another run has it."""
    answer: dict[str, Any] = {"changed": False}
    if params["lock"]:
        answer |= lock.attempt(params["lock"], check_mode)
        if not answer["acquired"]:
            return answer
    answer |= look({**params, "logs_of": None})
    if params["probe"]:
        answer["probe"] = order.start(order.control_of(params["probe"]), params["probe"], check_mode)
        answer["changed"] = answer["changed"] or answer["probe"]["changed"]
    return answer


def main() -> None:
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**begin(module.params, module.check_mode))
    except (LookError, lock.LockError, TrafficError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The prober's files cannot be used: {error}")


if __name__ == "__main__":
    main()
