#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_member
short_description: Have this host's Patroni run what its files say
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Starts Patroni and waits until its server leads or streams, reloads it when a file is newer than what it has read,
    and changes what all members share when that differs.
  - Never restarts Patroni or the server. Settings that wait for that are returned and told.
  - Decides from what Patroni says and not from what the run did, so it finishes what a killed run left.
options:
  dynamic:
    description: What all members share. Left alone where it is not given.
    type: dict
  sources:
    description: Further files that a reload takes over, for example certificates.
    type: list
    elements: path
    default: []
  rival:
    description: Unit that would run the same server without Patroni. While it runs nothing is done.
    type: str
    default: ""
  timeout:
    description: Seconds to wait until the server leads or streams. It goes on starting or copying after that.
    type: float
    default: 300
requirements:
  - python3-yaml on the host, which Patroni needs too
attributes:
  check_mode:
    support: full
    description: Nothing is started, reloaded or changed.
  diff_mode:
    support: none
    description: Nothing is written on the host.
  idempotent:
    support: full
    description: A member that runs what its files say is left alone.
"""

EXAMPLES = r"""
- name: Run what the files say
  slipway.ops.patroni_member:
    dynamic: "{{ settings | slipway.ops.patroni_dynamic('fast') }}"
    rival: postgresql@17-main.service
"""

RETURN = r"""
actions:
  description: What was done, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["reloaded patroni.service", "changed for all members: ttl: 20"]
role:
  description: V(leader) or V(replica); empty when that could not be seen in check mode.
  type: str
  returned: success
pending:
  description: Settings of this member that wait for a restart.
  type: list
  elements: str
  returned: success
notices:
  description: What an operator should know, a sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.member import Wanted, settle


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "dynamic": {"type": "dict"},
            "sources": {"type": "list", "elements": "path", "default": []},
            "rival": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        outcome = settle(Wanted(**module.params), module.check_mode)
    except (PatroniError, OSError) as error:
        module.fail_json(msg=f"patroni_member: {error}")
    module.exit_json(
        changed=bool(outcome.actions),
        actions=outcome.actions,
        role=outcome.role,
        pending=outcome.pending,
        notices=outcome.notices,
    )


if __name__ == "__main__":
    main()
