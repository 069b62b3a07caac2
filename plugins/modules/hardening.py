#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: hardening
short_description: Bring a running host to its hardening, as far as it allows
version_added: 0.2.0
description:
  - Used by role C(slipway.ops.hardening), for what no file that a program reads does - settings of the running kernel,
    options of mounted file systems, and C(/etc/login.defs).
  - What the host does not allow is not applicable, with the reason, and is no failure.
options:
  sysctl:
    description: Kernel settings and their values.
    type: dict
    default: {}
  mounts:
    description: Mount points and the options that they must have beside those that they have.
    type: dict
    default: {}
  login_defs:
    description: Settings of C(/etc/login.defs). All others stay.
    type: dict
    default: {}
  absent:
    description: Files to remove, of topics that are no longer wanted.
    type: list
    elements: path
    default: []
  record:
    description: Files that are set up now. What they have is written down for health checks to compare.
    type: list
    elements: path
    default: []
  known:
    description: What is known not to apply, and why; it is told with the rest.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Says what it would do.
  diff_mode:
    support: full
    description: What is done.
  idempotent:
    support: full
    description: What is so already is left alone.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Apply what files do not
  slipway.ops.hardening:
    sysctl: {kernel.sysrq: "0"}
    mounts: {/dev/shm: [nosuid, nodev, noexec]}
    login_defs: {PASS_MIN_DAYS: 1}
"""

RETURN = r"""
actions:
  description: What was done, or would be.
  type: list
  elements: str
  returned: success
  sample: ["kernel.sysrq = 0 (was 438)"]
not_applicable:
  description: What does not apply here, and why.
  type: dict
  returned: success
lines:
  description: The same, with O(known), a line for each reason.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import hardening


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "sysctl": {"type": "dict", "default": {}},
            "mounts": {"type": "dict", "default": {}},
            "login_defs": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "path", "default": []},
            "record": {"type": "list", "elements": "path", "default": []},
            "known": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    topics = {
        "sysctl": {"values": module.params["sysctl"]},
        "mounts": {"options": module.params["mounts"]},
        "accounts": {"login_defs": module.params["login_defs"]},
    }
    try:
        found = hardening.apply(hardening.Host(), topics, module.params["absent"], module.check_mode)
        if module.params["record"] and not module.check_mode:
            hardening.record(hardening.Host(), module.params["record"])
    except (hardening.HardeningError, OSError) as error:
        module.fail_json(msg=f"hardening: {error}")
    after = "".join(f"{line}\n" for line in found.changes)
    module.exit_json(
        changed=bool(found.changes),
        actions=found.changes,
        not_applicable=found.not_applicable,
        lines=hardening.by_reason(module.params["known"] | found.not_applicable),
        diff={"before": "", "after": after},
    )


if __name__ == "__main__":
    main()
