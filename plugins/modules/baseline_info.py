#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: baseline_info
short_description: What kind of host this is, and what it has already
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Used by role C(slipway.ops.baseline), in one call for all that decides what its tasks do.
attributes:
  check_mode:
    support: full
    description: It reads only.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
options:
  locale:
    description: The locale to look for, in any spelling of its codeset.
    type: str
    default: C.UTF-8
  names:
    description: Units of packages and programs of administrators to look for.
    type: list
    elements: str
    default: []
  administrators:
    description: Files that name administrators, one at the beginning of each line.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: See what kind of host this is
  slipway.ops.baseline_info:
    locale: de_DE.UTF-8
    names: [locale-gen, chrony.service]
  register: seen
"""

RETURN = r"""
container:
  description: Kind of the container that the host is, empty when it is none.
  type: str
  returned: success
  sample: docker
has_locale:
  description: Whether the locale is there.
  type: bool
  returned: success
accounts:
  description: Names of the host's users.
  type: list
  elements: str
  returned: success
groups:
  description: Names of the host's groups.
  type: list
  elements: str
  returned: success
installed:
  description: Those of O(names) that are there.
  type: list
  elements: str
  returned: success
dpkg_interrupted:
  description: Whether dpkg was interrupted, so that no package can be installed until it has been run.
  type: bool
  returned: success
administrators:
  description: The names in O(administrators), each once.
  type: list
  elements: str
  returned: success
packages:
  description: The names of all packages that are installed, from dpkg's own file.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host.baseline import look


def main() -> None:
    """Read the options, look, and answer."""
    module = AnsibleModule(
        argument_spec={
            "locale": {"type": "str", "default": "C.UTF-8"},
            "names": {"type": "list", "elements": "str", "default": []},
            "administrators": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **asdict(look(**module.params)))


if __name__ == "__main__":
    main()
