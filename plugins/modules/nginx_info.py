#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_info
short_description: What of nginx is on a host, and what is in its way
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Used by role C(slipway.ops.nginx) before it changes anything. One call tells versions, missing packages and files,
    programs that have nginx's addresses, and what an earlier run changed that nginx has not taken up.
attributes:
  check_mode:
    support: full
    description: It reads only.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
options:
  packages:
    description: Packages that must be installed.
    type: list
    elements: str
    default: []
  listen:
    description: Addresses that nginx will listen on, C(address:port). Those of IPv6 do not count on a host without it.
    type: list
    elements: str
    default: []
  listen_udp:
    description: Like C(listen), over UDP, for HTTP/3.
    type: list
    elements: str
    default: []
  certificate_files:
    description: Files of certificates and keys that nginx will read.
    type: list
    elements: path
    default: []
  unit:
    description: The systemd drop-in of nginx's unit.
    type: path
    default: /etc/systemd/system/nginx.service.d/slipway.conf
"""

EXAMPLES = r"""
- name: See whether nginx could be configured
  slipway.ops.nginx_info:
    packages: [nginx]
    listen: ["*:80", "[::]:80"]
  register: seen
"""

RETURN = r"""
version:
  description: Version of nginx, C(0) without one.
  type: str
  returned: success
  sample: 1.26.3
openssl:
  description: Version of OpenSSL that nginx was built with, C(0) without one.
  type: str
  returned: success
  sample: 3.5.1
http3:
  description: Whether nginx was built with HTTP/3.
  type: bool
  returned: success
running:
  description: Whether nginx runs, and would after a restart of the host.
  type: bool
  returned: success
ipv6:
  description: Whether the host has IPv6.
  type: bool
  returned: success
missing_packages:
  description: Packages that are not installed.
  type: list
  elements: str
  returned: success
missing_files:
  description: Files of certificates that are not there or empty.
  type: list
  elements: str
  returned: success
taken:
  description: Why nginx could not listen, a sentence per address.
  type: list
  elements: str
  returned: success
stale_unit:
  description: Whether systemd has not read nginx's unit as it is.
  type: bool
  returned: success
unread:
  description: Files that are newer than the configuration with which nginx runs.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_host import Wanted, look


def main() -> None:
    """Read the options, look, and answer."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "listen": {"type": "list", "elements": "str", "default": []},
            "listen_udp": {"type": "list", "elements": "str", "default": []},
            "certificate_files": {"type": "list", "elements": "path", "default": []},
            "unit": {"type": "path", "default": "/etc/systemd/system/nginx.service.d/slipway.conf"},
        },
        supports_check_mode=True,
    )
    options: dict[str, Any] = module.params
    files = [Path(file) for file in options["certificate_files"]]
    wanted = Wanted(options["packages"], options["listen"], files, Path(options["unit"]), options["listen_udp"])
    module.exit_json(changed=False, **asdict(look(wanted)))


if __name__ == "__main__":
    main()
