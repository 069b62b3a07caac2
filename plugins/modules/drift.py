#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Compare hosts with what a playbook would make of them
version_added: 0.2.0
description:
  - Runs a playbook with C(--check --diff) on the controller and reads what it would change, by host and topic. A topic
    is the role of the task, or C(playbook) for tasks of plays.
  - Inventory, C(--limit), extra variables, secrets of Ansible Vault, passwords and options of the connection are those
    of the run that calls it. Tags are not; all is compared.
  - Runs on the controller, by an action plugin of the same name, as who runs C(ansible-playbook).
options:
  playbook:
    description: The playbook.
    type: path
    required: true
  hosts:
    description: The hosts that are to be compared. One of which the run says nothing was not compared.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which the comparison is ended.
    type: float
    default: 3600
attributes:
  check_mode:
    description: It never changes a host.
    support: full
  diff_mode:
    description: What differs is its result.
    support: none
  idempotent:
    description: It never changes a host.
    support: full
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Compare
  slipway.ops.drift:
    playbook: "{{ playbook_dir }}/site.yml"
    hosts: "{{ groups['all'] }}"
  register: drift
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
verdict:
  description: V(pass) when nothing differs, V(fail) when something does, V(unknown) when a host was not compared.
  type: str
  returned: success
lines:
  description: What differs, a line for each task that would change something, and why a host was not compared.
  type: list
  elements: str
  returned: success
  sample: ["edge1: nginx: Install the configuration: /etc/nginx/nginx.conf (+1 -1)"]
sentence:
  description: How many differences on how many hosts.
  type: str
  returned: success
records:
  description: The same as evidence, RV(slipway.ops.evidence#module:records), by host and topic.
  type: list
  elements: dict
  returned: success
differences:
  description: The differences with their unified diffs, JSON. What tasks hide is not in it.
  type: str
  returned: success
"""
