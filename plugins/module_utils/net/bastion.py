# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who passes through a bastion, where to, and what those who come that way tell their SSH client."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import addresses_of
from ansible_collections.slipway.ops.plugins.module_utils.net.public_keys import is_public_key

# A plain name: it is a file's name too, and stands in sshd's settings.
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLACE = re.compile(r"[A-Za-z0-9.:_-]+")


@dataclass(frozen=True)
class Target:
    """A host behind the bastion: how it is called, the names and addresses that it is reached by, the first of which a
    client uses, and its login."""

    name: str
    places: tuple[str, ...]
    port: int
    user: str


def target_of(name: str, variables: Mapping[str, Any]) -> Target:
    """A host by what the inventory, and the facts where they are known, say of it."""
    given = [str(variables.get("ansible_host") or name), name, *addresses_of(variables.get("ansible_facts") or {})]
    port = int(variables.get("ansible_port") or variables.get("firewall_ssh_port") or 22)
    places = tuple(dict.fromkeys(place for place in given if _PLACE.fullmatch(place)))
    return Target(name, places, port, str(variables.get("ansible_user") or ""))


def permitted(targets: Sequence[Target], more: Sequence[str] = ()) -> list[str]:
    """What may be opened, as sshd's ``PermitOpen`` has it: it compares names and addresses as the client says them."""
    found = [join_host_port(place, target.port) for target in targets for place in target.places]
    return list(dict.fromkeys([*found, *map(str, more)])) or ["none"]


def client_settings(bastion: Target, targets: Sequence[Target]) -> list[str]:
    """The lines of a file for ``ssh -F``, or to include in ``~/.ssh/config``."""
    lines = [f"Host {bastion.name}", *_reached(bastion)]
    for target in targets:
        lines += ["", f"Host {target.name}", *_reached(target), f"    ProxyJump {bastion.name}"]
    return lines


def _reached(target: Target) -> Iterator[str]:
    yield f"    HostName {target.places[0]}"
    yield f"    Port {target.port}"
    if target.user:
        yield f"    User {target.user}"


def problems(users: Sequence[Mapping[str, Any]], administrators: Sequence[str]) -> Iterator[str]:
    """What cannot be meant, a sentence each."""
    names = [str(user.get("name", "")) for user in users]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"bastion_users has {name} twice."
    for user, name in zip(users, names, strict=True):
        if not _LOGIN.fullmatch(name):
            yield f"bastion_users has {name!r}; a login is of small letters, digits, hyphens and underscores."
        elif name in administrators:
            yield f"bastion_users has {name}, who administers the bastion itself, and whoever passes has no shell."
        for key in user.get("keys") or []:
            if not is_public_key(str(key)):
                yield f"bastion_users: a key of {name} is no public key in one line, such as ssh-ed25519 AAAA… {name}."
