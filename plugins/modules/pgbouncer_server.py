#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_server
short_description: Bring a running pgBouncer to what its files say
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Starts pgBouncer when it does not run, and reloads it when a file is newer than what it has read.
  - Restarts it only when allowed, for settings that pgBouncer itself calls not changeable and that are not what is
    written; a restart ends all connections.
  - Decides from what pgBouncer says and not from what the run did, so it finishes what a killed run left.
options:
  port:
    description: Its port. The socket is in C(/run/pgbouncer).
    type: int
    default: 6432
  sources:
    description: Files beside those of C(/etc/pgbouncer) that a reload takes over, for example certificates.
    type: list
    elements: path
    default: []
  restart:
    description: Whether it may be restarted; with V(false) the settings that wait are a notice.
    type: bool
    default: false
requirements:
  - python3-psycopg2 on the host
attributes:
  check_mode:
    support: full
    description: Nothing is started, reloaded or restarted.
  diff_mode:
    support: none
    description: Nothing is written.
  idempotent:
    support: full
    description: A pooler that runs what its files say is left alone.
"""

EXAMPLES = r"""
- name: Run what the files say
  slipway.ops.pgbouncer_server:
    sources: [/etc/slipway/certificates/pgbouncer/key.pem]
"""

RETURN = r"""
actions:
  description: What was done, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["reloaded pgbouncer.service"]
pending:
  description: Settings that waited for a restart when the run came.
  type: list
  elements: str
  returned: success
  sample: ["listen_addr"]
notices:
  description: What an operator should know, a sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.server import settle


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 6432},
            "sources": {"type": "list", "elements": "path", "default": []},
            "restart": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        outcome = settle(options["port"], options["sources"], options["restart"], module.check_mode)
    except (PgbouncerError, OSError) as error:
        module.fail_json(msg=f"pgbouncer_server: {error}")
    module.exit_json(
        changed=bool(outcome.actions), actions=outcome.actions, pending=outcome.pending, notices=outcome.notices
    )


if __name__ == "__main__":
    main()
