# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a host's HAProxy is: the same options in every module that talks to it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  socket:
    description: HAProxy's runtime socket (C(stats socket … level admin)).
    type: path
    default: /run/haproxy/admin.sock
  master_socket:
    description:
      - The socket of HAProxy's master process (C(-S)), behind which the processes are that a reload left with open
        connections. Where it does not exist, those are left alone.
    type: path
    default: /run/haproxy-master.sock
  map:
    description: The map file that says which set of each pool is live.
    type: path
    default: /var/lib/slipway/haproxy/live.map
notes:
  - Runs on the host of the HAProxy, as root; Python's standard library is enough.
"""
