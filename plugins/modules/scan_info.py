#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scan_info
short_description: What there is to scan on a host, and with what
version_added: 0.1.0
description:
  - Looks for scanners that no role installs, tells the images of services that are live on the host, and writes out the
    whole configuration of nginx.
options:
  tools:
    description: Scanners to look for.
    type: list
    elements: str
    choices: [gixy, sslyze, gitleaks, trivy, grype]
    default: []
  programs:
    description: Where they are, a path or a name, by scanner. Default is the scanner's name.
    type: dict
    default: {}
  services:
    description: Services, as entries of C(app_services), whose live images are told.
    type: list
    elements: dict
    default: []
  root:
    description: Directory of the services.
    type: path
    default: /srv/slipway
  nginx:
    description: What the host is called, if the configuration of its nginx is to be written out. It may have secrets.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.scan
"""

EXAMPLES = r"""
- name: See which scanners of images are here, and what is live
  slipway.ops.scan_info:
    tools: [trivy, grype]
    services: "{{ app_services }}"
  register: looked
"""

RETURN = r"""
programs:
  description: Where each scanner is. Those that are nowhere are left out.
  returned: success
  type: dict
  sample: {gixy: /opt/scanners/bin/gixy}
images:
  description: Each C(service) that is live here, and the C(image) of the version that was proven last, by its history.
  returned: success
  type: list
  elements: dict
  sample: [{service: shop, image: "registry.example.com/shop:2.0.0"}]
nginx:
  description: C(name), C(dump), what C(nginx -T) wrote, and C(problem), why it did not.
  returned: when asked for
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.host.run import run
from ansible_collections.slipway.ops.plugins.module_utils.release.history import live_versions, read
from ansible_collections.slipway.ops.plugins.module_utils.scan.programs import ABSENT, find


def live(services: list[dict[str, Any]], root: Path) -> list[dict[str, str]]:
    """Containers do not say which of them clients reach; the history does."""
    stacks = [(service, live_versions(read(root / service["name"] / "history.jsonl"))) for service in services]
    return [
        {"service": service["name"], "image": f"{service['image']}:{stack[-1]}"} for service, stack in stacks if stack
    ]


def dump(name: str) -> dict[str, str]:
    ended = run(["nginx", "-T", "-q"], "root", 60)
    last = (ended.errors.strip() or f"status {ended.code}").splitlines()[-1]
    problem = f"nginx -T wrote no configuration on {name}: {last}" if ended.code or not ended.output else ""
    return {"name": name, "dump": "" if problem else ended.output, "problem": problem}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tools": {"type": "list", "elements": "str", "choices": list(ABSENT), "default": []},
            "programs": {"type": "dict", "default": {}},
            "services": {"type": "list", "elements": "dict", "default": []},
            "root": {"type": "path", "default": "/srv/slipway"},
            "nginx": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    asked = module.params
    found: dict[str, Any] = {"programs": find(asked["tools"], asked["programs"])}
    if asked["nginx"]:
        found["nginx"] = dump(asked["nginx"])
    try:
        found["images"] = live(asked["services"], Path(asked["root"]))
    except (OSError, KeyError) as error:
        module.fail_json(msg=f"What is live here could not be read: {error}. services are entries of app_services.")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
