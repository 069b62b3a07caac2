#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: start
short_description: Write a project from answers
version_added: 0.1.0
description:
  - Writes a directory from which C(ansible-playbook) runs this collection's playbooks. In it are an inventory, group
    variables, a vault with generated secrets, its password in a file that only its owner reads, and what to do next.
  - Answers that cannot be meant are refused, a sentence each, and nothing is written.
  - Runs on the controller, by an action plugin of the same name. C(playbooks/start.yml) asks for the answers.
options:
  directory:
    description: The new directory. One that something is in is refused.
    type: path
  answers:
    description:
      - The answers by their names, C(hosts), C(ssh_from), C(user), C(become_password), C(domain), C(service),
        C(image), C(port), C(health), C(database), C(backups), C(s3), C(timezone) and C(registry_login), as the head of
        C(playbooks/start.yml) describes them.
      - Passwords among them go into the vault and nowhere else.
    type: dict
    required: true
attributes:
  check_mode:
    description: Judges the answers and the directory, and writes nothing.
    support: full
  diff_mode:
    description: What is written holds secrets.
    support: none
  idempotent:
    description: A project that is there is refused.
    support: none
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Write a project for one host that is everything
  slipway.ops.start:
    directory: shop
    answers:
      hosts: shop1=203.0.113.7
      domain: shop.example.com
      service: shop
"""

RETURN = r"""
directory:
  description: Where the project is.
  returned: success
  type: str
  sample: /home/jiwoo/shop
files:
  description: What was written, relative to it.
  returned: success
  type: list
  elements: str
  sample: [hosts.yml, NEXT.md]
next:
  description: The lines of C(NEXT.md), what to do next.
  returned: success
  type: list
  elements: str
"""
