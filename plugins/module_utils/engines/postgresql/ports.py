# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who listens where: a server that got one of its addresses starts, and leaves the others to whoever had them."""

from __future__ import annotations

import ipaddress
import pwd
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENING = "0A"
_WILDCARDS = {"*", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def strangers(port: int, addresses: Iterable[str], owner: str) -> list[str]:
    """Listeners of other users, as ``address:port (user)``, where the owner's server should have the port."""
    tables = [Path(table).read_text() for table in _TABLES if Path(table).exists()]
    ours = set(addresses) | ({"127.0.0.1", "::1"} if "localhost" in addresses else set())
    found = [
        (address, user)
        for table in tables
        for address, number, user in listeners(table)
        if number == port and user != pwd.getpwnam(owner).pw_uid
    ]
    return [
        f"{join_host_port(address, port)} ({_name(user)})"
        for address, user in found
        if address in ours or address in _WILDCARDS or ours & _WILDCARDS
    ]


def listeners(table: str) -> Iterable[tuple[str, int, int]]:
    """Address, port and user id of each listening socket in the kernel's table."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTENING:
            address, _, port = words[1].partition(":")
            yield _address(address), int(port, 16), int(words[7])


def _address(words: str) -> str:
    """The kernel writes addresses as 32-bit words of the machine's byte order."""
    packed = b"".join(struct.pack("=I", int(words[i : i + 8], 16)) for i in range(0, len(words), 8))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return str(ipaddress.ip_address(socket.inet_ntop(family, packed)))


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
