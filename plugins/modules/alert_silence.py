#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_silence
short_description: Open a silence of Alertmanager for what is done on purpose, and close it
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - A silence is known by its comment, and ends by itself after O(seconds), also when nobody closes it any more.
  - Those that people have opened are left alone.
options:
  state:
    description:
      - V(present) opens it, or prolongs one that is over before half of O(seconds).
      - V(absent) has every one with the comment end after O(grace).
    type: str
    choices: [present, absent]
    default: present
  comment:
    description: What is done, such as V(release of shop).
    type: str
    required: true
  labels:
    description: By label the value, or a list of values, of the alerts that are meant; all labels have to be right.
    type: dict
  seconds:
    description: How long it lasts unless it is closed.
    type: float
    default: 900
  grace:
    description: Seconds for which it still lasts once it is V(absent), so that the alerts have seen the end, too.
    type: float
    default: 0
  url:
    description: Where Alertmanager answers.
    type: str
    default: http://127.0.0.1:9093
attributes:
  check_mode:
    support: full
    description: Says what it would do.
  diff_mode:
    support: none
    description: A silence is shown by Alertmanager itself.
  idempotent:
    support: full
    description: A silence that lasts long enough is left as it is.
seealso:
  - module: slipway.ops.alert_delivery
"""

EXAMPLES = r"""
- name: Say that the site is closed on purpose
  slipway.ops.alert_silence:
    comment: maintenance of www
    labels: {alertname: SiteDown, instance: [https://www.example.com, http://www.example.com]}
    seconds: 7200
"""

RETURN = r"""#"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import Alertmanager, DeliveryError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.silence import closed, opened


def main() -> None:
    """Read the options, ask Alertmanager, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "comment": {"type": "str", "required": True},
            "labels": {"type": "dict"},
            "seconds": {"type": "float", "default": 900},
            "grace": {"type": "float", "default": 0},
            "url": {"type": "str", "default": "http://127.0.0.1:9093"},
        },
        required_if=[("state", "present", ("labels",))],
        supports_check_mode=True,
    )
    options = module.params
    alertmanager = Alertmanager(options["url"])
    labels = {name: _listed(value) for name, value in (options["labels"] or {}).items()}
    if options["state"] == "present" and not (labels and all(all(values) and values for values in labels.values())):
        module.fail_json(msg="labels is empty or has one without a value, which silences too much. Nothing was done.")
    try:
        if options["state"] == "present":
            changed = opened(alertmanager, options["comment"], labels, options["seconds"], module.check_mode)
        else:
            changed = closed(alertmanager, options["comment"], options["grace"], module.check_mode)
    except DeliveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value or "")]


if __name__ == "__main__":
    main()
