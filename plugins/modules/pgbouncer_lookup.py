#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_lookup
short_description: Let pgBouncer look up what a PostgreSQL server knows of its users
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes, in the database C(postgres) of this host's server, the user C(pgbouncer), which has no password and comes by
    its certificate, and the function C(pgbouncer.lookup), which gives it the verifier of one user. Superusers, users
    with replication, and those that may not log in or have expired are not given.
  - The function belongs to C(pgbouncer_lookup), a role nobody logs in as, which may read the columns of C(pg_authid)
    that it needs and nothing else.
  - Fails when no access rule lets C(pgbouncer) in by its certificate. Does nothing on a standby.
options:
  port:
    description: The server's port. The socket is in C(/var/run/postgresql).
    type: int
    default: 5432
requirements:
  - python3-psycopg2 on the host
attributes:
  check_mode:
    support: full
    description: Nothing is made.
  diff_mode:
    support: full
    description: The sentences of RV(changes).
  idempotent:
    support: full
    description: What is as it should be is left alone.
"""

EXAMPLES = r"""
- name: Let pgBouncer look up what the server knows of its users
  slipway.ops.pgbouncer_lookup:
  delegate_to: db1
"""

RETURN = r"""
changes:
  description: What was made, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["make the function pgbouncer.lookup"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.lookup import have, planned


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(argument_spec={"port": {"type": "int", "default": 5432}}, supports_check_mode=True)
    try:
        changes = have(module.params["port"], module.check_mode)
    except PostgresqlError as error:
        if not module.check_mode:
            module.fail_json(msg=f"pgbouncer_lookup: {error}")
        changes = planned()  # a server that is yet to be made
    after = "".join(f"{told}\n" for told in changes)
    module.exit_json(changed=bool(changes), changes=changes, diff={"before": "", "after": after} if after else {})


if __name__ == "__main__":
    main()
