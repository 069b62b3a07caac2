#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: The state of backups in one shape for every engine
version_added: 0.1.0
description:
  - On a host that makes backups, tells for each of them when it last succeeded, how large it is and how long it took,
    when it was last verified and drilled, and what the drill measured of RTO and RPO, all against their limits.
  - "The verdict is C(fail) when a restore would lose too much or is known not to work: no backup, one that is too old,
    a verification or a drill that failed, an RTO or RPO beyond its limit. It is C(warn) when nobody has shown lately
    that it works."
  - Asks the program that makes the backups on the host, C(slipway-backup).
options:
  engines:
    description: Engines to tell of; empty for all that this host makes backups of.
    type: list
    elements: str
    default: []
  records:
    description:
      - Results measured on other hosts, such as those of drills, as M(slipway.ops.evidence_info) returns them. Those of
        C(data.backup.verified) and C(data.drill.ENGINE.result|rto|rpo) count whose subject is the backup's name; the
        newest of each.
      - The host remembers them for its metrics. What it measured itself it knows.
    type: list
    elements: dict
    default: []
  textfile_directory:
    description: Write the metrics C(slipway_backup_*) for the node exporter into this directory, if it is there.
    type: path
attributes:
  check_mode:
    description: Reads, and writes no textfile.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: The textfile is written when it changes.
    support: full
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.backup_run
"""

EXAMPLES = r"""
- name: Read the drills that were made elsewhere
  slipway.ops.evidence_info:
    ids: [data.drill.*]
  delegate_to: "{{ evidence_host }}"
  register: drills

- name: Know the backups
  slipway.ops.backup_info:
    records: "{{ drills.records }}"
  register: backups

- name: Show them
  slipway.ops.say:
    lines: "{{ backups.lines }}"
"""

RETURN = r"""
backups:
  description: The state of each backup. Ages and durations are seconds, sizes bytes; null is unknown or never.
  type: list
  elements: dict
  returned: success
  sample:
    - engine: postgresql
      name: main
      last_success: "2026-11-21T11:00:07.000Z"
      kind: incr
      age: 812.4
      full_success: "2026-11-21T02:03:11.000Z"
      full_age: 33029.1
      backups: 40
      size: 1073741824
      stored: 73400320
      duration: 7.0
      running: null
      verified_at: "2026-11-16T05:01:13.120Z"
      verified_age: 454734.0
      verified_verdict: pass
      drill_at: "2026-11-16T06:00:01.001Z"
      drill_age: 451206.0
      drill_verdict: pass
      rto: 41.2
      rpo: 61.0
      limits: {age: 10800, full_age: 93600, verified: 691200, drill: 691200, rto: 14400, rpo: 86400}
      verdict: pass
      problems: []
lines:
  description: The same as a table for a terminal, with what is wrong beneath each line.
  type: list
  elements: str
  returned: success
results:
  description: Age and size as results that M(slipway.ops.evidence) records.
  type: list
  elements: dict
  returned: success
verdict:
  description: The worst verdict.
  type: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.ask import ask
from ansible_collections.slipway.ops.plugins.module_utils.data.metrics import publish
from ansible_collections.slipway.ops.plugins.module_utils.data.status import results, worst
from ansible_collections.slipway.ops.plugins.module_utils.data.table import table
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool

MEASURED = ("data.backup.verified", "data.drill.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engines": {"type": "list", "elements": "str", "default": []},
            "records": {"type": "list", "elements": "dict", "default": []},
            "textfile_directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    changed, directory = False, module.params["textfile_directory"]
    records = [record for record in module.params["records"] if str(record.get("id")).startswith(MEASURED)]
    try:
        if records and not module.check_mode:
            Spool().remember(records)
        statuses = ask(module.params["engines"], records)
        if directory and Path(directory).is_dir() and not module.check_mode:
            changed = publish(statuses, directory)
    except (BackupError, KeyError, OSError, ValueError) as error:
        module.fail_json(msg=f"The state of the backups cannot be told: {error}")
    module.exit_json(
        changed=changed,
        backups=[status.as_dict() for status in statuses],
        lines=table(statuses),
        results=[result.as_dict() for status in statuses for result in results(status)],
        verdict=worst(statuses),
    )


if __name__ == "__main__":
    main()
