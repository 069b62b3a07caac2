#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: documents
short_description: Write the documents of a system
version_added: 0.1.0
description:
  - Writes operations guide, incident manual, deployment guide, recovery plan, checklists, reviews, the register of
    personal data, and a page for each host and service, in English and Korean, as HTML and Markdown.
  - What was not measured says so. Everything from inventory and evidence is escaped.
  - Runs on the controller, by an action plugin of the same name. C(playbooks/documents.yml) gathers what it needs.
options:
  directory:
    description:
      - Where they go, all of them or none. What was there of an earlier run is replaced.
      - A directory that has something else is refused.
    type: path
    required: true
  system:
    description:
      - C(system), the name; C(command); C(hosts), of each what P(slipway.ops.documents_host#filter) gives with
        C(units), C(ports), C(logs), C(engines); C(alerts) of the cards and C(alert_changes); C(jobs) and
        C(timezone); C(evidence), what M(slipway.ops.evidence_info) returned; C(assessment), what
        P(slipway.ops.readiness#filter) returned; C(costs), what P(slipway.ops.period_costs#filter) returned;
        C(graphs), where Prometheus is; C(contacts) and C(processing).
    type: dict
    required: true
attributes:
  check_mode:
    description: Makes them and writes nothing.
    support: full
  diff_mode:
    description: Documents tell how things are; they change nothing.
    support: none
  idempotent:
    description: Documents of the same moment are the same.
    support: full
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Write the documents
  slipway.ops.documents:
    directory: reports/documents
    system: "{{ told }}"
"""

RETURN = r"""
directory:
  description: Where they are.
  returned: success
  type: str
  sample: /home/jiwoo/shop/reports/documents
files:
  description: What was written, relative to it.
  returned: success
  type: list
  elements: str
  sample: [en/index.html, ko/index.html]
"""
