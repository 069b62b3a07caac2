#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_prepare
short_description: Get a host ready for a HAProxy configuration with pools
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Used by role C(slipway.ops.haproxy) before it writes the configuration, so that what HAProxy's own checker cannot
    see fails while nothing has changed.
  - Looks whether HAProxy can listen on its addresses, and names the process that has one of them.
  - Keeps the map file of live sets. A new pool starts with its first set, a pool that is gone loses its line; which
    set is live is never changed. A map file behind the running process, as a killed M(slipway.ops.pool_switch) leaves
    it, is brought up to date. Refuses a configuration without the set that is live.
  - Tells which former addresses, and which pools that are gone, a client still uses, so that they are kept until it has
    changed.
  - Tells whether the running process is older than its configuration, because an earlier reload failed or never came.
extends_documentation_fragment:
  - slipway.ops.haproxy
attributes:
  check_mode:
    support: full
    description: Makes the same checks and says what would change.
  diff_mode:
    support: full
    description: Shows the map file before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  pools:
    description: For each pool the list of its sets, the first of which a new pool starts with; empty for a pool without
      sets.
    type: dict
    required: true
  binds:
    description: The address that each frontend will listen on, C(address:port).
    type: dict
    default: {}
  clients:
    description: Configurations of nginx on this host that send requests to the addresses.
    type: list
    elements: path
    default: []
  config:
    description: HAProxy's configuration file.
    type: path
    default: /etc/haproxy/haproxy.cfg
  unit:
    description: The systemd drop-in of HAProxy's unit.
    type: path
    default: /etc/systemd/system/haproxy.service.d/slipway.conf
"""

EXAMPLES = r"""
- name: Keep the map of live sets
  slipway.ops.pool_prepare:
    pools:
      sample: [blue, green]
    binds: {sample: "127.0.0.1:18000", slipway_metrics: "127.0.0.1:8404"}
    clients: [/etc/nginx/slipway/requests.conf]
"""

RETURN = r"""
live:
  description: The live set of each pool.
  type: dict
  returned: success
  sample: {sample: blue}
leaving:
  description: The former addresses of frontends that a client still uses, to be kept until it has changed.
  type: dict
  returned: success
  sample: {sample: ["127.0.0.1:17000"]}
retiring:
  description: What the configuration has of pools that are gone and that a client still uses, to be kept until it has
    changed.
  type: dict
  returned: success
  sample: {shop: "frontend shop\n  bind 127.0.0.1:18001\n  default_backend shop\n\nbackend shop"}
stale:
  description: Whether the running process was started before its configuration was last written.
  type: bool
  returned: success
stale_unit:
  description: Whether the master process was started before its unit was last written.
  type: bool
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.live import LiveMap
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.prepare import Wanted, prepare
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Worker


def main() -> None:
    """Read the options, prepare, and answer."""
    module = AnsibleModule(
        argument_spec={
            "pools": {"type": "dict", "required": True},
            "binds": {"type": "dict", "default": {}},
            "clients": {"type": "list", "elements": "path", "default": []},
            "config": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "unit": {"type": "path", "default": "/etc/systemd/system/haproxy.service.d/slipway.conf"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
        },
        supports_check_mode=True,
    )
    options: dict[str, Any] = module.params
    try:
        prepared = prepare(
            Worker(options["socket"]),
            LiveMap(Path(options["map"])),
            Wanted(
                options["pools"],
                options["binds"],
                Path(options["config"]),
                Path(options["unit"]),
                [Path(client) for client in options["clients"]],
            ),
            dry_run=module.check_mode,
        )
    except HaproxyError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=prepared.before != prepared.after,
        live=prepared.live,
        leaving=prepared.leaving,
        retiring=prepared.retiring,
        stale=prepared.stale,
        stale_unit=prepared.stale_unit,
        diff={
            "before_header": options["map"],
            "after_header": options["map"],
            "before": prepared.before,
            "after": prepared.after,
        },
    )


if __name__ == "__main__":
    main()
