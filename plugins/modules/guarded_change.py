#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module side: makes the change and keeps it; the action plugin of the same name comes back over a fresh connection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guarded_change
short_description: Make a change that takes itself back unless a fresh connection succeeds
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - For what can lock its operator out, such as a firewall or sshd. Files that another task has written and checked
    become the live ones and are applied. The controller then gives up its connection and makes another, in the
    inventory's own way. Only that one keeps the change.
  - Before anything is changed a timer runs on the host. When nobody has kept the change after O(within) seconds, the
    former files are back and in effect, whatever has become of the controller. A host that goes down meanwhile comes up
    with the former files.
  - When no connection succeeds, the task waits until the host has taken the change back, and fails saying so. The same
    where the change cuts the very connection over which it is made.
notes:
  - A connection that is open already goes on through most firewalls, so it proves nothing. With SSH the controller's
    shared connection is closed first. The connection plugin V(local) has nothing to prove.
  - SSH waits for ever on a connection that is silently gone, unless C(ServerAliveInterval) is in C(ssh_args), as in
    Slipway's C(ansible.cfg). Have it in your own too.
  - What it needs of a change on trial is in C(/var/lib/slipway/guard/NAME), and gone afterwards. C(taken_back) there
    says when a change was taken back, until one is kept.
attributes:
  check_mode:
    support: full
    description: Tells whether something would be changed, and changes nothing.
  diff_mode:
    support: full
    description: Shows why the change is made. What is in the files is the diff of the task that wrote them.
  idempotent:
    support: full
    description: Nothing is done when the live files, and what is loaded, are as wanted.
options:
  name:
    description: What is changed, in small letters, digits and dashes. One change of a name is on trial at a time.
    type: str
    required: true
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      wanted:
        description: Where it is written and checked. Owner and mode go with it.
        type: path
        required: true
      live:
        description: Where the program reads it.
        type: path
        required: true
  apply:
    description: A command that makes the program read the live files.
    type: list
    elements: str
    required: true
  check:
    description:
      - A command that judges the live files before O(apply). When it fails the change is taken back at once. The former
        files are not judged by it.
    type: list
    elements: str
    default: []
  withdraw:
    description: A command instead of O(apply), to take back a change before which there were no live files.
    type: list
    elements: str
    default: []
  loaded:
    description:
      - A command that prints what is in effect. Where it prints something else than when the change was kept, the
        change is made again.
    type: list
    elements: str
    default: []
  within:
    description: Seconds within which a fresh connection must succeed.
    type: int
    default: 60
  attempt:
    description: The word by which the change can be kept. The action plugin's, not for playbooks.
    type: str
  keep:
    description: Keeps the change O(attempt) instead of making one. The action plugin's, not for playbooks.
    type: bool
    default: false
seealso:
  - module: slipway.ops.config_tree
"""

EXAMPLES = r"""
- name: Write sshd's configuration
  slipway.ops.config_tree:
    files:
      - {path: /etc/slipway/ssh/sshd.conf, template: sshd.conf.j2}
    validate: sshd -t -f /etc/slipway/ssh/sshd.conf

- name: Use it
  slipway.ops.guarded_change:
    name: ssh
    files:
      - {wanted: /etc/slipway/ssh/sshd.conf, live: /etc/ssh/sshd_config.d/10-slipway.conf}
    apply: [systemctl, try-reload-or-restart, ssh.service]
"""

RETURN = r"""
reasons:
  description: Why something was changed, a sentence each.
  type: list
  elements: str
  returned: success
  sample: [/etc/ssh/sshd_config.d/10-slipway.conf is not as wanted]
kept:
  description: Whether a fresh connection has kept the change.
  type: bool
  returned: when something was changed
taken_back:
  description: When the host took the change back, in UTC.
  type: str
  returned: when no fresh connection succeeded in time
  sample: "2026-11-29T10:00:00Z"
"""

import re
import uuid
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host.guard import Change, Guard, GuardError

SHORTEST = 10


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "wanted": {"type": "path", "required": True},
                    "live": {"type": "path", "required": True},
                },
            },
            "apply": {"type": "list", "elements": "str", "required": True},
            "check": {"type": "list", "elements": "str", "default": []},
            "withdraw": {"type": "list", "elements": "str", "default": []},
            "loaded": {"type": "list", "elements": "str", "default": []},
            "within": {"type": "int", "default": 60},
            "attempt": {"type": "str"},
            "keep": {"type": "bool", "default": False},
        },
        required_if=[("keep", True, ["attempt"])],
        supports_check_mode=True,
    )
    given = module.params
    if not re.fullmatch("[a-z][a-z0-9-]*", given["name"]):
        module.fail_json(msg=f"name is {given['name']!r}: write small letters, digits and dashes, such as firewall")
    if given["within"] < SHORTEST:
        module.fail_json(msg=f"within is {given['within']}: a fresh connection needs {SHORTEST} seconds at least")
    change = Change(
        given["name"],
        tuple((Path(file["wanted"]), Path(file["live"])) for file in given["files"]),
        given["apply"],
        given["withdraw"],
        given["loaded"],
        given["check"],
    )
    try:
        result = _act(Guard(given["name"]), change, given, module.check_mode)
    except (GuardError, OSError) as error:
        module.fail_json(msg=f"guarded_change: {error}")
    module.exit_json(**result)


def _act(guard: Guard, change: Change, given: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    attempt = given["attempt"] or uuid.uuid4().hex
    if given["keep"]:
        kept = guard.keep(change, attempt)
        return {"changed": kept, "kept": kept, "taken_back": guard.taken_back_at(attempt)}
    reasons = guard.differences(change)
    result = {"changed": bool(reasons), "reasons": reasons}
    if reasons and not check_mode:
        guard.begin(change, given["within"], attempt)
        result["attempt"] = attempt
    return result | {"diff": {"before": "", "after": "".join(f"{reason}\n" for reason in reasons)}}


if __name__ == "__main__":
    main()
