#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module side: compares, stages, checks and swaps what the action plugin of the same name has rendered."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Install a program's configuration files as one transaction
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Renders all templates of a program's configuration on the controller. One module call on the host then compares them
    with what is there, stages the new set, lets the program's own checker judge it at its real paths, and swaps it in.
  - A set that the checker refuses never replaces the one that works. A run killed at any point leaves the old set or
    the new one; what it left staged is cleared away, or its swap finished, by the next run of this module on the host.
  - Nothing changed costs one module call, whatever the number of files.
notes:
  - The staged set stands beside the live one, in a hidden directory C(.slipway-staged) on the same file system. Files
    that do not change are hard links to the live ones, so they keep owner, mode and attributes.
  - When more than one file of O(root) changes, the whole directory is exchanged for the staged one in one atomic step
    (C(renameat2) with C(RENAME_EXCHANGE)). A process that holds the old directory open, or watches it with inotify,
    goes on seeing the old one until it opens the path again. One changed file is renamed into place, atomic as well.
  - Files outside O(root) are renamed one by one - new ones first, then changed ones in the order of the list, strays
    last - and so are all files where an exchange is not possible, because O(root) is or holds a mount point, is a
    top-level directory, has more than 5000 entries, or comes from a container image's layer. A run killed between two
    renames leaves a mix until the next run, which finishes that swap first and reports it as changed. List what is
    included before what includes it.
  - Where a mount namespace is not allowed (not root, or a container without C(SYS_ADMIN)) the set is swapped first,
    checked at its live paths, and swapped back when the checker refuses it. See O(require_namespace), RV(validation).
  - One run at a time on a host; others wait, see O(lock_timeout). Lock and journal are in
    C(/var/lib/slipway/config_tree).
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return what it would change. The checker judges the set then too, if it is
      installed; a refusal is a warning, because the set may need what an earlier task has not really installed.
  diff_mode:
    support: full
    description: Shows each file's content, and owner, group and mode, before and after; never a secret's content.
  idempotent:
    support: full
    description: A second run changes nothing and does not call the checker.
options:
  root:
    description:
      - The program's own configuration directory, the unit that is staged, checked and swapped. Made when missing,
        with mode C(0755).
      - Files in it that are not listed stay, see O(directories[].owned). C(.) in O(directories) is the root itself.
      - Leave it out for files in shared directories, like C(/etc/sysctl.d); every path is absolute then.
    type: path
  files:
    description: The files, in the order in which they can safely be replaced one by one.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Relative to O(root), or absolute for a file outside it.
        type: str
        required: true
      template:
        description: A Jinja template, searched and rendered as M(ansible.builtin.template) does. Exactly one of this,
          O(files[].content), O(files[].src) and O(files[].link) is given.
        type: str
      content:
        description: The content itself.
        type: str
      src:
        description: A file on the controller, searched as M(ansible.builtin.copy) does, taken as it is.
        type: str
      link:
        description: The target of a symbolic link; owner, group and mode do not apply to it.
        type: str
      vars:
        description: Variables for O(files[].template) beside the task's own.
        type: dict
      owner:
        description: Name or number of the user.
        type: str
        default: root
      group:
        description: Name or number of the group.
        type: str
        default: root
      mode:
        description: Octal digits in quotes.
        type: str
        default: "0644"
      secret:
        description: Keep the content out of the diff and the checker's output.
        type: bool
        default: false
  directories:
    description: Directories with an owner, group or mode of their own. Missing parents of files are made with C(0755)
      anyway.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Relative to O(root), or absolute.
        type: str
        required: true
      owner:
        description: Name or number of the user.
        type: str
        default: root
      group:
        description: Name or number of the group.
        type: str
        default: root
      mode:
        description: Octal digits in quotes.
        type: str
        default: "0755"
      owned:
        description: Remove files and links directly in it that are not in O(files). Directories in it stay.
        type: bool
        default: false
  validate:
    description:
      - The program's own checker, like C(nginx -t); run without a shell where the staged files stand at their real
        paths.
      - Text is split as a shell would; or a list of arguments.
    type: raw
  validate_timeout:
    description: Seconds after which the checker is killed and the set refused.
    type: float
    default: 60
  require_namespace:
    description: Refuse the change where the set cannot be checked before it is live.
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run of this module on the host.
    type: float
    default: 60
  contents:
    description: What the action plugin read and rendered. Not for playbooks.
    type: str
"""

EXAMPLES = r"""
- name: Configure nginx
  slipway.ops.config_tree:
    root: /etc/nginx
    files:
      - path: sites/shop.conf
        template: site.conf.j2
        vars: {site: "{{ shop }}"}
      - path: htpasswd
        content: "{{ vault_htpasswd }}"
        group: www-data
        mode: "0640"
        secret: true
      - path: nginx.conf
        template: nginx.conf.j2
      - path: /etc/systemd/system/nginx.service.d/limits.conf
        content: |
          [Service]
          LimitNOFILE=65536
    directories:
      - path: sites
        owned: true
    validate: nginx -t
  notify: Reload nginx

- name: Let operators use sudo
  slipway.ops.config_tree:
    files:
      - path: /etc/sudoers.d/operators
        template: sudoers.j2
        mode: "0440"
    validate: visudo -c
"""

RETURN = r"""
changed_paths:
  description: What was made, changed or removed; in check mode what would be.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
recovered:
  description: Paths of an earlier run, killed in its swap, which this run finished.
  returned: always
  type: list
  elements: str
swap:
  description: V(exchange) the whole root in one step, V(rename) file by file, or V(none).
  returned: always
  type: str
validated:
  description: Whether the checker accepted this set. False when nothing changed.
  returned: always
  type: bool
validation:
  description: How the set was checked.
  returned: always
  type: dict
  contains:
    how:
      description: V(namespace) before it was live, V(fallback) after the swap, V(skipped) in check mode, V(none).
      type: str
    output:
      description: The checker's output, at most 4000 characters, words of secret files hidden.
      type: str
    reason:
      description: Why the set was not checked in a namespace; empty when it was, or when nothing was to be checked.
      type: str
"""

import shlex
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.checker import Checker
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.diff import make_diff
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import (
    ConfigTreeError,
    Wanted,
    read_wanted,
    unpack_contents,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.transaction import Options, Outcome, Transaction

ACCESS = {
    "path": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
FILE = {
    **ACCESS,
    "mode": {"type": "str", "default": "0644"},
    "link": {"type": "str"},
    "secret": {"type": "bool", "default": False},
}
DIRECTORY = {**ACCESS, "mode": {"type": "str", "default": "0755"}, "owned": {"type": "bool", "default": False}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
            "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY},
            "validate": {"type": "raw"},
            "validate_timeout": {"type": "float", "default": 60},
            "require_namespace": {"type": "bool", "default": False},
            "lock_timeout": {"type": "float", "default": 60},
            "contents": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        wanted = _wanted(module.params)
        transaction = Transaction(
            wanted,
            _checker(module.params, wanted),
            Options(module.params["require_namespace"], module.params["lock_timeout"]),
        )
        outcome = transaction.look() if module.check_mode else transaction.run()
    except (ConfigTreeError, OSError) as error:
        module.fail_json(msg=f"config_tree: {error}")
    if outcome.warning:
        module.warn(outcome.warning)
    result = _result(outcome)
    if module._diff:
        result["diff"] = make_diff(outcome.changes)
    module.exit_json(**result)


def _wanted(params: dict[str, Any]) -> Wanted:
    if params["contents"] is None:
        raise ConfigTreeError(
            "called without its action plugin; use it as a task of its own, not through another action"
        )
    contents = unpack_contents(params["contents"])
    files = [{**item, "content": content} for item, content in zip(params["files"], contents, strict=True)]
    return read_wanted(params["root"], files, params["directories"])


def _checker(params: dict[str, Any], wanted: Wanted) -> Checker | None:
    given = params["validate"]
    argv = [str(word) for word in given] if isinstance(given, list) else shlex.split(given or "")
    if not argv:
        return None
    return Checker(argv, params["validate_timeout"], tuple(file for file in wanted.files if file.secret))


def _result(outcome: Outcome) -> dict[str, Any]:
    paths = [*outcome.recovered, *(change.path for change in outcome.changes)]
    return {
        "changed": bool(paths),
        "changed_paths": list(dict.fromkeys(paths)),
        "recovered": outcome.recovered,
        "swap": outcome.swap,
        "validated": outcome.how in ("namespace", "fallback") and not outcome.warning,
        "validation": {"how": outcome.how, "output": outcome.output, "reason": outcome.reason},
    }


if __name__ == "__main__":
    main()
