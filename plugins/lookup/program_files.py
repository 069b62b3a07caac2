# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a program that a host runs; how they are found is in plugin_utils.program."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program_files
short_description: Find the files of a program that timers and units on a host run
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Reads the import statements of modules of this collection, and of what they import, so that a role needs no list of
    files that its program consists of.
options:
  _terms:
    description: Modules beneath C(plugins/module_utils), such as V(engines.postgresql.pgbackrest.program).
    required: true
  target:
    description: The directory on the host that C(PYTHONPATH) names.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Install what the timers run
  slipway.ops.config_tree:
    files: "{{ query('slipway.ops.program_files', 'data.drill.program', target='/opt/drill') }}"
"""

RETURN = r"""
_raw:
  description: >-
    Entries of O(slipway.ops.config_tree#module:files).
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.ops.plugins.plugin_utils.program import files

MODULE_UTILS = Path(__file__).resolve().parents[1] / "module_utils"


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        self.set_options(var_options=variables, direct=kwargs)
        return find(terms, self.get_option("target"))


def find(modules: list[str], target: str) -> list[dict[str, str]]:
    """The files of these modules and of all that they import."""
    missing = [module for module in modules if not _is_module(module)]
    if missing:
        raise AnsibleLookupError(f"there is no module {', '.join(missing)} in {MODULE_UTILS}")
    return files(MODULE_UTILS, modules, target)


def _is_module(term: str) -> bool:
    path = MODULE_UTILS.joinpath(*term.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
