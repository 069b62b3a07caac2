#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_server
short_description: Bring a running PostgreSQL server to what its files say
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Starts the server when it does not run, reloads it when a file of its configuration is newer than what it has read,
    and restarts it only when the server itself says that a setting waits for that (C(pending_restart)).
  - Decides from what the server says and not from what the run did, so it finishes what a killed run left.
  - Fails when the server passed over a line of its files, with the line.
options:
  version:
    description: Major version.
    type: int
    required: true
  name:
    description: Name of the cluster.
    type: str
    default: main
  port:
    description: The server's port. The socket is in C(/var/run/postgresql).
    type: int
    default: 5432
  sources:
    description: Further files that a reload takes over, for example certificates.
    type: list
    elements: path
    default: []
  restart:
    description: Whether the server may be restarted for settings that need it; with V(false) they are a notice.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until the server is ready. It goes on starting after that.
    type: float
    default: 300
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
    description: A server that runs what its files say is left alone.
"""

EXAMPLES = r"""
- name: Run what the files say
  slipway.ops.postgresql_server:
    version: 17
    sources: [/etc/slipway/certificates/postgresql/key.pem]
"""

RETURN = r"""
actions:
  description: What was done, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["reloaded postgresql@17-main.service", "restarted postgresql@17-main.service for shared_buffers"]
pending:
  description: Settings that waited for a restart when the run came.
  type: list
  elements: str
  returned: success
in_recovery:
  description: Whether it is a standby; none when that could not be seen in check mode.
  type: bool
  returned: success
notices:
  description: What an operator should know, a sentence each. No warnings, which unchanged tasks may not show.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server, settle


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "int", "required": True},
            "name": {"type": "str", "default": "main"},
            "port": {"type": "int", "default": 5432},
            "sources": {"type": "list", "elements": "path", "default": []},
            "restart": {"type": "bool", "default": True},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    options = module.params
    server = Server(
        options["version"],
        options["name"],
        options["port"],
        tuple(options["sources"]),
        options["restart"],
        options["timeout"],
    )
    try:
        outcome = settle(server, module.check_mode)
    except (PostgresqlError, OSError) as error:
        module.fail_json(msg=f"postgresql_server: {error}")
    module.exit_json(
        changed=bool(outcome.actions),
        actions=outcome.actions,
        pending=outcome.pending,
        in_recovery=outcome.in_recovery,
        notices=outcome.notices,
    )


if __name__ == "__main__":
    main()
