# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: known_variables
short_description: Refuse an inventory that cannot be meant
version_added: 0.1.0
description:
  - Fails when a variable of the inventory or the command line begins like those of this collection and is none of them.
    Argument specs alone let an unknown name pass, so C(nginx_porst) would silently do nothing.
  - Fails too with what the roles refuse of the inventory (C(meta/preflight.yml) of each).
  - For a playbook, it also holds the value of every variable against its argument spec.
  - Each problem is one line, with the hosts that have it.
  - Variables of other roles whose names begin like ours are let pass when they are in C(slipway_foreign_variables).
    What tasks registered or set is never looked at.
  - Runs on the controller; nothing is sent to the hosts.
options:
  role:
    description: Names of roles of this collection that are about to run on this host.
    type: list
    elements: str
  playbook:
    description:
      - Name of a playbook of this collection. All hosts of the play are looked at, so the task is run once; for each,
        the roles that the playbook gives it, and the variables that the playbook reads itself.
    type: str
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
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Refuse what cannot be meant
  slipway.ops.known_variables:
    role: nginx

- name: Look at the whole inventory before anything changes
  slipway.ops.known_variables:
    playbook: site
  run_once: true
"""

RETURN = r"""
"""
