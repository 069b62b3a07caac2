#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Have packages of the distribution, without asking apt for what is known to be there
version_added: 0.1.0
description:
  - Installs packages as M(ansible.builtin.apt) does, without recommended ones, from an index that is at most a day old.
    What cannot be had from it is asked for again with a new one.
  - What role C(slipway.ops.baseline) read of the host earlier in the same run (M(slipway.ops.baseline_info)) is
    believed. A host that has all packages is not connected to. Without such a reading, and for a package that is
    missing in it, apt is asked.
  - A role that removes packages has to register C(__baseline_seen) anew.
  - Runs on the controller, by an action plugin of the same name.
options:
  name:
    description: The packages. One with a version or an architecture is asked of apt in every run.
    type: list
    elements: str
    required: true
  start:
    description: Whether what the packages bring may be started by their installation.
    type: bool
    default: true
  new_sources:
    description: Whether the sources of packages have changed, so that the index must be read and apt be asked.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would be installed.
    support: full
  diff_mode:
    description: Shows apt's own words.
    support: full
  idempotent:
    description: What is there is not installed again.
    support: full
seealso:
  - module: ansible.builtin.apt
  - module: slipway.ops.baseline_info
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Install what the edge needs, and start nothing with its first configuration
  slipway.ops.packages:
    name: [haproxy, openssl]
    start: false
"""

RETURN = r"""#"""
