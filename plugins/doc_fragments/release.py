# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to look at on a host of a release: the same options in every module that does."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description: The service's name in C(app_services).
    type: str
    required: true
  parts:
    description: V(containers) on an app host, V(pool) on an edge host, both on a host that is both.
    type: list
    elements: str
    choices: [containers, pool]
    default: [containers]
  root:
    description: The directory in which each service has its own.
    type: path
    default: /srv/slipway
  instances:
    description: How many instances a complete release has on this host.
    type: int
    default: 1
  image:
    description: An image, with its tag, to look for on this host.
    type: str
    default: ""
  ports:
    description: Host ports that the service publishes, as lists by colour.
    type: dict
    default: {}
  address:
    description: Address that the ports are bound to. Empty means that of the default route.
    type: str
    default: ""
"""
