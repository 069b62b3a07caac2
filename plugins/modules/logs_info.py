#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: logs_info
short_description: Look something up in the logs of all hosts
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Searches what role C(slipway.ops.logs) keeps on the log host. Options narrow each other; without any the newest
    entries of all hosts are found.
  - Needs root, or group C(systemd-journal).
options:
  hosts:
    description: Whose entries, by their names in the inventory; all when empty.
    type: list
    elements: str
    default: []
  service:
    description:
      - A unit such as V(ssh), a program such as V(sudo) or V(nginx), or a container or service such as V(shop), whose
        containers are V(shop-blue-1) and the like.
    type: str
    default: ""
  since:
    description: From when on, as V(2026-11-29 10:00) in UTC, V(2 hours ago), V(yesterday) or V(today).
    type: str
    default: ""
  to:
    description: Up to when, likewise.
    type: str
    default: ""
  priority:
    description: How bad at least.
    type: str
    choices: ["", emerg, alert, crit, err, warning, notice, info, debug]
    default: ""
  text:
    description: What the message contains, in upper or lower case. Not a pattern.
    type: str
    default: ""
  limit:
    description: How many entries at most; the newest ones are shown.
    type: int
    default: 200
  directory:
    description: Where the log host keeps them.
    type: path
    default: /var/log/journal/remote
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: It only reads.
"""

EXAMPLES = r"""
- name: Look for what went wrong on two hosts
  slipway.ops.logs_info:
    hosts: [app1, app2]
    since: 2 hours ago
    priority: err
  register: logs
"""

RETURN = r"""
lines:
  description: An entry each, oldest first, with time in UTC, host, who wrote it, and the message.
  type: list
  elements: str
  returned: success
  sample: ["2026-11-29T10:00:00.125Z app1 sshd: Failed password for root from 192.0.2.7 port 40022 ssh2"]
more:
  description: Whether older entries match as well.
  type: bool
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.logs.journal import JournalError
from ansible_collections.slipway.ops.plugins.module_utils.logs.search import PRIORITIES, Question, SearchError, search


def main() -> None:
    """Read the options, ask, answer."""
    text = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "list", "elements": "str", "default": []},
            "service": text,
            "since": text,
            "to": text,
            "priority": {"type": "str", "choices": ["", *PRIORITIES], "default": ""},
            "text": text,
            "limit": {"type": "int", "default": 200},
            "directory": {"type": "path", "default": "/var/log/journal/remote"},
        },
        supports_check_mode=True,
    )
    options = module.params
    directory, until = Path(options.pop("directory")), options.pop("to")
    try:
        answer = search(directory, Question(until=until, **options))
    except (SearchError, JournalError) as error:
        module.fail_json(msg=f"{error}. Nothing was searched.")
    module.exit_json(changed=False, lines=answer.lines(), more=answer.more)


if __name__ == "__main__":
    main()
