#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Start, stop and record a release of a service on an app host
version_added: 0.1.0
description:
  - Each state is one step of a deploy on one host, in one call. The steps that span hosts (gate, switch, watch,
    drain) are the C(deploy) role's.
  - Waits up to 120 s for a Docker command that a killed run may have left behind.
options:
  service:
    description: The service's name in C(app_services).
    type: str
    required: true
  root:
    description: The directory in which each service has its own.
    type: path
    default: /srv/slipway
  state:
    description:
      - V(present) brings the O(image) here when it is missing.
      - V(migrated) writes O(files) and runs O(command) of O(version) in a container of its own, to its end.
      - V(started) writes O(files) and starts the instances of O(version) in O(colour), replacing what ran in that
        colour. Workers stay off.
      - V(scaled) writes O(files) and brings the instances of O(version) in O(colour) to their number; those that run go
        on.
      - V(working) takes the workers of the other colour away and starts those of O(version) in O(colour).
      - V(steady) fails when one of those workers does not run, or was started again within the last minute. It looks at
        them for O(steady_seconds).
      - V(live) does what V(working) does, and clears away releases beyond O(keep).
      - V(stopped) removes the containers of O(colour).
      - V(recorded) only writes O(events).
    type: str
    choices: [present, migrated, started, scaled, working, steady, live, stopped, recorded]
    required: true
  version:
    description: The version; for V(migrated), V(started), V(scaled), V(working), V(steady) and V(live).
    type: str
  colour:
    description: Which of the two Compose projects.
    type: str
    choices: [blue, green]
  image:
    description: The image with its tag; for V(present).
    type: str
  pull:
    description: Whether V(present) may pull; otherwise it fails where the image is missing.
    type: bool
    default: true
  files:
    description: >-
      The release's files by name, C(compose.yml) among them, as the filter P(slipway.ops.release_files#filter)
      renders them. None means that the
      files of an earlier start are used as they are.
    type: dict
    default: {}
  command:
    description: Arguments of the container, for V(migrated).
    type: list
    elements: str
    default: []
  events:
    description: >-
      Events for C(history.jsonl). They are written before V(migrated) and V(started), and after every other state. An
      event without its time gets the host's.
    type: list
    elements: dict
    default: []
  keep:
    description: How many versions' files and images stay on the host, besides the live and the warm one.
    type: int
    default: 5
  steady_seconds:
    description: Seconds for which V(steady) looks at the workers.
    type: float
    default: 10
  timeout:
    description: Seconds that one command of Docker's may take.
    type: float
    default: 300
attributes:
  check_mode:
    support: none
    description: A release is a sequence of steps across hosts, and half of it cannot be foreseen; C(deploy.yml
      --check) stops after its preflight.
  diff_mode:
    support: none
    description: See check_mode.
  idempotent:
    support: full
    description: A colour that runs this version from these files is left alone. Events are always appended.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Start 2.0.0 beside the live release
  slipway.ops.release:
    service: shop
    state: started
    version: 2.0.0
    colour: green
    files: "{{ shop | slipway.ops.release_files('2.0.0', 'green', host=inventory_hostname, address='10.0.0.5',
      directory='/srv/slipway/shop') }}"
"""

RETURN = r"""
image_id:
  description: The image's id on this host.
  type: str
  returned: when state is present
works_with:
  description: >-
    The oldest version that works with the database after this one, as the image's label
    C(slipway.database.works-with) says.
  type: str
  returned: when state is present
said:
  description: The last words of the migration.
  type: str
  returned: when state is migrated
removed:
  description: Versions whose files and images were cleared away.
  type: list
  elements: str
  returned: when state is live
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.release import engine, history, metrics, migration
from ansible_collections.slipway.ops.plugins.module_utils.release.host import Host, ReleaseError
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "root": {"type": "path", "default": "/srv/slipway"},
    "state": {
        "type": "str",
        "choices": ["present", "migrated", "started", "scaled", "working", "steady", "live", "stopped", "recorded"],
        "required": True,
    },
    "version": {"type": "str"},
    "colour": {"type": "str", "choices": ["blue", "green"]},
    "image": {"type": "str"},
    "pull": {"type": "bool", "default": True},
    "files": {"type": "dict", "default": {}},
    "command": {"type": "list", "elements": "str", "default": []},
    "events": {"type": "list", "elements": "dict", "default": []},
    "keep": {"type": "int", "default": 5},
    "timeout": {"type": "float", "default": 300},
    "steady_seconds": {"type": "float", "default": 10},
}
NEEDS = [
    ("state", "present", ["image"]),
    *[("state", state, ["version", "colour"]) for state in ("started", "scaled", "working", "steady", "live")],
    ("state", "migrated", ["version", "colour", "command"]),
    ("state", "stopped", ["colour"]),
]


def bring(host: Host, image: str, pull: bool) -> dict:
    """The image's id, after pulling it where it is missing."""
    if engine.image_id(image):
        return _brought(image, changed=False)
    if not pull:
        raise ReleaseError(f"the image {image} is not on this host, and this run does not pull. Nothing was changed.")
    try:
        engine.run(["docker", "pull", "--quiet", image], host.timeout)
    except engine.EngineError as error:
        raise ReleaseError(
            f"the image {image} is not on this host and could not be pulled: {error}. Nothing was changed. "
            "Is the version spelt right and pushed, and may this host log in to the registry?"
        ) from error
    return _brought(image, changed=True)


def _brought(image: str, changed: bool) -> dict:
    works_with = engine.image_label(image, migration.LABEL)
    return {"changed": changed, "image_id": engine.image_id(image), "works_with": works_with}


def record(host: Host, events: list[dict]) -> None:
    for event in events:
        history.append(host.history, {"at": timestamp()} | {k: v for k, v in event.items() if v not in (None, "")})
    if events:
        metrics.publish(host.directory.parent)


def change(host: Host, params: dict) -> dict:
    """Does what the state says; returns the module's result."""
    state, version, colour = params["state"], params["version"], params["colour"]
    result: dict = {"changed": bool(params["events"])}
    with host.held() as held:
        if state == "migrated":
            record(host, params["events"])
            said = host.migrate(version, colour, params["files"], params["command"], held)
            return {"changed": True, "said": said}
        if state == "started":
            record(host, params["events"])
            result["changed"] |= host.start(version, colour, params["files"], held)
            return result
        if state == "scaled":
            result["changed"] |= host.start(version, colour, params["files"], held, keep=True)
        if state == "steady":
            host.watch_workers(version, colour, params["steady_seconds"])
        if state in ("working", "live"):
            result["changed"] |= host.hand_over_workers(version, colour, held)
        elif state == "stopped":
            result["changed"] |= host.stop(colour, held)
        record(host, params["events"])
        if state == "live":
            result["removed"] = host.clear(params["keep"])
            result["changed"] |= bool(result["removed"])
    return result


def main() -> None:
    # The journal gets none of it: files have the service's environment. Hidden piece by piece, versions would be too.
    module = AnsibleModule(ARGUMENTS, required_if=NEEDS, no_log=True)
    params = module.params
    host = Host(params["service"], Path(params["root"]) / params["service"], params["timeout"])
    try:
        if params["state"] == "present":
            module.exit_json(**bring(host, params["image"], params["pull"]))
        module.exit_json(**change(host, params))
    except engine.EngineError as error:
        module.fail_json(msg=f"{params['service']} {params['version'] or params['image'] or ''}: {error}")
    except (ReleaseError, RequestError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"Files of {params['service']} under {host.directory} could not be changed: {error}.")


if __name__ == "__main__":
    main()
