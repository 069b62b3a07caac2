#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_pause
short_description: Pause and resume pools while a PostgreSQL server is exchanged
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Pausing lets transactions end and then closes the connections to the server; clients stay connected and wait, and so
    do those who come meanwhile, for as long as C(query_wait_timeout) and C(client_login_timeout) let them.
    Between the two the server can be restarted, or the pools can be given another one (a reload keeps the pause).
  - When the transactions do not end in time nothing is paused, and the module fails.
  - A restart of pgBouncer ends a pause, and so does the host itself after O(longest) seconds.
options:
  state:
    description: Whether pools wait.
    type: str
    choices: [paused, resumed]
    required: true
  databases:
    description: Names that clients use. Empty for all.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for the end of transactions.
    type: float
    default: 10
  longest:
    description:
      - Seconds after which the host itself resumes every pool, by a timer, for whoever paused them may be gone.
        Each pause begins them anew. What resumes is from role C(pgbouncer); where it is missing nothing is paused.
        0 for no such end.
    type: float
    default: 120
  writable:
    description:
      - Seconds to wait, before pools are resumed, until their servers take writes by the way that pgBouncer goes
        itself, for example through an entry point that does not know the new leader yet. They are resumed all the same
        afterwards, with a warning. 0 does not look.
    type: float
    default: 0
  socket:
    description: Directory of the socket.
    type: path
    default: /run/pgbouncer
  port:
    description: Port after which the socket is named.
    type: int
    default: 6432
requirements:
  - python3-psycopg2 on the host
attributes:
  check_mode:
    support: full
    description: Nothing is paused or resumed.
  diff_mode:
    support: none
    description: Nothing is written.
  idempotent:
    support: full
    description: What is paused, or not, already is left alone.
"""

EXAMPLES = r"""
- name: Let clients wait
  slipway.ops.pgbouncer_pause:
    state: paused
    databases: [shop]

- name: Let them get on
  slipway.ops.pgbouncer_pause:
    state: resumed
    writable: 20
"""

RETURN = r"""
databases:
  description: Databases that were paused or resumed now.
  type: list
  elements: str
  returned: success
  sample: [shop]
took:
  description: How long that took, in seconds.
  type: float
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError, dead_man
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.pause import (
    pause,
    paused,
    resume,
)


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["paused", "resumed"], "required": True},
            "databases": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 10},
            "longest": {"type": "float", "default": 120},
            "writable": {"type": "float", "default": 0},
            "socket": {"type": "path", "default": "/run/pgbouncer"},
            "port": {"type": "int", "default": 6432},
        },
        supports_check_mode=True,
    )
    options = module.params
    where = options["socket"], options["port"]
    began = time.monotonic()
    try:
        if options["state"] == "paused":
            changed = _pause(where, options, module.check_mode)
        else:
            changed, problems = resume(where, options["databases"], module.check_mode, options["writable"])
            if not module.check_mode and not paused(where):
                dead_man.disarm(options["port"])
            for problem in problems:
                module.warn(f"pgbouncer_pause: {problem}. Its clients get on all the same")
    except PgbouncerError as error:
        module.fail_json(msg=f"pgbouncer_pause: {error}")
    module.exit_json(changed=bool(changed), databases=changed, took=round(time.monotonic() - began, 3))


def _pause(where: tuple[str, int], options: dict[str, Any], check_mode: bool) -> list[str]:
    if options["longest"] and not check_mode:
        dead_man.arm(where, options["longest"])
    try:
        return pause(where, options["databases"], options["timeout"], check_mode)
    except PgbouncerError:
        if not check_mode and not paused(where):
            dead_man.disarm(options["port"])
        raise


if __name__ == "__main__":
    main()
