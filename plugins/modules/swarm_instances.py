#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_instances
short_description: See which image answers on a node of a swarm
version_added: 0.2.0
description:
  - Asks this host's engine, not the swarm, which image the instances of a service run, and the instances whether they
    are ready. Fails unless all of them do and are.
options:
  service:
    description: The service's name.
    type: str
    required: true
  image:
    description: The image with its tag, which is on this host.
    type: str
    required: true
  ports:
    description: The published port of each instance, instance 1 first.
    type: list
    elements: int
    required: true
  ready:
    description: The path that answers 200.
    type: str
    default: /health
  timeout:
    description: Seconds within which they become ready.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    description: It changes nothing.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: See that shop 2.0.0 answers
  slipway.ops.swarm_instances:
    service: shop
    image: registry1:5000/shop:2.0.0
    ports: [8000, 8001]
    ready: /ready
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.swarm import instances

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "required": True},
    "ready": {"type": "str", "default": "/health"},
    "timeout": {"type": "float", "default": 30},
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    ports = {f"{params['service']}-{number}": port for number, port in enumerate(params["ports"], 1)}
    try:
        found = instances.wait(ports, params["image"], params["ready"], params["timeout"])
    except EngineError as error:
        module.fail_json(msg=str(error))
    if found:
        module.fail_json(msg="; ".join(found))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
