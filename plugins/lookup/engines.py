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
  roles_of:
    description: Name of an engine. Its roles are found instead, whose C(meta/card.yml) says C(engine).
    type: str
"""

EXAMPLES = r"""
- name: Look at every host that keeps data
  hosts: "{{ query('slipway.ops.engines') | join(':') }}"
"""

RETURN = r"""
_raw:
  description: Their names, or those of the roles.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import names

ROLES = Path(__file__).resolve().parents[2] / "roles"


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        engine = self.get_option("roles_of")
        if not engine:
            return names()
        cards = {path.parents[1].name: path for path in ROLES.glob("*/meta/card.yml")}
        return sorted(role for role, path in cards.items() if yaml.safe_load(path.read_text()).get("engine") == engine)
