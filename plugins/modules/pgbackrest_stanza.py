#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_stanza
short_description: Make pgBackRest's stanza and check that WAL arrives
version_added: 0.1.0
description:
  - Makes a stanza on every repository that does not have it yet, on the host that makes the backups.
  - Checks it when it was made, or with O(check=true). PostgreSQL finishes a WAL segment, which must then arrive in
    every repository; it takes a second or two.
options:
  stanza:
    description: Its name, as in C(pgbackrest.conf).
    type: str
    required: true
  user:
    description: Who owns the repository and runs pgBackRest.
    type: str
    default: postgres
  check:
    description: Check also a stanza that was there.
    type: bool
    default: false
  upgrade:
    description:
      - The cluster has a new major version, in the configuration too. The stanza learns it, and is checked; its old
        backups stay. Its host must be running.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells whether the stanza would be made; an upgrade is not foreseen.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: A stanza that is there stays as it is; a check changes nothing.
    support: full
author: The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Have the stanza
  slipway.ops.pgbackrest_stanza:
    stanza: main
    check: "{{ configuration is changed }}"

- name: Go on with backups after pg_upgrade
  slipway.ops.pgbackrest_stanza:
    stanza: main
    upgrade: true
"""

RETURN = r"""
action:
  description: V(created), V(upgraded), or null when the stanza stayed as it was.
  type: str
  returned: success
checked:
  description: Whether a WAL segment was seen to arrive (in check mode, would be).
  type: bool
  returned: success
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import OTHER
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.stanza import ensure, upgrade


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stanza": {"type": "str", "required": True},
            "user": {"type": "str", "default": "postgres"},
            "check": {"type": "bool", "default": False},
            "upgrade": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    stanza, user = module.params["stanza"], module.params["user"]
    try:
        upgrades = module.params["upgrade"] and not module.check_mode
        # Before the stanza has learnt the new version, a check would fail.
        done = ensure(stanza, user, module.params["check"] and not upgrades, module.check_mode)
        if upgrades and done.action is None:
            done = upgrade(stanza, user)
    except (PgbackrestError, ValueError) as error:
        running = "Are PostgreSQL and pgbackrest.service running on the hosts concerned? "
        unread = isinstance(error, PgbackrestError) and error.code == OTHER  # it was asked, and its answer says why
        module.fail_json(
            msg=f"The stanza {stanza} is not ready for backups. {error}. {'' if unread else running}"
            "/var/log/pgbackrest/ there says more."
        )
    module.exit_json(changed=done.action is not None, **asdict(done))


if __name__ == "__main__":
    main()
