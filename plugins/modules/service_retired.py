#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_retired
short_description: Take everything of a service from an app host
version_added: 0.1.0
description:
  - Removes its containers with their networks, the images of its releases, its secrets, releases and history.
  - Volumes have data that no release makes again; they go only with O(volumes).
  - Networks that services share stay.
options:
  service:
    description: The service's name.
    type: str
    required: true
  root:
    description: The directory in which each service has its own.
    type: path
    default: /srv/slipway
  volumes:
    description: Whether the data in its volumes goes too.
    type: bool
    default: false
  timeout:
    description: Seconds that one command of Docker's may take.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Says what would go.
  diff_mode:
    support: none
    description: There is no text worth comparing.
  idempotent:
    support: full
    description: Where nothing is left, nothing changes.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.service_leftovers
"""

EXAMPLES = r"""
- name: The shop is closed
  slipway.ops.service_retired:
    service: shop
"""

RETURN = r"""
removed:
  description: What went, or in check mode would go.
  type: list
  elements: str
  returned: success
  sample: ["containers shop-blue-1, shop-green-1", "image registry1:5000/shop:1.0", "secret jwt", "releases 1.0"]
kept:
  description: Directories of volumes that were kept.
  type: list
  elements: str
  returned: success
told:
  description: The same as sentences.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.release.host import Host, ReleaseError
from ansible_collections.slipway.ops.plugins.module_utils.release.retire import retire
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, check_name

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "root": {"type": "path", "default": "/srv/slipway"},
    "volumes": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 300},
}


def tell(removed: list[str], kept: list[str], dry: bool) -> list[str]:
    """For an operator."""
    lines = [f"{'would remove' if dry else 'removed'} {what}" for what in removed] or ["nothing was to do"]
    return lines + [f"kept the data in {path}; -e retire_volumes=true removes it" for path in kept]


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        check_name(params["service"])
        host = Host(params["service"], Path(params["root"]) / params["service"], params["timeout"])
        removed, kept = retire(host, params["volumes"], module.check_mode)
        told = tell(removed, kept, module.check_mode)
        module.exit_json(changed=bool(removed), removed=removed, kept=kept, told=told)
    except (EngineError, ReleaseError, ServiceError) as error:
        module.fail_json(msg=f"{params['service']}: {error}")
    except OSError as error:
        module.fail_json(msg=f"Files of {params['service']} under {params['root']} could not be removed: {error}.")


if __name__ == "__main__":
    main()
