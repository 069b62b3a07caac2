#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_lock
short_description: One change of a service at a time
version_added: 0.1.0
description:
  - Takes or gives back a lock that all controllers share, because it is a file on one of the managed hosts. It holds
    across playbooks, AWX templates and
    machines.
  - The lock says who has it, what for, since when and until when.
  - A lock whose time is over is taken over. So is the lock of an C(ansible-playbook) process of this same controller
    that no longer runs, at once.
  - An action plugin of the same name does the waiting on the controller; the module itself makes one attempt.
options:
  name:
    description: What is locked, a service's name.
    type: str
    required: true
  state:
    description: V(present) takes the lock or prolongs it, V(absent) gives it back if O(run) has it.
    type: str
    choices: [present, absent]
    default: present
  run:
    description: Id of this playbook run. The run that holds a lock may take it again, which prolongs it.
    type: str
    required: true
  purpose:
    description: What the lock is held for, for others to read.
    type: str
    default: ""
  wait:
    description: Seconds to wait for a lock that someone else has; 0 refuses at once.
    type: float
    default: 0
  expiry:
    description: Seconds after which others may take the lock over.
    type: float
    default: 1800
  directory:
    description: Where the locks are on the host.
    type: path
    default: /var/lib/slipway/locks
  owner:
    description: Who asks. The action plugin fills it in as C(user@controller), with the AWX job when there is one.
    type: str
  process:
    description: The process that asks. The action plugin fills it in.
    type: str
  dead:
    description: A process that the controller knows to be dead. The action plugin fills it in.
    type: str
attributes:
  check_mode:
    support: full
    description: In check mode the lock is looked at and not taken.
  diff_mode:
    support: none
    description: A lock has no text worth comparing.
  idempotent:
    support: partial
    description: Taking a held lock again prolongs it and reports a change; giving back a lock that is not held
      changes nothing.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: One release of this service at a time
  slipway.ops.deploy_lock:
    name: shop
    run: "{{ slipway_run }}"
    purpose: deploy 2.0.0
    wait: 60

- name: Let others in
  slipway.ops.deploy_lock:
    name: shop
    run: "{{ slipway_run }}"
    state: absent
"""

RETURN = r"""
acquired:
  description: Whether this run has the lock now.
  type: bool
  returned: when state is present
holder:
  description: Who has the lock (C(run), C(owner), C(purpose), C(process), C(since), C(expires) as Unix time).
  type: dict
  returned: when state is present
replaced:
  description: Whose lock was taken over, because it had expired or its process was dead; null otherwise.
  type: dict
  returned: when state is present
controller_started:
  description: When this C(ansible-playbook) was started, Unix time.
  type: float
  returned: when state is present
waited:
  description: Seconds spent waiting.
  type: float
  returned: when state is present
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host import lock

ARGUMENTS = {**lock.ARGUMENTS, "state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        if params["state"] == "present":
            module.exit_json(**lock.attempt(params, module.check_mode))
        module.exit_json(changed=lock.release(lock.place(params), params["run"], dry=module.check_mode))
    except OSError as error:
        module.fail_json(msg=lock.unusable(lock.place(params), error))
    except lock.LockError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
