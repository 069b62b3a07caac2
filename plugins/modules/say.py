#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: say
short_description: Print lines whatever the output settings hide
version_added: 0.1.0
description:
  - Prints lines plainly on the terminal and in the log, also when C(display_ok_hosts) is off and unchanged tasks are
    silent. It is for the few things that a run has to tell, such as a closing table.
  - Runs on the controller, by an action plugin of the same name.
options:
  lines:
    description: What to print.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Prints in check mode too.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
  idempotent:
    description: Nothing is changed.
    support: full
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Show the table
  slipway.ops.say:
    lines: "{{ summary.lines }}"
  run_once: true
"""

RETURN = r"""#"""
