#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_delivery
short_description: Wait until an alert has been delivered, or is gone again
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Waits until Alertmanager has an alert with these labels, and then until each channel that gets it has taken
    something. What the channels had taken before is told by O(state=counted).
  - What channels took before the alert was there does not count. From then on, alerts on the same channels cannot be
    told apart. Nothing is said of a channel that got none.
options:
  state:
    description:
      - V(counted) sees that the alert is not there yet, and returns what each channel has taken so far.
      - V(delivered) waits until every channel has taken something since.
      - V(gone) waits until the alert is there no more.
    type: str
    choices: [counted, delivered, gone]
    required: true
  labels:
    description: Labels of the alert.
    type: dict
    required: true
  subject:
    description: What the evidence speaks of; the label C(host), unless given.
    type: str
  before:
    description: RV(counts) of O(state=counted), for O(state=delivered).
    type: dict
  since:
    description: RV(now) of O(state=counted), for O(state=delivered); seconds are counted from then.
    type: float
  url:
    description: Where Alertmanager answers.
    type: str
    default: http://127.0.0.1:9093
  timeout:
    description: Seconds to wait for the alert, more than its own C(for), and again for the channels.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Only looks, as without it.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: Changes nothing.
seealso:
  - module: slipway.ops.alert_channels
"""

EXAMPLES = r"""
- name: Look
  slipway.ops.alert_delivery:
    state: counted
    labels: &labels {alertname: NodeExporterDown, host: app1}
  register: before

- name: Break
  ansible.builtin.command: systemctl stop prometheus-node-exporter
  delegate_to: app1

- name: Wait
  slipway.ops.alert_delivery:
    state: delivered
    labels: *labels
    before: "{{ before.counts }}"
    since: "{{ before.now }}"
"""

RETURN = r"""
counts:
  description: By channel, how often it was tried and how often that failed, since Alertmanager was started.
  type: dict
  returned: when O(state=counted)
now:
  description: Seconds since the host was booted.
  type: float
  returned: when O(state=counted)
seconds:
  description: By channel, the seconds after which it had taken the alert.
  type: dict
  returned: when O(state=delivered)
problem:
  description: Why it was not delivered, is not gone, or cannot be tested; empty when all is well.
  type: str
  returned: success
results:
  description: What was measured, as M(slipway.ops.evidence) takes it. Of O(state=counted) only a problem.
  type: list
  elements: dict
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import (
    Alertmanager,
    DeliveryError,
    delivered,
    gone,
)

SOURCE = "alert_delivery 0.1.0"
DELIVERED, RESOLVED = "monitoring.alert-test.delivered", "monitoring.alert-test.resolved"


def main() -> None:
    """Read the options, look, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["counted", "delivered", "gone"], "required": True},
            "labels": {"type": "dict", "required": True},
            "subject": {"type": "str"},
            "before": {"type": "dict"},
            "since": {"type": "float"},
            "url": {"type": "str", "default": "http://127.0.0.1:9093"},
            "timeout": {"type": "float", "default": 300},
        },
        required_if=[("state", "delivered", ("before", "since"))],
        supports_check_mode=True,
    )
    look = {"counted": _counted, "delivered": _delivered, "gone": _gone}[module.params["state"]]
    module.exit_json(changed=False, **look(Alertmanager(module.params["url"]), module.params))


def _counted(alertmanager: Alertmanager, options: dict[str, Any]) -> dict[str, Any]:
    result = _result(DELIVERED, options)
    try:
        if alertmanager.alerts(options["labels"]):
            told = "it fires already, so that nothing can be told by it; see to it first"
            return _answer(result, told, "unknown")
        return _answer(result) | {"results": [], "counts": alertmanager.counts(), "now": time.monotonic()}
    except DeliveryError as error:
        return _answer(result, str(error))


def _delivered(alertmanager: Alertmanager, options: dict[str, Any]) -> dict[str, Any]:
    result = _result(DELIVERED, options)
    earlier = time.monotonic() - options["since"]
    try:
        told = delivered(alertmanager, options["labels"], options["before"], options["timeout"])
    except DeliveryError as error:
        return _answer(result, str(error))
    seconds = {channel: round(earlier + passed, 2) for channel, passed in told.seconds.items()}
    result.measured = max(seconds.values(), default=None)
    refused = f"{', '.join(told.missing)} took nothing within {options['timeout']:g} s" if told.missing else ""
    return _answer(result, told.problem or refused) | {"seconds": seconds}


def _gone(alertmanager: Alertmanager, options: dict[str, Any]) -> dict[str, Any]:
    result = _result(RESOLVED, options)
    try:
        waited = gone(alertmanager, options["labels"], options["timeout"])
    except DeliveryError as error:
        return _answer(result, str(error))
    result.measured = None if waited is None else round(waited, 2)
    return _answer(result, f"the alert is still there after {options['timeout']:g} s" if waited is None else "")


def _answer(result: Result, problem: str = "", verdict: Any = "fail") -> dict[str, Any]:
    result.verdict, result.reason = (verdict, problem) if problem else ("pass", None)
    result.took = float(result.measured or 0)
    return {"problem": problem, "results": [result.as_dict()]}


def _result(id: str, options: dict[str, Any]) -> Result:
    name, host = options["labels"].get("alertname"), options["labels"].get("host")
    claim = f"{name} of {host} is told on every channel" if id == DELIVERED else f"{name} of {host} ends with its cause"
    return Result(
        id=id,
        area="monitoring",
        subject=options["subject"] or str(host),
        claim=claim,
        verdict="unknown",
        unit="s",
        limit=f"<= {2 * options['timeout']:g}" if id == DELIVERED else f"<= {options['timeout']:g}",
        at=timestamp(),
        source=SOURCE,
    )


if __name__ == "__main__":
    main()
