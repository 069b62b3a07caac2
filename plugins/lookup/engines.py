# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engines of this collection; how they are found is in module_utils.data.engine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: engines
short_description: Find the kinds of stores that this collection knows
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - An engine is a directory of C(plugins/module_utils/engines). The hosts that have its data are in the group of its
    name.
options:
  _terms:
    description: Nothing.
"""

EXAMPLES = r"""
- name: Look at every host that keeps data
  hosts: "{{ query('slipway.ops.engines') | join(':') }}"
"""

RETURN = r"""
_raw:
  description: Their names.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import names


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        return names()
