# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kinds of checks, one small file each.

A new kind is a file here with a class on `Check` and its import below. Ansible packs a module by reading its import
statements, so a kind that nobody imports would not reach the hosts; a test compares this list with the directory.
"""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.backed_up import BackedUp
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.backup import Backup
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.command import Command
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.container import Container
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.disk import Disk
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.dns import Dns
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.file import File
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.haproxy import Haproxy
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.http import Http
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.patroni import Patroni
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.pgbouncer import Pgbouncer
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.postgresql import Postgresql
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.prometheus import Prometheus
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.release import Release
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.systemd import Systemd
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.tcp import Tcp
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.tls import Tls
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.unmeasured import Unmeasured

KINDS: dict[str, type[Check]] = {
    kind.KIND: kind
    for kind in (
        *(BackedUp, Backup, Command, Container, Disk, Dns, File, Haproxy, Http),
        *(Patroni, Pgbouncer, Postgresql, Prometheus, Release, Systemd, Tcp, Tls, Unmeasured),
    )
}
