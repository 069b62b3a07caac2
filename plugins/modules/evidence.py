#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: Append measured results to the evidence store
version_added: 0.1.0
description:
  - Validates results and appends them to the evidence store of the host it runs on, all of them or none.
  - When the task has succeeded the records are on disk. Records are never changed afterwards.
  - Then the metrics of the store, a node-exporter textfile, are brought up to date.
options:
  store:
    description: Directory of the store; it is made when it is missing.
    type: path
    default: /var/lib/slipway/evidence
  run:
    description: Identifier shared by all evidence of one playbook run, for example C(20261121T114000Z-deploy).
    type: str
    required: true
  records:
    description:
      - The results to record, each a dictionary.
      - Required are C(id) (area.subject-kind.claim), C(area), C(subject), C(claim) (one sentence), C(verdict),
        C(at) (start, RFC 3339 with offset) and C(source) (what measured it, with its version).
      - C(reason) is required unless the verdict is C(pass).
      - Optional are C(measured) (number or text), C(unit) (UCUM style, default C(1)), C(limit) (for example C(< 500)),
        C(took) (seconds) and C(artifacts) (names of artifacts of this task, or paths that the store already has).
      - C(area) is one of C(infrastructure), C(application), C(data), C(delivery), C(monitoring), C(security),
        C(operations).
      - C(verdict) is one of C(pass), C(warn), C(fail), C(skip), C(unknown).
    type: list
    elements: dict
    required: true
  artifacts:
    description:
      - Raw output to keep beside the records. One that no record names belongs to every record of the task.
      - Kept as C(artifacts/RUN/NAME) with its SHA-256 in the records. Another content under a name that the run
        already has gets a name of its own.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Plain relative path, for example C(timeline.json).
        type: str
        required: true
      content:
        description: Text is kept as it is; anything else becomes JSON.
        type: raw
        required: true
attributes:
  check_mode:
    description: Validates the records and writes nothing.
    support: full
  diff_mode:
    description: Shows the lines that are appended.
    support: full
  idempotent:
    description: Each run of the task is a measurement of its own and appends its records.
    support: none
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence_info
"""

EXAMPLES = r"""
- name: Record how long the rollback took
  slipway.ops.evidence:
    run: "{{ slipway_run }}"
    records:
      - id: delivery.rollback.duration
        area: delivery
        subject: sample
        claim: The previous release answers again within five seconds
        measured: 1.84
        unit: s
        limit: "<= 5"
        verdict: pass
        at: "2026-11-21T11:40:00.123Z"
        took: 1.84
        source: rollback 0.1.0
        artifacts: [rollback-timeline.json]
    artifacts:
      - name: rollback-timeline.json
        content: "{{ timeline }}"
  delegate_to: "{{ evidence_host }}"
"""

RETURN = r"""
records:
  description:
    - The records as they were (in check mode, would be) appended.
    - Artifacts are paths in the store; C(sha256) maps each to its hash.
  returned: success
  type: list
  elements: dict
store:
  description: Directory of the store.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.evidence.metrics import publish
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, encoded
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "default": "/var/lib/slipway/evidence"},
            "run": {"type": "str", "required": True},
            "records": {"type": "list", "elements": "dict", "required": True},
            "artifacts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "raw", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    store = Store(module.params["store"])
    batch = (module.params["records"], module.params["run"], module.params["artifacts"])
    try:
        records = store.check(*batch) if module.check_mode else store.append(*batch)
    except (EvidenceError, OSError) as error:
        module.fail_json(msg=str(error), store=str(store.root))
    if records and not module.check_mode:
        try:
            publish(store)
        except EvidenceError as error:
            module.warn(str(error))
    module.exit_json(changed=bool(records), records=records, store=str(store.root), diff=_diff(records))


def _diff(records: list[dict]) -> dict[str, str]:
    return {"before": "", "after": b"".join(map(encoded, records)).decode(), "after_header": "appended"}


if __name__ == "__main__":
    main()
