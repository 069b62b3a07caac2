#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: secrets
short_description: Make, rotate and register the secrets of an inventory
version_added: 0.1.0
description:
  - Finds the variables C(vault_*) that the inventory's templates name, and makes those that it lacks, into a file of
    variables that is encrypted by Ansible Vault, or by SOPS where its name ends in C(.sops.yml).
  - Rotates those that are named. The encrypted file is replaced in one step, by this run alone; the old value is kept
    nowhere.
  - Writes C(group_vars/all/secrets_register.yml), which says of each secret since when it is in use, whose it is, and
    where its value goes. Values are in no result, no difference and no message.
  - Runs on the controller, by an action plugin of the same name.
options:
  hosts:
    description: Hosts of the inventory whose needs count.
    type: list
    elements: str
    required: true
  rotate:
    description: Names of secrets that get new values.
    type: list
    elements: str
    default: []
  make:
    description: Whether missing secrets are made. Else they are only named, and the register stays as it is.
    type: bool
    default: true
  file:
    description: File for new secrets, relative to the inventory. By default the only encrypted one, or
      C(group_vars/all/vault.yml).
    type: str
  given:
    description: Names of secrets that come from others, such as a token of a payment service. None is made.
    type: list
    elements: str
    default: []
  max_age:
    description: How old a value may become, such as V(365d). An entry of the register may say otherwise.
    type: str
    default: 365d
  owner:
    description: Whose new secrets are. By default whoever runs this.
    type: str
attributes:
  check_mode:
    description: Says what would be made and rotated, and writes nothing.
    support: full
  diff_mode:
    description: The register's lines; they hold no values.
    support: full
  idempotent:
    description: What is there is not made again. A rotation is one each time.
    support: partial
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Make what is missing
  slipway.ops.secrets:
    hosts: "{{ groups['all'] }}"

- name: Rotate one
  slipway.ops.secrets:
    hosts: "{{ groups['all'] }}"
    rotate: [vault_metrics_password]
"""

RETURN = r"""
made:
  description: Names of the secrets that were made.
  returned: success
  type: list
  elements: str
  sample: [vault_database_password]
rotated:
  description: Names of those with a new value.
  returned: success
  type: list
  elements: str
  sample: []
missing:
  description: Names of those that are still missing.
  returned: success
  type: list
  elements: str
  sample: [vault_s3_key]
records:
  description: How old each value is, as M(slipway.ops.evidence) takes it.
  returned: success
  type: list
  elements: dict
  sample: [{id: security.secrets.age, subject: vault_database_password, measured: 12, unit: d, verdict: pass}]
lines:
  description: What was done and what is wrong, for an operator.
  returned: success
  type: list
  elements: str
  sample: ["vault_database_password: made in group_vars/all/vault.yml, for postgresql_users[].password"]
"""
