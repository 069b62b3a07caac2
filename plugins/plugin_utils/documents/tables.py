# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables by their names, as ``from:`` of a document asks for them. Each takes the system, the texts and the subject - a
host or service, where the document is about one - and gives nothing when there is nothing to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.slipway.ops.plugins.plugin_utils.documents import (
    evidence,
    inventory,
    manual,
    network,
    register,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import Block
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import System
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts

Source = Callable[[System, Texts, str], Sequence[Block]]
SOURCES: Mapping[str, Source] = {
    "hosts": inventory.hosts,
    "services": inventory.services,
    "contacts": inventory.contacts,
    "jobs": inventory.jobs,
    "costs": inventory.costs,
    "host": inventory.host,
    "units": inventory.units,
    "ports": inventory.ports,
    "logs": inventory.logs,
    "network": network.network,
    "service": inventory.service,
    "release_rules": inventory.release_rules,
    "recovery": evidence.recovery,
    "backups": evidence.backups,
    "releases": evidence.releases,
    "release_share": evidence.release_share,
    "areas": evidence.areas,
    "risks": evidence.risks,
    "limits": evidence.limits,
    "host_health": evidence.host_health,
    "service_health": evidence.service_health,
    "register": register.register,
    "processing": register.processing,
    "alerts": manual.alerts,
    "asked": manual.asked,
    "left": manual.left,
}
