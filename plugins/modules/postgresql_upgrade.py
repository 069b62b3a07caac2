#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_upgrade
short_description: Bring a PostgreSQL cluster to another major version with pg_upgrade, or back
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes a cluster of the new version of the old one's shape, has C(pg_upgrade) check both while the old server goes
    on, stops that, upgrades, starts the new server, updates extensions and rebuilds statistics.
  - Refuses without a good restore drill of the last 8 days, unless O(reason) says why. Drills are found in O(drills)
    and among the host's own last results.
  - Until C(pg_upgrade) has ended a failure leaves the old server serving. A run that was killed is known from
    C(/var/lib/slipway/postgresql) and finished by the next one.
  - Needs root, and the packages and configuration of both versions on the host.
options:
  state:
    description:
      - V(planned) says what would be done, or why not.
      - V(prepared) does what can be done while the old server goes on. V(upgraded) does it all.
      - V(finished) says that backups go on, and ends it.
      - V(reverted) goes back to the old cluster, which is kept as it was when it was stopped.
      - With O(scope) V(upgraded) and V(reverted) end with the data, and V(serving) starts Patroni, once its
        configuration names that.
      - V(discarded) removes what the last upgrade, or the last way back, kept.
    type: str
    choices: [planned, prepared, upgraded, serving, finished, reverted, discarded]
    default: planned
  version:
    description: Major version that the inventory says. With V(reverted) that is the old one again.
    type: int
    required: true
  name:
    description: Name of the cluster.
    type: str
    default: main
  directory:
    description: Data directory of O(version). Empty for C(/var/lib/postgresql/VERSION/NAME).
    type: str
    default: ""
  port:
    description: Port of both servers, one after the other.
    type: int
    default: 5432
  mode:
    description: V(copy) keeps the old cluster. V(link) needs neither room nor time for a copy, and has no way back.
    type: str
    choices: [copy, link]
    default: copy
  host:
    description: This host's name in the inventory.
    type: str
    required: true
  run:
    description: Identifier of this run.
    type: str
    default: ""
  stanza:
    description: pgBackRest's stanza, whose drills count.
    type: str
    default: main
  drills:
    description: Records of drills from the evidence store.
    type: list
    elements: dict
    default: []
  reason:
    description: Why it is done without a good drill, for the record.
    type: str
    default: ""
  confirm:
    description: C(HOST/NAME), typed by an operator, to give up what was written since the upgrade.
    type: str
    default: ""
  scope:
    description: Patroni's name of the cluster, stopped on all other members before. Empty for a server by itself.
    type: str
    default: ""
  timeout:
    description: Seconds that each long step may take.
    type: float
    default: 86400
attributes:
  check_mode:
    support: full
    description: As O(state=planned). What would be refused is refused.
  diff_mode:
    support: none
    description: Data has no diff.
  idempotent:
    support: full
    description: A cluster that has the version stays as it is.
"""

EXAMPLES = r"""
- name: Bring the cluster to the version that the inventory says
  slipway.ops.postgresql_upgrade:
    state: upgraded
    version: "{{ postgresql_version }}"
    host: "{{ inventory_hostname }}"
    run: "{{ slipway_run }}"
"""

RETURN = r"""
lines:
  description: What would be done, or was, for people.
  type: list
  elements: str
  returned: success
needed:
  description: Whether there is, or was, something to do.
  type: bool
  returned: when planned, prepared or upgraded
untouched:
  description: Whether what served before serves as it did, because nothing was upgraded or changed.
  type: bool
  returned: failure
downtime:
  description: Seconds in which neither server answered.
  type: float
  returned: when it serves
given_up:
  description: The new data directory, which a cluster's other members have too and nobody needs.
  type: str
  returned: when a cluster is reverted
kept:
  description: What was removed, or would be.
  type: list
  elements: str
  returned: when discarded
results:
  description: What M(slipway.ops.evidence) records; the host's spool has it as well.
  type: list
  elements: dict
  returned: when it serves
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import psycopg2
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import (
    Untouched,
    UpgradeError,
    journal,
    postgresql,
    report,
    way_back,
)
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool

_FAILURES = (UpgradeError, PostgresqlError, PatroniError, OSError, psycopg2.Error if psycopg2 else OSError)

Step = Callable[[postgresql.Wanted, journal.Upgrade], journal.Upgrade]


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": list(_STATES),
                "default": "planned",
            },
            "version": {"type": "int", "required": True},
            "name": {"type": "str", "default": "main"},
            "directory": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 5432},
            "mode": {"type": "str", "choices": list(postgresql.MODES), "default": "copy"},
            "host": {"type": "str", "required": True},
            "run": {"type": "str", "default": ""},
            "stanza": {"type": "str", "default": "main"},
            "drills": {"type": "list", "elements": "dict", "default": []},
            "reason": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "scope": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 86400.0},
        },
        supports_check_mode=True,
    )
    wanted = wanted_of(module.params)
    try:
        with postgresql.alone(wanted):
            module.exit_json(**_STATES[module.params["state"]](wanted, module.check_mode))
    except _FAILURES as error:
        module.fail_json(msg=f"postgresql_upgrade: {error}", untouched=isinstance(error, Untouched))


def wanted_of(options: dict[str, Any]) -> postgresql.Wanted:
    """What the options describe. The host's own last results may have a drill as well."""
    given = {name: value for name, value in options.items() if name != "state"}
    directory = options["directory"] or f"/var/lib/postgresql/{options['version']}/{options['name']}"
    return postgresql.Wanted(
        **{**given, "directory": Path(directory), "drills": [*options["drills"], *Spool().latest()]}
    )


def plan(wanted: postgresql.Wanted, _: bool) -> dict[str, Any]:
    """What would be done."""
    made = postgresql.plan(wanted, time.time())
    return {"changed": False, "needed": made.entry is not None, "lines": made.lines}


def prepare(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """All that can be done while the old server goes on."""
    return step(wanted, check_mode, postgresql.prepare)


def upgrade(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """Upgrades; a cluster of Patroni is started by C(serving), with the configuration that is written meanwhile."""
    if wanted.scope:
        return step(wanted, check_mode, postgresql.upgrade)
    return step(wanted, check_mode, lambda wanted, entry: postgresql.serve(wanted, postgresql.upgrade(wanted, entry)))


def serve(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """Starts what was upgraded, or what was gone back to."""
    entry = journal.load(wanted.name)
    if entry and entry.phase == "reverting" and entry.old == wanted.version:
        return {"changed": True} if check_mode else told_of_revert(wanted, way_back.serve_former(wanted, entry))
    return step(wanted, check_mode, postgresql.serve)


def step(wanted: postgresql.Wanted, check_mode: bool, act: Step) -> dict[str, Any]:
    """Goes on with the upgrade; when it serves, or fails, the results are in the spool."""
    made = postgresql.plan(wanted, time.time())
    if check_mode or made.entry is None:
        return {"changed": made.entry is not None, "needed": made.entry is not None, "lines": made.lines}
    try:
        entry = act(wanted, made.entry)
    except _FAILURES as failure:
        leave(report.failed(wanted, made.entry, str(failure), time.time()))
        raise
    if not entry.reached("serving"):
        return {"changed": True, "needed": True, "lines": []}
    results = leave(report.upgraded(wanted, entry, time.time()))
    lines = report.lines(wanted, entry)
    return {"changed": True, "needed": True, "lines": lines, "downtime": entry.downtime, "results": results}


def finish(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """Ends an upgrade that serves."""
    done = None if check_mode else postgresql.finish(wanted)
    return {"changed": done is not None, "lines": []}


def revert(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """Goes back; a cluster of Patroni is started by C(serving)."""
    way_back.check_revert(wanted, time.time())
    if check_mode:
        return {"changed": True, "lines": [f"{wanted.name} on {wanted.host} would go back to {wanted.version}"]}
    entry = way_back.revert(wanted)
    if wanted.scope:
        return {"changed": True, "lines": [], "given_up": entry.directory}
    return told_of_revert(wanted, way_back.serve_former(wanted, entry))


def told_of_revert(wanted: postgresql.Wanted, entry: journal.Upgrade) -> dict[str, Any]:
    """The end of the way back; the results are in the spool."""
    gone = entry.downtime
    results = leave(report.reverted(wanted, entry, gone, time.time()))
    line = f"PostgreSQL {entry.old} serves again after {gone:g} s; what {entry.new} had is in {entry.rolled_back}"
    return {"changed": True, "lines": [line], "downtime": gone, "results": results}


def discard(wanted: postgresql.Wanted, check_mode: bool) -> dict[str, Any]:
    """Removes what was kept."""
    entry = journal.load(wanted.name)
    kept = [str(path) for path in way_back.kept(wanted.name, entry)] if entry else []
    if check_mode:
        return {"changed": bool(kept), "kept": kept, "lines": [f"{', '.join(kept) or 'nothing'} would be removed"]}
    told = way_back.discard(wanted)
    return {"changed": bool(told), "kept": kept, "lines": [told or "no upgrade has kept anything"]}


def leave(results: list[Any]) -> list[dict[str, Any]]:
    """In the spool, and as plain data."""
    found = [result.as_dict() for result in results]
    Spool().leave(found, "upgrade-postgresql")
    return found


_STATES = {
    "planned": plan,
    "prepared": prepare,
    "upgraded": upgrade,
    "serving": serve,
    "finished": finish,
    "reverted": revert,
    "discarded": discard,
}

if __name__ == "__main__":
    main()
