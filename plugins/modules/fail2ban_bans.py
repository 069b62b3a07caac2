#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: fail2ban_bans
short_description: See who is banned by fail2ban on a host, and lift the bans of an address
version_added: 0.2.0
description:
  - Asks the running server. Where fail2ban is not installed nobody is banned.
options:
  lift:
    description: The address whose bans are lifted, in all jails. Empty lifts none.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Says what would be lifted.
  diff_mode:
    support: none
    description: A ban has no text worth comparing.
  idempotent:
    support: full
    description: Where an address is not banned nothing is lifted.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: See who is banned
  slipway.ops.fail2ban_bans:
  register: banned

- name: Let somebody in again
  slipway.ops.fail2ban_bans:
    lift: 203.0.113.9
"""

RETURN = r"""
bans:
  description: Those that there were, each with C(jail), C(address) and C(until), which is empty for one without an end.
  type: list
  elements: dict
  returned: success
lifted:
  description: Those that were lifted, or would be.
  type: list
  elements: dict
  returned: success
lines:
  description: What there is, and what became of O(lift), for people.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import fail2ban


def main() -> None:
    """Read the options, look, lift, answer."""
    module = AnsibleModule({"lift": {"type": "str", "default": ""}}, supports_check_mode=True)
    address = module.params["lift"]
    try:
        known = fail2ban.bans()
        lifted = fail2ban.of_address(address, known) if address else []
        if lifted and not module.check_mode:
            fail2ban.lift(lifted)
    except (fail2ban.Fail2banError, OSError) as error:
        module.fail_json(msg=str(error))
    told = "would be lifted" if module.check_mode else "lifted"
    lines = [ban.line() + (f": {told}" if ban in lifted else "") for ban in known]
    module.exit_json(
        changed=bool(lifted),
        bans=[asdict(ban) for ban in known],
        lifted=[asdict(ban) for ban in lifted],
        lines=lines or ["nobody is banned"],
    )


if __name__ == "__main__":
    main()
