#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Have systemd units run with the files that there are, and see that they stay up
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Enables and starts units, and restarts or reloads those that are older than a file that they read. Systemd reads
    unit files again when it has to.
  - Decides from what systemd and the files' times say and not from what the run did, so it finishes what a killed run
    left. No handler is needed.
  - Looks whether each unit stays up. One that ends, is started again and again, does not listen or is not ready is a
    failure, with the last lines of its journal.
options:
  units:
    description: Units, in the order in which they are brought up. Each is well before the next is touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its whole name, such as V(nginx.service).
        type: str
        required: true
      state:
        description:
          - V(started) and V(stopped) are for what goes on running.
          - V(ran) is for what ends by itself. It is run, to its end, if it has not been run since its files changed or
            since the host was started, or if its last run failed. Systemd forgets when that was of a unit that nothing
            refers to, so bring up before it what triggers it, such as its timer.
        type: str
        choices: [started, stopped, ran]
        default: started
      enabled:
        description: Whether it comes up with the host. Units that cannot be enabled are left as they are.
        type: bool
        default: true
      restart_for:
        description:
          - What it reads when it starts, beside its own unit file and drop-ins below C(/etc/systemd/system). One
            that is newer than the unit's start restarts it.
          - A directory stands for everything in it.
        type: list
        elements: path
        default: []
      reload_for:
        description: What it reads when it is reloaded, likewise. One newer than its last good reload reloads it.
        type: list
        elements: path
        default: []
      reload_first:
        description: Whether to reload it also when it is restarted then, for programs whose way to stop is a setting.
        type: bool
        default: false
      renews:
        description:
          - Whether a reload has been taken only when the main process has a new child, as nginx's has. For programs
            that are reloaded by a signal and answer nothing.
        type: bool
        default: false
      listens:
        description: Addresses with a port on which a process of its user must listen, such as V(127.0.0.1:9100).
        type: list
        elements: str
        default: []
      ready:
        description: A command that must succeed after it was started, restarted or reloaded.
        type: list
        elements: str
        default: []
      timeout:
        description: Seconds until it must run, listen and be ready.
        type: float
        default: 30
  changed_paths:
    description:
      - Files that the run changed. Only check mode asks for them, where they have not been written; they are
        RV(slipway.ops.config_tree#module:changed_paths).
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Nothing is done. A unit that is not there yet would be started.
  diff_mode:
    support: full
    description: The units that something is done to, before, and what is done.
  idempotent:
    support: full
    description: Units that run with the files that there are are left alone.
seealso:
  - module: slipway.ops.config_tree
"""

EXAMPLES = r"""
- name: Run it
  slipway.ops.units:
    units:
      - name: prometheus-node-exporter.service
        restart_for: [/etc/prometheus/node-exporter-web.yml]
        listens: ["127.0.0.1:9100"]
    changed_paths: "{{ configuration.changed_paths }}"

- name: A timer and what it runs
  slipway.ops.units:
    units:
      - name: cleanup.timer
      - {name: cleanup.service, state: ran, enabled: false}
"""

RETURN = r"""
actions:
  description: What was done, or would be, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["restarted nginx.service (/etc/systemd/system/nginx.service.d/slipway.conf is newer)"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host.unit import UnitError, Wanted, settle

UNIT = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped", "ran"], "default": "started"},
    "enabled": {"type": "bool", "default": True},
    "restart_for": {"type": "list", "elements": "path", "default": []},
    "reload_for": {"type": "list", "elements": "path", "default": []},
    "reload_first": {"type": "bool", "default": False},
    "renews": {"type": "bool", "default": False},
    "listens": {"type": "list", "elements": "str", "default": []},
    "ready": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 30},
}


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT},
            "changed_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    units = [Wanted(**unit) for unit in module.params["units"]]
    try:
        outcome = settle(units, module.check_mode, module.params["changed_paths"])
    except (UnitError, OSError) as error:
        module.fail_json(msg=f"units: {error}")
    actions = [step.describe() for step in outcome.steps]
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (outcome.before, actions))
    module.exit_json(changed=bool(actions or outcome.reread), actions=actions, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
