#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_cluster
short_description: Have the data directory of a PostgreSQL server, new or copied from another server
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes the data directory with C(initdb) (checksums on), or for a standby with C(pg_basebackup), and says how much
    memory, cores and disk the host has.
  - A directory that is not empty and not known to the host is never touched. It is known when the host's
    C(/etc/postgresql/VERSION/NAME/postgresql.conf) names it, or when an earlier run of this module made it.
  - A directory that a killed run left half-made is known to be that, and is begun anew unless a server was started in
    it.
  - Needs root. The server's programs run as C(postgres).
options:
  version:
    description: Major version, whose programs must be installed.
    type: int
    required: true
  name:
    description: Name of the cluster, as Debian's tools have it.
    type: str
    default: main
  directory:
    description: The data directory.
    type: path
    required: true
  mount:
    description: A mount point that must hold O(directory); without it nothing is made. Empty for none.
    type: str
    default: ""
  locale:
    description: Locale of a new cluster.
    type: str
    default: C.UTF-8
  source:
    description: The server that this one follows. Not given for a primary.
    type: dict
    suboptions:
      name:
        description: The server's name in messages.
        type: str
        required: true
      conninfo:
        description: How to connect to it. The password is in the file that its C(passfile) names.
        type: str
        required: true
      slot:
        description: Replication slot on the source. Made when it is missing.
        type: str
        required: true
  adopt:
    description: Take over a data directory that is not known.
    type: bool
    default: false
  fill:
    description: Whether a new directory gets a cluster. With V(false) it stays empty, for a restore to fill.
    type: bool
    default: true
  rejoin:
    description:
      - Let a server that was promoted, or that fell too far behind, follow O(source) again. The server is stopped. The
        data of one that was promoted is rewound, or kept aside and copied anew where that is not possible; that of a
        standby is copied anew.
      - Copies O(source) where the directory is empty that an earlier run had filled.
      - Changes nothing where the server follows at this moment.
    type: bool
    default: false
  wait:
    description: Seconds to wait until O(source) lets this host replicate.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Nothing is made. What would be refused is refused.
  diff_mode:
    support: none
    description: A data directory has no diff.
  idempotent:
    support: full
    description: What is there stays as it is.
"""

EXAMPLES = r"""
- name: Have the data directory
  slipway.ops.postgresql_cluster:
    version: 17
    directory: /var/lib/postgresql/17/main
  register: cluster
"""

RETURN = r"""
action:
  description: C(keep), C(make), C(adopt) or C(rejoin).
  type: str
  returned: success
host:
  description: C(memory) and C(disk) in bytes, C(cores); what settings are derived from.
  type: dict
  returned: success
msg:
  description: What was done.
  type: str
  returned: changed
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, cluster
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.host import look as look_at_host
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server, follows, stop

SOURCE = {
    "name": {"type": "str", "required": True},
    "conninfo": {"type": "str", "required": True},
    "slot": {"type": "str", "required": True},
}


def main() -> None:
    """Read the options, look, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "int", "required": True},
            "name": {"type": "str", "default": "main"},
            "directory": {"type": "path", "required": True},
            "mount": {"type": "str", "default": ""},
            "locale": {"type": "str", "default": "C.UTF-8"},
            "source": {"type": "dict", "options": SOURCE},
            "adopt": {"type": "bool", "default": False},
            "fill": {"type": "bool", "default": True},
            "rejoin": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    options: dict[str, Any] = dict(module.params)
    wants_rejoin, fills = options.pop("rejoin"), options.pop("fill")
    source = options.pop("source")
    wanted = cluster.Wanted(**options, source=cluster.Source(**source) if source else None)
    try:
        host = vars(look_at_host(wanted.directory))
        action, told = (act if fills else clear)(wanted, wants_rejoin, module.check_mode)
    except (PostgresqlError, OSError) as error:
        module.fail_json(msg=f"postgresql_cluster: {error}")
    module.exit_json(changed=action != "keep", action=action, host=host, msg=told)


def act(wanted: cluster.Wanted, wants_rejoin: bool, check_mode: bool) -> tuple[str, str]:
    """What is done, and a sentence on it."""
    if check_mode:
        return decide(wanted, wants_rejoin), ""
    with cluster.alone(wanted):
        action = decide(wanted, wants_rejoin)
        if action == "rejoin":
            stop(server_of(wanted))
            return action, cluster.rejoin(wanted)
        if action != "keep":
            {"make": cluster.make, "adopt": cluster.adopt}[action](wanted)
    return action, "" if action == "keep" else f"{action} {wanted.directory}"


def clear(wanted: cluster.Wanted, _wants_rejoin: bool, check_mode: bool) -> tuple[str, str]:
    """A directory that waits for its data."""
    return ("make", f"{wanted.directory} waits for its data") if cluster.clear(wanted, check_mode) else ("keep", "")


def decide(wanted: cluster.Wanted, wants_rejoin: bool) -> str:
    """keep, make, adopt or rejoin."""
    found = cluster.look(wanted)
    is_its_own = found.version == str(wanted.version) or not found.entries
    if wants_rejoin and wanted.source and found.known and is_its_own:
        return "keep" if found.standby and follows(server_of(wanted)) else "rejoin"
    return cluster.decide(wanted, found)


def server_of(wanted: cluster.Wanted) -> Server:
    """The running server; its port is read from what it wrote when it started."""
    return Server(wanted.version, wanted.name, port=0)


if __name__ == "__main__":
    main()
