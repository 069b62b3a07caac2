#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_recovery
short_description: Begin and end the recovery of a lost PostgreSQL server on a new host
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Notes on the new host that a recovery is under way, so that a run that was killed is known and goes on, and measures
    it from its first run to its end. What is done between is for M(slipway.ops.postgresql_restore) and roles.
  - Refuses a host that has data which no recovery brought. Needs nothing installed, and root.
options:
  state:
    description: V(begun) before anything is installed, V(ended) when the server is whole and was backed up.
    type: str
    choices: [begun, ended]
    default: begun
  host:
    description: This host's name in the inventory.
    type: str
    required: true
  run:
    description: Identifier of this run. A recovery that is under way keeps its own.
    type: str
    default: ""
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
  stanza:
    description: pgBackRest's stanza.
    type: str
    default: main
attributes:
  check_mode:
    support: full
    description: Notes nothing. What would be refused is refused.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: A recovery that is under way is not begun again, and one that is over not ended again.
"""

EXAMPLES = r"""
- name: Begin, or go on
  slipway.ops.postgresql_recovery:
    host: "{{ inventory_hostname }}"
    run: "{{ slipway_run }}"
  register: recovery
"""

RETURN = r"""
run:
  description: Identifier of the run that began this recovery.
  type: str
  returned: when begun
restored:
  description: Whether its data came back already.
  type: bool
  returned: when begun
lines:
  description: What is done, or came out, for people.
  type: list
  elements: str
  returned: success
results:
  description: What M(slipway.ops.evidence) records; the host's spool has it as well.
  type: list
  elements: dict
  returned: when ended
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError, recovery
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import Cluster
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["begun", "ended"], "default": "begun"},
            "host": {"type": "str", "required": True},
            "run": {"type": "str", "default": ""},
            "version": {"type": "int", "default": 17},
            "name": {"type": "str", "default": "main"},
            "directory": {"type": "str", "default": ""},
            "stanza": {"type": "str", "default": "main"},
        },
        supports_check_mode=True,
    )
    options = module.params
    directory = options["directory"] or f"/var/lib/postgresql/{options['version']}/{options['name']}"
    cluster = Cluster(options["version"], options["name"], Path(directory), 0, options["stanza"], 1)
    act = begin if options["state"] == "begun" else end
    try:
        act(module, cluster)
    except (RestoreError, OSError) as error:
        module.fail_json(msg=f"postgresql_recovery: {error}")


def begin(module: AnsibleModule, cluster: Cluster) -> None:
    """Begins, or finds what is under way."""
    host, now = module.params["host"], time.time()
    known = recovery.load(cluster)
    begun = recovery.begin(cluster, host, module.params["run"], now, module.check_mode)
    restored = recovery.is_restored(cluster, begun)
    line = recovery.line(begun, host, restored, now)
    module.exit_json(changed=begun != known, run=begun.run, restored=restored, lines=[line])


def end(module: AnsibleModule, cluster: Cluster) -> None:
    """Ends what is under way, and leaves what was measured in the spool."""
    if module.check_mode:
        module.exit_json(changed=recovery.load(cluster) is not None, lines=[], results=[])
    results = [result.as_dict() for result in recovery.end(cluster, module.params["host"], time.time())]
    Spool().leave(results, "recover-postgresql")
    recovery.forget(cluster)
    lines = [f"{result['claim']}: {to_duration(round(result['took']))}" for result in results]
    module.exit_json(changed=bool(results), lines=lines, results=results)


if __name__ == "__main__":
    main()
