#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_objects
short_description: Users, databases, extensions and privileges of a PostgreSQL server in one call
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Compares everything in a few queries (one connection for the server and one for each database) and changes what
    differs.
  - Every database is closed to C(PUBLIC). What users may do in it is held by roles that nobody logs in as,
    C(DATABASE_readonly) and C(DATABASE_readwrite), and holds for what the database's owner makes later too. Users with
    the access V(owner) act as the database's owner when they connect to it, so that what one makes belongs to all.
  - Users listed here have the memberships and attributes listed here and no others. Nobody becomes a superuser.
  - Passwords reach the server as SCRAM verifiers, made on the host; the server never sees them, its log and statistics
    neither.
  - Connects by the socket as C(postgres), to whom root changes for that.
options:
  users:
    description: Users that can log in. Users that are not listed stay as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      password:
        description: Its password, or a SCRAM-SHA-256 verifier. Without it the user logs in by peer or certificate only.
        type: str
      login:
        description: V(false) locks the user out and keeps what it owns.
        type: bool
        default: true
      attributes:
        description: Further attributes.
        type: list
        elements: str
        choices: [CREATEDB, CREATEROLE, REPLICATION, BYPASSRLS]
        default: []
      connection_limit:
        description: Connections at once; -1 for no limit.
        type: int
        default: -1
      databases:
        description: Access by database, V(connect), V(readonly), V(readwrite) or V(owner).
        type: dict
        default: {}
      roles:
        description: Roles it is a member of, for example V(pg_monitor).
        type: list
        elements: str
        default: []
      rewind:
        description: Whether it may execute what C(pg_rewind) needs.
        type: bool
        default: false
  databases:
    description: Databases. C(postgres) is always among them, closed to C(PUBLIC) and with C(pg_stat_statements).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: A user, or a role that nobody logs in as, which is made; C(DATABASE_owner) by default.
        type: str
      extensions:
        description: Extensions, in the order in which they need each other.
        type: list
        elements: str
        default: []
      encoding:
        description: Encoding of a new database.
        type: str
        default: UTF8
      locale:
        description: Locale of a new database; the cluster's by default.
        type: str
        default: ""
  slots:
    description: Physical replication slots. Others stay.
    type: list
    elements: str
    default: []
  heartbeat:
    description: Have the table C(slipway.heartbeat) in C(postgres), with one row.
    type: bool
    default: true
  port:
    description: The server's port.
    type: int
    default: 5432
  wait:
    description: Seconds to wait for a server that is starting.
    type: float
    default: 30
requirements:
  - python3-psycopg2 on the host
attributes:
  check_mode:
    support: full
    description: Says what would change. Where the server does not run yet, that is everything.
  diff_mode:
    support: full
    description: A sentence for each change; never a password or verifier.
  idempotent:
    support: full
    description: A password is the same when the stored verifier is of it.
"""

EXAMPLES = r"""
- name: Have the shop's database and its users
  slipway.ops.postgresql_objects:
    databases:
      - {name: shop, extensions: [pg_trgm]}
    users:
      - {name: shop_migrate, password: "{{ vault_shop_migrate }}", databases: {shop: owner}}
      - {name: shop, password: "{{ vault_shop }}", databases: {shop: readwrite}, connection_limit: 40}
      - {name: reports, password: "{{ vault_reports }}", databases: {shop: readonly}}
"""

RETURN = r"""
changes:
  description: What was changed, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["make the database shop of shop_owner", "change the user shop: another password"]
notices:
  description: What an operator should know, a sentence each. No warnings, which unchanged tasks may not show.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.model import ATTRIBUTES, Wanted, read
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.objects import (
    Outcome,
    apply,
    plan_everything,
)

USER = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "login": {"type": "bool", "default": True},
    "attributes": {"type": "list", "elements": "str", "choices": list(ATTRIBUTES), "default": []},
    "connection_limit": {"type": "int", "default": -1},
    "databases": {"type": "dict", "default": {}},
    "roles": {"type": "list", "elements": "str", "default": []},
    "rewind": {"type": "bool", "default": False},
}
DATABASE = {
    "name": {"type": "str", "required": True},
    "owner": {"type": "str"},
    "extensions": {"type": "list", "elements": "str", "default": []},
    "encoding": {"type": "str", "default": "UTF8"},
    "locale": {"type": "str", "default": ""},
}


def main() -> None:
    """Read the options, compare and change, answer."""
    module = AnsibleModule(
        argument_spec={
            # no_log for all of it: the journal has options as Python writes them, where a password with a quote in it
            # is not recognised.
            "users": {"type": "list", "elements": "dict", "default": [], "options": USER, "no_log": True},
            "databases": {"type": "list", "elements": "dict", "default": [], "options": DATABASE},
            "slots": {"type": "list", "elements": "str", "default": []},
            "heartbeat": {"type": "bool", "default": True},
            "port": {"type": "int", "default": 5432},
            "wait": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    # From here on only passwords are hidden, or no result could be read.
    module.no_log_values = {user["password"] for user in options["users"] if user["password"]}
    try:
        wanted = read(options["users"], options["databases"], options["slots"], options["heartbeat"])
        outcome = look_or_apply(wanted, options["port"], options["wait"], module.check_mode)
    except PostgresqlError as error:
        module.fail_json(msg=f"postgresql_objects: {error}")
    after = "".join(f"{told}\n" for told in outcome.changes)
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        notices=outcome.notices,
        diff={"before": "", "after": after} if after else {},
    )


def look_or_apply(wanted: Wanted, port: int, wait: float, check_mode: bool) -> Outcome:
    """In check mode a server that does not answer is one that is yet to be made."""
    if not check_mode:
        return apply(wanted, port, wait, check_mode=False)
    try:
        return apply(wanted, port, 0, check_mode=True)
    except PostgresqlError as error:
        if "does not answer" not in str(error) and "psycopg2" not in str(error):
            raise
        return plan_everything(wanted)


if __name__ == "__main__":
    main()
