#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_cpu
short_description: Measure what a release's instances use of their processors
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - Of the instances of one colour on this host, as Docker counts them. Changes nothing.
attributes:
  check_mode:
    support: full
    description: It only measures.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
options:
  service:
    description: The service's name in C(app_services).
    type: str
    required: true
  colour:
    description: Which of the two Compose projects.
    type: str
    choices: [blue, green]
    required: true
  cpus:
    description: Processors that one instance may use.
    type: float
    required: true
  seconds:
    description: For how long.
    type: float
    default: 20
"""

EXAMPLES = r"""
- name: Measure
  slipway.ops.release_cpu:
    service: shop
    colour: blue
    cpus: 0.5
"""

RETURN = r"""
cpu:
  description: >-
    By container, percent of its limit. Null where it could not be measured, because it came, went or was started again
    meanwhile, or because the measurement was late.
  type: dict
  returned: success
  sample: {shop-blue-1: 41.5, shop-blue-2: 38.0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.release.load import processors


def main() -> None:
    module = AnsibleModule(
        {
            "service": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": ["blue", "green"], "required": True},
            "cpus": {"type": "float", "required": True},
            "seconds": {"type": "float", "default": 20},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        cpu = processors(params["service"], params["colour"], params["cpus"], params["seconds"])
    except EngineError as error:
        module.fail_json(msg=f"The instances of {params['service']} could not be measured: {error}")
    module.exit_json(changed=False, cpu=cpu)


if __name__ == "__main__":
    main()
