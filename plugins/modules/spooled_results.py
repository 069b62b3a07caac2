#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: spooled_results
short_description: Take the results that a host's timers left
version_added: 0.1.0
description:
  - Timers on a host (backups, verifications, drills) leave what they measured in a directory of the host, so that no
    host needs to reach the evidence store. A playbook reads them, records them with M(slipway.ops.evidence), and then
    calls this again with O(taken), which removes them.
  - A playbook that is killed in between leaves them to the next one, which records them a second time.
options:
  directory:
    description: Where they lie. A directory that is missing holds none.
    type: path
    default: /var/lib/slipway/results
  taken:
    description: Names of files, from RV(files), whose records are in the evidence store; they are removed.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Removes nothing.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: What was removed stays so.
    support: full
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Read what the timers left
  slipway.ops.spooled_results:
  register: spooled

- name: Record it
  slipway.ops.evidence:
    run: "{{ slipway_run }}"
    records: "{{ spooled.records }}"
  delegate_to: "{{ evidence_host }}"

- name: Remove it
  slipway.ops.spooled_results:
    taken: "{{ spooled.files }}"
"""

RETURN = r"""
records:
  description: The results, the oldest first. Those that the evidence store would refuse are left out.
  type: list
  elements: dict
  returned: success
latest:
  description: The last result of each backup, verification and drill that this host knows of, taken or not.
  type: list
  elements: dict
  returned: success
files:
  description: Names of the files they are in.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, validated
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import CLOCKED, DIRECTORY, Spool


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": DIRECTORY},
            "taken": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    spool = Spool(module.params["directory"])
    try:
        removed = module.params["taken"] if module.check_mode else spool.remove(module.params["taken"])
        found = spool.read()
    except OSError as error:
        module.fail_json(msg=f"{spool.root} cannot be read: {error.strerror}. Does the task become root?")
    records = []
    for record in found.records:
        try:
            validated(record, "spooled")
            records.append(record)
        except EvidenceError as error:
            module.warn(f"a result in {spool.root} cannot be recorded: {error}")
    for name in found.damaged:
        module.warn(f"{spool.root}/{name} cannot be read; it stays there")
    latest = [record for record in spool.latest() if str(record.get("id")).startswith(CLOCKED)]
    module.exit_json(changed=bool(removed), records=records, latest=latest, files=found.files)


if __name__ == "__main__":
    main()
