#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_info
short_description: Read the latest evidence from the store
version_added: 0.1.0
description:
  - Returns the newest record of every id and subject from the evidence store of the host it runs on.
  - Which of two records is newer is decided by their C(at), the start of the measurement.
options:
  store:
    description: Directory of the store. One that is missing or empty has no records; that is no error.
    type: path
    default: /var/lib/slipway/evidence
  ids:
    description: Ids or patterns of ids (C(*) and C(?)); empty for all.
    type: list
    elements: str
    default: []
  subjects:
    description: Subjects or patterns of subjects (C(*) and C(?)); empty for all.
    type: list
    elements: str
    default: []
  areas:
    description: Areas; empty for all.
    type: list
    elements: str
    choices: [infrastructure, application, data, delivery, monitoring, security, operations]
    default: []
  max_age:
    description:
      - Only records whose measurement began at most so long ago, for example C(24h), C(30d), or a number of seconds.
    type: str
  history:
    description: Also return older records that fit, in the order in which they were written for each id and subject.
    type: bool
    default: false
  history_size:
    description: How many records of an id and subject the history goes back.
    type: int
    default: 1000
  artifacts:
    description: Also return the content of the artifacts of the returned latest records.
    type: bool
    default: false
  artifact_size:
    description: Bytes of an artifact up to which its content is returned.
    type: int
    default: 65536
attributes:
  check_mode:
    description: It only reads.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
  idempotent:
    description: It only reads.
    support: full
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Read what the last day measured about releases
  slipway.ops.evidence_info:
    ids: [delivery.*]
    max_age: 24h
  delegate_to: "{{ evidence_host }}"
  register: released
"""

RETURN = r"""
records:
  description: The newest record of each id and subject, ordered by these.
  returned: success
  type: list
  elements: dict
  sample:
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
      run: 20261121T114000Z-rollback
      reason: null
      artifacts: [artifacts/20261121T114000Z-rollback/timeline.json]
      sha256:
        artifacts/20261121T114000Z-rollback/timeline.json: >-
          2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
history:
  description: The records that fit, at most O(history_size) of each id and subject.
  returned: when O(history=true)
  type: list
  elements: dict
artifacts:
  description:
    - Per path of an artifact C(bytes) (its size), C(intact) (its SHA-256 is the one on record; false also when it is
      missing) and C(content) (text; null when it is larger than O(artifact_size), missing or not UTF-8).
  returned: when O(artifacts=true)
  type: dict
damaged:
  description: Lines that could not be read, as a killed writer leaves them, with C(file), C(offset) and C(bytes).
  returned: success
  type: list
  elements: dict
store:
  description: Directory of the store.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, duration
from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import Query, described, tail
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "default": "/var/lib/slipway/evidence"},
            "ids": {"type": "list", "elements": "str", "default": []},
            "subjects": {"type": "list", "elements": "str", "default": []},
            "areas": {"type": "list", "elements": "str", "default": [], "choices": list(AREAS)},
            "max_age": {"type": "str"},
            "history": {"type": "bool", "default": False},
            "history_size": {"type": "int", "default": 1000},
            "artifacts": {"type": "bool", "default": False},
            "artifact_size": {"type": "int", "default": 65536},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **_answer(module.params))
    except (EvidenceError, UnitError, OSError) as error:
        module.fail_json(msg=f"could not read the evidence store {module.params['store']}: {error}")


def _answer(params: dict) -> dict:
    store = Store(params["store"])
    max_age = duration(params["max_age"]) if params["max_age"] else None
    query = Query(params["ids"], params["subjects"], params["areas"], max_age)
    latest = store.latest()
    records = sorted(query.matching(latest.records), key=lambda record: (record["id"], record["subject"]))
    answer: dict[str, Any] = {"store": str(store.root), "records": records, "damaged": latest.damaged}
    if params["history"]:
        answer["history"] = tail(query.matching(store.history().records), params["history_size"])
    if params["artifacts"]:
        answer["artifacts"] = described(store, records, params["artifact_size"])
    return answer


if __name__ == "__main__":
    main()
