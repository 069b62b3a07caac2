#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Keep environments apart
version_added: 0.1.0
description:
  - Hosts say which environment they are of, such as V(production), by the variable C(slipway_environment). A run whose
    hosts are of several is refused; those without one are of any.
  - Before a run that would change V(production) begins, whoever started it types its name. C(-e confirm=production)
    says it beforehand; one that names another environment than the hosts' is refused.
  - Nobody is asked in check mode, nor in AWX, where an approval stands for it.
  - Runs on the controller; nothing is sent to the hosts.
options: {}
attributes:
  check_mode:
    support: full
    description: Hosts of several environments are refused, and nobody is asked.
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
- name: Name the environment, and ask before production
  slipway.ops.environment:
  run_once: true
"""

RETURN = r"""
environment:
  description: The environment; empty where no host has any.
  returned: success
  type: str
  sample: staging
"""
