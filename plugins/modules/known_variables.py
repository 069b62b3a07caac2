# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: known_variables
short_description: Refuse misspelt variables of a role
version_added: 0.1.0
description:
  - Fails when a variable carries the role's prefix but is not in the role's argument specs.
  - Argument specs alone let an unknown name pass, so C(nginx_porst) would silently do nothing.
  - Runs on the controller; nothing is sent to the host.
options:
  role:
    description: Names of roles of this collection; each is the prefix of its role's public variables.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: The check runs in check mode too.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
author:
  - The Slipway authors
"""

EXAMPLES = r"""
- name: Refuse misspelt variables
  slipway.ops.known_variables:
    role: nginx

- name: Refuse misspelt variables before any role has changed anything
  slipway.ops.known_variables:
    role: [baseline, certificate, nginx]
"""

RETURN = r"""
"""
