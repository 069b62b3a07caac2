# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of an engine, for hosts that back it up or have its data; the logic is in plugin_utils.program."""

from __future__ import annotations

DOCUMENTATION = r"""
name: engine_files
short_description: Find the files of an engine, and of the commands that serve all engines
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - The commands C(slipway-backup), C(slipway-drill) and C(slipway-restore) with all that they import, and engines with
    all that these do.
  - Every engine's role installs the same commands in the same place and its own engine beside those of others, so that
    a host with several engines has one command for all of them.
options:
  _terms:
    description: Modules of engines beneath C(plugins/module_utils), such as V(engines.postgresql.engine).
    required: true
"""

EXAMPLES = r"""
- name: Install what backs up and drills
  slipway.ops.config_tree:
    files: "{{ query('slipway.ops.engine_files', 'engines.postgresql.engine') }}"
"""

RETURN = r"""
_raw:
  description: >-
    Entries of O(slipway.ops.config_tree#module:files).
  type: list
  elements: dict
"""

from types import ModuleType
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.ops.plugins.lookup.program_files import find
from ansible_collections.slipway.ops.plugins.module_utils.data import program as backup
from ansible_collections.slipway.ops.plugins.module_utils.data import restore
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import program as drill
from ansible_collections.slipway.ops.plugins.plugin_utils.program import PACKAGE

TARGET = "/usr/local/lib/slipway/slipway_engines"
COMMANDS = {"slipway-backup": backup, "slipway-drill": drill, "slipway-restore": restore}
LAUNCHER = """\
#!/bin/sh
# Written by the roles of slipway.ops that keep data; changes here are lost.
export PYTHONPATH={target} PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 -m {module} "$@"
"""


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        shared = [module.__name__.removeprefix(f"{PACKAGE}.") for module in COMMANDS.values()]
        return find([*shared, *terms], TARGET) + [_launcher(*one) for one in COMMANDS.items()]


def _launcher(command: str, module: ModuleType) -> dict[str, str]:
    content = LAUNCHER.format(target=TARGET, module=module.__name__)
    return {"path": f"/usr/local/sbin/{command}", "content": content, "mode": "0755"}
