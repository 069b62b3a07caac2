#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restore_run
short_description: Restore what an engine backed up, on the host that has its backups
version_added: 0.1.0
description:
  - Runs C(slipway-restore), which brings back a backup and compares it. Run it with C(async), so that a lost connection
    does not end it.
  - What is there is replaced only when O(confirm) says so; otherwise it fails, names what would be replaced, and has
    changed nothing.
options:
  engine:
    description: What to restore, by the name of the engine.
    type: str
    required: true
  action:
    description:
      - V(restore) brings a backup back.
      - V(undo) brings back what the last restore replaced, V(discard) removes that.
      - V(recover) restores where nothing is there, and refuses to replace anything.
    type: str
    choices: [restore, undo, discard, recover]
    default: restore
  set:
    description: Label of the backup. Empty for the newest.
    type: str
    default: ""
  into:
    description: Other names, by those in the backup; only these are restored. Empty for all, under their own.
    type: dict
    default: {}
  confirm:
    description: C(HOST/NAME), typed by an operator, where something would be replaced.
    type: str
    default: ""
  began:
    description: When the whole began, Unix time, where more than the restore is measured.
    type: float
attributes:
  check_mode:
    description: Tells what would be done, or refuses it as it would be refused.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: Each run is a restore of its own.
    support: none
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.backup_run
  - module: slipway.ops.drill_run
"""

EXAMPLES = r"""
- name: Restore a database beside itself
  slipway.ops.restore_run:
    engine: mongodb
    into: {app: app_of_yesterday}
  async: 7200
  poll: 5
"""

RETURN = r"""
lines:
  description: What it told.
  type: list
  elements: str
  returned: always
"""

import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import ACTIONS

PROGRAM = "/usr/local/sbin/slipway-restore"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True},
            "action": {"type": "str", "choices": list(ACTIONS), "default": "restore"},
            "set": {"type": "str", "default": ""},
            "into": {"type": "dict", "default": {}},
            "confirm": {"type": "str", "default": ""},
            "began": {"type": "float"},
        },
        supports_check_mode=True,
    )
    try:
        ended = subprocess.run(argv(module.params, module.check_mode), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        module.fail_json(msg=f"there is no {PROGRAM}: run site.yml, which sets backups up on this host", lines=[])
    lines = ended.stdout.splitlines()
    if ended.returncode:
        reason = ended.stderr.strip().splitlines() or [f"{PROGRAM} failed without a word"]
        module.fail_json(msg=reason[-1].removeprefix("slipway-restore: "), lines=lines)
    module.exit_json(changed=True, lines=lines)


def argv(params: dict[str, Any], look: bool) -> list[str]:
    """The command line."""
    given = [f"--{name}={params[name]}" for name in ("set", "confirm", "began") if params[name]]
    into = [f"--into={old}={new}" for old, new in params["into"].items()]
    return [PROGRAM, params["engine"], params["action"], *given, *into, *(["--look"] if look else [])]


if __name__ == "__main__":
    main()
