#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_restore
short_description: Restore a PostgreSQL cluster with pgBackRest to the latest state or a point before it
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Restores a server's cluster in place of what is in its data directory, which stays beside under another name, and
    waits until the server has come to the target.
  - A member of a Patroni cluster (O(scope)) leads when it is restored. Patroni has to be stopped on all other members
    before, and M(slipway.ops.patroni_rejoin) has them follow afterwards.
  - Chooses the backup itself, along the history of the timeline. A target before the end of the oldest backup is
    refused before anything is touched.
  - WAL of the former server that was not archived yet is taken over from its disk, if it is of the same cluster.
  - A run that was killed is known from C(/var/lib/slipway/postgresql); the next one finishes or repeats it.
  - Needs root, and the roles C(postgresql) and C(pgbackrest) on the host.
options:
  state:
    description:
      - V(restored) restores.
      - V(reverted) puts the data from before the last restore back.
      - V(discarded) removes that data, and what earlier restores kept.
    type: str
    choices: [restored, reverted, discarded]
    default: restored
  type:
    description: What kind of point is restored to.
    type: str
    choices: [latest, time, xid, lsn, name]
    default: latest
  target:
    description:
      - The point. A time must say its offset from UTC, such as V(2026-11-21 14:03:07+09:00).
      - The last transaction up to it is in the restored data, unless O(exclusive=true).
    type: str
    default: ""
  exclusive:
    description: Stop just before the point. For times, transactions and LSNs.
    type: bool
    default: false
  timeline:
    description:
      - Timeline that is followed, V(latest), V(current) (each backup's own) or a number. After a restore to a point the
        latest timeline leads past what was given up then; that is reached on its former timeline.
    type: str
    default: latest
  set:
    description: Backup to restore from. Empty for the newest from which the point can be reached.
    type: str
    default: ""
  confirm:
    description: C(HOST/NAME), typed by an operator, where a live server or data would be replaced.
    type: str
    default: ""
  host:
    description: This host's name in the inventory.
    type: str
    required: true
  keep:
    description: Keep the former data beside, as C(DIRECTORY.before-RUN). Without that it is overwritten in place.
    type: bool
    default: true
  archive:
    description: Whether the restored server archives its WAL. No for a copy while the original goes on.
    type: bool
    default: true
  run:
    description: Identifier of this run, part of the kept directory's name.
    type: str
    required: true
  version:
    description: Major version.
    type: int
    default: 17
  name:
    description: Name of the cluster.
    type: str
    default: main
  directory:
    description: Data directory. Empty for C(/var/lib/postgresql/VERSION/NAME).
    type: str
    default: ""
  port:
    description: Port of the server.
    type: int
    default: 5432
  scope:
    description: Patroni's name of the cluster that this host is a member of. Empty for a server by itself.
    type: str
    default: ""
  stanza:
    description: pgBackRest's stanza.
    type: str
    default: main
  repository:
    description: Number of the repository to restore from.
    type: int
    default: 1
  timeout:
    description: Seconds that each of copying and recovering may take.
    type: float
    default: 86400
attributes:
  check_mode:
    support: full
    description: Says what would be done. What would be refused is refused.
  diff_mode:
    support: none
    description: Data has no diff.
  idempotent:
    support: none
    description: Each restore is one of its own, except that V(discarded) has nothing to remove the second time.
"""

EXAMPLES = r"""
- name: Go back to the second before the table was dropped
  slipway.ops.postgresql_restore:
    type: time
    target: "2026-11-21 14:03:06+09:00"
    host: "{{ inventory_hostname }}"
    run: "{{ slipway_run }}"
    confirm: db1/main
"""

RETURN = r"""
lines:
  description: What was done, or would be in check mode, for people.
  type: list
  elements: str
  returned: success
label:
  description: The backup.
  type: str
  returned: when restored
kept:
  description: Where the former data is; empty when none is kept.
  type: str
  returned: when restored
timeline:
  description: The timeline that the restored server is on.
  type: int
  returned: when restored
last_change:
  description: Commit time of the newest transaction that was replayed, RFC 3339.
  type: str
  returned: when restored
carried:
  description: WAL segments that came from the former server's disk.
  type: list
  elements: str
  returned: when restored
phases:
  description: Seconds by phase.
  type: dict
  returned: when restored
results:
  description: What M(slipway.ops.evidence) records; the host's spool has it as well.
  type: list
  elements: dict
  returned: when restored
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.tables import Error
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError, postgresql
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import Cluster
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.target import TYPES, target
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool

_FAILURES = (RestoreError, PatroniError, PostgresqlError, PgbackrestError, Error, OSError)


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["restored", "reverted", "discarded"], "default": "restored"},
            "type": {"type": "str", "choices": list(TYPES), "default": "latest"},
            "target": {"type": "str", "default": ""},
            "exclusive": {"type": "bool", "default": False},
            "timeline": {"type": "str", "default": "latest"},
            "set": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "host": {"type": "str", "required": True},
            "keep": {"type": "bool", "default": True},
            "archive": {"type": "bool", "default": True},
            "run": {"type": "str", "required": True},
            "version": {"type": "int", "default": 17},
            "name": {"type": "str", "default": "main"},
            "directory": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 5432},
            "scope": {"type": "str", "default": ""},
            "stanza": {"type": "str", "default": "main"},
            "repository": {"type": "int", "default": 1},
            "timeout": {"type": "float", "default": 86400.0},
        },
        supports_check_mode=True,
    )
    state = module.params["state"]
    try:
        wanted = wanted_of(module.params)
        with postgresql.alone(wanted):
            if state in ("reverted", "discarded"):
                module.exit_json(**put_away(wanted, state, module.check_mode))
            made = postgresql.plan(wanted)
            if module.check_mode:
                module.exit_json(changed=True, lines=made.lines, label=made.backup.label, kept=made.aside)
            module.exit_json(changed=True, **restore(wanted, made))
    except _FAILURES as error:
        module.fail_json(msg=f"postgresql_restore: {error}")


def wanted_of(options: dict[str, Any]) -> postgresql.Wanted:
    """The restore that the options describe."""
    directory = options["directory"] or f"/var/lib/postgresql/{options['version']}/{options['name']}"
    cluster = Cluster(
        options["version"],
        options["name"],
        Path(directory),
        options["port"],
        options["stanza"],
        options["repository"],
        options["scope"],
        timeout=options["timeout"],
    )
    goal = target(options["type"], options["target"], options["timeline"], options["exclusive"], time.time())
    return postgresql.Wanted(
        cluster,
        goal,
        options["host"],
        options["run"],
        options["confirm"],
        options["set"],
        options["keep"],
        options["archive"],
    )


def restore(wanted: postgresql.Wanted, made: postgresql.Plan) -> dict[str, Any]:
    """Restores; the results are in the spool whatever comes out."""
    began, told, error = time.time(), None, None
    try:
        told = postgresql.perform(wanted, made)
        return asdict(told) | {
            "lines": postgresql.lines(told),
            "results": [result.as_dict() for result in postgresql.results(wanted, began, told, None)],
        }
    except _FAILURES as failure:
        error = str(failure)
        raise
    finally:
        found = postgresql.results(wanted, began, told, error)
        Spool().leave([result.as_dict() for result in found], "restore-postgresql")


def put_away(wanted: postgresql.Wanted, state: str, check_mode: bool) -> dict[str, Any]:
    """Puts the former data back, or removes it."""
    act = {
        ("reverted", False): postgresql.undo,
        ("reverted", True): postgresql.undo_plan,
        ("discarded", False): postgresql.discard,
        ("discarded", True): postgresql.discard_plan,
    }
    told = act[state, check_mode](wanted)
    return {"changed": bool(told), "lines": [told or "there is no former data"]}


if __name__ == "__main__":
    main()
