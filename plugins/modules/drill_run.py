#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_run
short_description: Make a restore drill now, and show how far it is
version_added: 0.1.0
description:
  - Starts the service that the timer starts too, on the host whose data is drilled, waits for its end and prints its
    progress. A lost connection or a killed playbook does not end a drill.
  - When one is under way already it is followed instead.
  - Fails when the drill failed, or was skipped since a backup was under way, with the reason in one sentence.
options:
  engine:
    description: What to drill, by the name of the engine. The only one whose drills are set up on the host by default.
    type: str
  run:
    description: Id of a run to follow, instead of starting one. The action plugin sets it.
    type: str
  offset:
    description: Place in the run's diary to go on reading at. The action plugin sets it.
    type: int
    default: 0
attributes:
  check_mode:
    description: Starts nothing.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: Each run is a drill of its own. It leaves the data as it was.
    support: none
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.backup_run
  - module: slipway.ops.backup_info
"""

EXAMPLES = r"""
- name: See that the newest backup can be restored
  slipway.ops.drill_run:
    engine: postgresql
  register: drill
"""

RETURN = r"""
results:
  description: What was measured, as M(slipway.ops.evidence) records it. The host's spool has it as well.
  type: list
  elements: dict
  returned: when the drill has ended
report:
  description: All of the drill. Seconds and bytes.
  type: dict
  returned: when the drill has ended
  contains:
    phases:
      description: The steps with their C(seconds), C(verdict) and C(note).
      type: list
      elements: dict
    tables:
      description: Each table with rows and hash of the source and of the restored copy.
      type: list
      elements: dict
    estimates:
      description: Seconds of a restore at other sizes, and the bytes that can be restored within the limit.
      type: dict
run:
  description: Id of the run, systemd's invocation id.
  type: str
  returned: success
joined:
  description: Whether it was under way before.
  type: bool
  returned: success
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import CONFIGURATION, REPORTS
from ansible_collections.slipway.ops.plugins.module_utils.data.service import DRILL, Service, begin, follow

PATIENCE = 5.0  # seconds of one call without news


WOULD = "a drill would restore the newest backup beside the server, compare and measure; check mode starts none"


def main() -> None:
    """Read the options, start or follow, answer."""
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str"},
            "run": {"type": "str"},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    run, joined = module.params["run"], False
    if module.check_mode:
        module.exit_json(changed=False, run="", joined=False, results=[], report={}, lines=[WOULD], offset=0)
    try:
        service = Service(module.params["engine"] or only_engine(), DRILL)
        if not run:
            run, joined = begin(service)
        heard = follow(service, run, module.params["offset"], PATIENCE)
        told = {name: value for name, value in asdict(heard).items() if value is not None}
        if heard.results:
            told["report"] = report_of(service.kind)
    except (BackupError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, run=run, joined=joined, **told)


def only_engine() -> str:
    """The one whose drills are set up here."""
    found = sorted(path.stem for path in Path(CONFIGURATION).glob("*.json"))
    if len(found) != 1:
        raise BackupError(f"engine must be one of those whose drills are set up here: {', '.join(found) or 'none'}")
    return found[0]


def report_of(engine: str) -> dict[str, Any]:
    """The report that the last drill left."""
    return json.loads((Path(REPORTS) / f"{engine}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
