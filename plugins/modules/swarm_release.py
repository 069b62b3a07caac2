#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_release
short_description: Bring a service in a swarm to a version, or back
version_added: 0.2.0
description:
  - Runs on a manager. Changes the services of a swarm that run a service of C(app_services), one after the other, and
    waits until every node runs them as described.
  - A version that a node does not accept is taken back once, everywhere, and the task fails with the reason and with
    what is live then. An update that Swarm itself has rolled back is such a failure.
options:
  service:
    description: The service's name.
    type: str
    required: true
  state:
    description:
      - V(seen) only says what is live.
      - V(present) brings it to O(version).
      - V(restored) has what the run O(run) changed be as it was before.
      - V(cleared) takes away services that are not among O(services), and secrets that none has.
      - V(retired) takes away all of them, and all secrets.
    type: str
    choices: [seen, present, restored, cleared, retired]
    required: true
  version:
    description: The version; for V(present).
    type: str
  run:
    description: Identifier of the run; for V(present) and V(restored).
    type: str
  services:
    description: >-
      What P(slipway.ops.swarm_services#filter) makes of the service; for V(present) and V(cleared).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name in the swarm.
        type: str
        required: true
      spec:
        description: Its description, as the engine's API has it.
        type: dict
        required: true
  networks:
    description: Overlay networks that the tasks join. They are made when missing.
    type: list
    elements: str
    default: []
  secrets:
    description: Values of files in C(/run/secrets), by name.
    type: dict
    default: {}
  back:
    description: Whether O(version) is one before the live one, which is not to be gone back to.
    type: bool
    default: false
  timeout:
    description: Seconds that the change of one service may take, on all nodes.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
    description: Says which services would change.
  diff_mode:
    support: none
    description: See RV(changes).
  idempotent:
    support: full
    description: Services that are as described are left alone.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Release shop 2.0.0
  slipway.ops.swarm_release:
    service: shop
    state: present
    version: 2.0.0
    run: "{{ slipway_run }}"
    services: "{{ shop | slipway.ops.swarm_services('2.0.0') }}"
    secrets: "{{ shop.secrets }}"
"""

RETURN = r"""
version:
  description: The live version; empty for none.
  type: str
  returned: when state is seen
earlier:
  description: Versions before it, the newest first.
  type: list
  elements: str
  returned: when state is seen
problems:
  description: Where it does not run as described.
  type: list
  elements: str
  returned: when state is seen
previous:
  description: The version that was live before; for V(seen) the one that a rollback goes to, empty for none.
  type: str
  returned: when state is seen or present
changes:
  description: Names of services that were made or changed.
  type: list
  elements: str
  returned: when state is present
removed:
  description: Names of services that V(cleared) takes away, or has taken away; of V(retired) secrets, too, as phrases.
  type: list
  elements: str
  returned: when state is present, cleared or retired
told:
  description: What came of it.
  type: str
  returned: when state is restored
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.swarm import release, secrets
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["seen", "present", "restored", "cleared", "retired"], "required": True},
    "version": {"type": "str"},
    "run": {"type": "str"},
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "spec": {"type": "dict", "required": True}},
    },
    "networks": {"type": "list", "elements": "str", "default": []},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "back": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 600},
}
NEEDS = [
    ("state", "present", ["version", "run", "services"]),
    ("state", "restored", ["run"]),
    ("state", "cleared", ["services"]),
]


def bring(params: dict, check: bool) -> dict:
    names = ("service", "version", "run", "networks", "secrets", "back", "timeout")
    image = params["services"][0]["spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    given = {name: params[name] for name in names} | {"wanted": params["services"], "headers": secrets.login(image)}
    return release.converge(release.Order(**given), check)


def main() -> None:
    # The journal gets none of it: services have their environment. Hidden piece by piece, their names would be too.
    module = AnsibleModule(ARGUMENTS, required_if=NEEDS, supports_check_mode=True, no_log=True)
    params = module.params
    try:
        if params["state"] == "seen":
            seen = release.look(params["service"])
            module.exit_json(changed=False, **vars(seen), problems=release.problems_of(params["service"]))
        if params["state"] == "present":
            module.exit_json(**bring(params, module.check_mode))
        if params["state"] == "cleared":
            if not params["services"]:
                module.fail_json(msg="services is empty, which would take away all of them: say which stay")
            gone = release.clear(params["service"], params["services"], module.check_mode)
            module.exit_json(changed=bool(gone), removed=gone)
        if params["state"] == "retired":
            gone = release.retire(params["service"], params["timeout"], module.check_mode)
            module.exit_json(changed=bool(gone), removed=gone)
        told = "" if module.check_mode else release.restore(params["service"], params["run"], params["timeout"])
        module.exit_json(changed=not module.check_mode, told=told)
    except SwarmError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
