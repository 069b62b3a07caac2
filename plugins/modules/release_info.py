#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: What is true about a service's releases on a host
version_added: 0.1.0
description:
  - On an app host, reads containers by their labels, the image, who has the ports, free space and the history.
  - On an edge host, reads the service's pool in HAProxy. One task asks all hosts at once.
  - Containers, not files, say what runs; so a run that was killed is seen for what it left.
options:
  logs_of:
    description: A colour whose instances' last log lines are read too.
    type: str
    choices: [blue, green]
extends_documentation_fragment:
  - slipway.ops.release
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
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: See which versions run here
  slipway.ops.release_info:
    service: shop
    instances: 2
  register: shop
"""

RETURN = r"""
pool:
  description: The service's pool, as an entry of C(pools) in M(slipway.ops.pool_info). The others are about containers.
  type: dict
  returned: when asked for
address:
  description: Address that ports are bound to.
  type: str
  returned: success
colours:
  description: >-
    For C(blue) and C(green) the C(version) whose instances exist (null when there are none or several), how many are
    C(running), and whether
    that is C(complete).
  type: dict
  returned: success
  sample: {blue: {version: 1.0.0, running: 2, complete: true}, green: {version: null, running: 0, complete: false}}
containers:
  description: Each container's C(name), C(colour), C(version), C(role) (instance or worker), C(state), C(health),
    C(status) and host C(ports).
  type: list
  elements: dict
  returned: success
image:
  description: The C(reference) looked for, and its C(id), null when it is not on this host.
  type: dict
  returned: when an image was asked for
ports_taken:
  description: By colour, the ports that something else listens on, with who that is.
  type: dict
  returned: success
  sample: {blue: {}, green: {"8100": "nginx (process 812)"}}
directory:
  description: The service's directory.
  type: str
  returned: success
instances:
  description: O(instances).
  type: int
  returned: success
disk:
  description: For the service's directory and the engine's, C(path), C(free) in bytes and C(inodes_free).
  type: list
  elements: dict
  returned: success
history:
  description: The events of C(history.jsonl), oldest first.
  type: list
  elements: dict
  returned: success
bake:
  description: The bake that goes on with its C(version), C(previous_version) and end (C(until), Unix time), or nothing.
  type: dict
  returned: success
logs:
  description: By container of O(logs_of), its C(status) and last log C(lines).
  type: dict
  returned: when asked for
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.release.look import ARGUMENTS, LookError, look


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **look(module.params))
    except LookError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
