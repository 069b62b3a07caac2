# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which networks may come by SSH when nobody has said it: never fewer than those that the operator comes from."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable

from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import ANYWHERE

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


def source_toward(address: str) -> str:
    """The address that this machine goes there by, empty when there is no way; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 22))
        return str(probe.getsockname()[0])
    return ""


def default_networks(addresses: Iterable[str], source: Callable[[str], str] = source_toward) -> tuple[str, ...]:
    """All private networks, where the operator comes from one to hosts in one; anywhere, otherwise.

    One address would be too narrow: tomorrow the operator has another one of that network. What a public address looks
    like behind a translation is not known here, so that it is anywhere then."""
    ends = [end for address in addresses for end in (address, source(address))]
    return PRIVATE if ends and all(map(_is_private, ends)) else (ANYWHERE,)


def _is_private(address: str) -> bool:
    if not address:
        return False
    one = ipaddress.ip_address(address.partition("%")[0])
    return any(one in ipaddress.ip_network(network) for network in PRIVATE)
