#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: period_info
short_description: What Prometheus measured in a period
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Asks Prometheus each measure over a period that ends now, and which alerts fired in it.
  - Each number comes with its query and the points it was worked out from, so that it can be asked again. What has no
    data has no rows.
options:
  period:
    description: How long.
    type: str
    choices: [1h, 24h, 7d, 30d]
    default: 24h
  measures:
    description: What is asked, as P(slipway.ops.cards#lookup) tells C(measures).
    type: list
    elements: dict
    required: true
  limits:
    description: By a measure's id, a limit of your own, such as V(< 70).
    type: dict
    default: {}
  url:
    description: Where Prometheus answers.
    type: str
    default: http://127.0.0.1:9090
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: It only reads.
seealso:
  - plugin: slipway.ops.period_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask
  slipway.ops.period_info:
    period: 7d
    measures: "{{ query('slipway.ops.cards', 'measures') }}"
  register: history
"""

RETURN = r"""
history:
  description:
    - C(from) and C(to) in Unix time, C(step) in seconds, C(points) that there can be and C(there), those at which
      Prometheus measured anything.
    - C(measures), each with C(query), C(total), C(limit), C(unit) and C(rows), which have C(name), C(value), C(mean),
      C(min), C(max), C(last), C(samples), C(verdict) and C(series).
    - C(alerts) with C(query) and those that C(fired).
  type: dict
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.history import (
    PERIODS,
    HistoryError,
    Prometheus,
    Span,
    told,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import limited


def main() -> None:
    """Read the options, ask, answer."""
    module = AnsibleModule(
        argument_spec={
            "period": {"type": "str", "choices": list(PERIODS), "default": "24h"},
            "measures": {"type": "list", "elements": "dict", "required": True},
            "limits": {"type": "dict", "default": {}},
            "url": {"type": "str", "default": "http://127.0.0.1:9090"},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        measures = limited(options["measures"], options["limits"])
        history = told(Prometheus(options["url"]), measures, Span.of(options["period"], time.time()))
    except (HistoryError, CardError) as error:
        module.fail_json(msg=f"{error}. Nothing was reported.")
    module.exit_json(changed=False, history=history)


if __name__ == "__main__":
    main()
