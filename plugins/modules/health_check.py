#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import DefinitionError, define, secrets
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.summary import counts, sentence, table, worst_verdict
from ansible_collections.slipway.ops.plugins.module_utils.result import VERDICTS
from ansible_collections.slipway.ops.plugins.module_utils.units import UnitError, duration


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "dict", "required": True},
            "deadline": {"type": "str", "default": "10s"},
            "interval": {"type": "str", "default": "1s"},
            "timeout": {"type": "str", "default": "5s"},
            "concurrency": {"type": "int", "default": 64},
            "subject": {"type": "str"},
            "fail_on": {"type": "list", "elements": "str", "choices": list(VERDICTS), "default": ["fail", "unknown"]},
        },
        supports_check_mode=True,
        no_log=True,  # definitions carry credentials: arguments do not go to the host's log
    )
    try:
        pace = read_pace(module.params)
        checks = define(module.params["checks"], KINDS)
    except (DefinitionError, UnitError, ValueError) as error:
        module.fail_json(msg=f"The checks were not run, their definition makes no sense:\n{error}")
    module.no_log_values.update(secrets(checks))
    results = [result.as_dict() for result in run(checks, pace, module.params["subject"] or socket.gethostname())]
    bad = [result for result in results if result["verdict"] in module.params["fail_on"]]
    outcome = {
        "results": results,
        "counts": counts(results),
        "verdict": worst_verdict(results),
        "changed": False,
    }
    if bad:
        module.fail_json(msg="\n".join([sentence(results), *table(bad)]), **outcome)
    module.exit_json(msg=sentence(results), **outcome)


def read_pace(params: dict) -> Pace:
    """The run's pace from the module's parameters."""
    pace = Pace(
        deadline=duration(params["deadline"]),
        interval=duration(params["interval"]),
        timeout=duration(params["timeout"]),
        concurrency=params["concurrency"],
    )
    if pace.interval <= 0 or pace.timeout <= 0 or not 1 <= pace.concurrency <= 1000:
        raise ValueError("interval and timeout must be more than 0 s, concurrency from 1 to 1000")
    return pace


if __name__ == "__main__":
    main()
