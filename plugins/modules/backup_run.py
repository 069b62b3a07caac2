#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_run
short_description: Make or verify a backup now, and show how far it is
version_added: 0.1.0
description:
  - Starts the service that the timers start too, on the host that makes the backups, waits for its end and prints its
    progress. A lost connection or a killed playbook does not end a backup.
  - When one of the same type is under way already it is followed instead.
  - Fails when the backup failed, with the reason that the backup program gave.
options:
  engine:
    description: Whose backups, by the name of the engine. The only one that is set up on the host by default.
    type: str
  type:
    description: What to make.
    type: str
    choices: [full, incr, verify]
    default: incr
  wait:
    description:
      - An incremental backup that meets another backup is skipped. For so many seconds it is tried again until it is
        not; V(0) takes the skip as the end.
    type: int
    default: 0
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
    description: Each run is a backup of its own.
    support: none
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.backup_info
"""

EXAMPLES = r"""
- name: Have a backup before the upgrade
  slipway.ops.backup_run:
    engine: postgresql
    type: incr
    wait: 3600
  register: backup
"""

RETURN = r"""
results:
  description: What was measured, as M(slipway.ops.evidence) records it. The host's spool has it as well.
  type: list
  elements: dict
  returned: when the backup has ended
run:
  description: Id of the run, systemd's invocation id.
  type: str
  returned: success
joined:
  description: Whether it was under way before.
  type: bool
  returned: success
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.service import Service, begin, family_of, follow
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import CONFIGURATION, configuration

PATIENCE = 5.0  # seconds of one call without news


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str"},
            "type": {"type": "str", "choices": ["full", "incr", "verify"], "default": "incr"},
            "wait": {"type": "int", "default": 0},
            "run": {"type": "str"},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    run, joined = module.params["run"], False
    if module.check_mode:
        would = [f"a backup ({module.params['type']}) would be made; check mode starts none"]
        module.exit_json(changed=True, run="", joined=False, results=[], lines=would, offset=0)
    try:
        service = Service(module.params["type"], family_of(configuration(module.params["engine"] or only_engine())))
        if not run:
            run, joined = begin(service)
        heard = follow(service, run, module.params["offset"], PATIENCE)
    except (BackupError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    told = {name: value for name, value in asdict(heard).items() if value is not None}
    module.exit_json(changed=True, run=run, joined=joined, **told)


def only_engine() -> str:
    """The one that this host makes backups of."""
    found = sorted(path.stem for path in Path(CONFIGURATION).glob("*.json"))
    if len(found) != 1:
        raise BackupError(f"engine must be one of those that this host makes backups of: {', '.join(found) or 'none'}")
    return found[0]


if __name__ == "__main__":
    main()
