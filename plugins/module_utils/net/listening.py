# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an address of this host can be listened on, and which program has it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, split_host_port

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


PROTOCOLS = {"tcp": (socket.SOCK_STREAM, "0A"), "udp": (socket.SOCK_DGRAM, "07")}
"""The kind of socket, and the kernel's state of one that waits for anybody."""


def address_problem(bind: str, program: str, ours: Collection[str] = (), protocol: str = "tcp") -> str | None:
    """Why ``address:port`` cannot be listened on by a program, or None. What it has itself is fine.

    ``ours`` are addresses that it has for sure, for hosts (containers) where root may not see whose a socket is.
    """
    try:
        host, port = split_host_port(bind)
    except AddressError as error:
        return str(error)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, PROTOCOLS[protocol][0]) as probe:
        if protocol == "tcp":  # with it, two programs may have one UDP port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if host == "*" else host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"{bind}: {error.strerror}"
            inodes = {inode for address, inode in _listeners(port, protocol) if _overlap(host, address)}
            return _held_by_another(bind, inodes, program, ours, protocol)
    return None


def _held_by_another(bind: str, inodes: set[str], program: str, ours: Collection[str], protocol: str) -> str | None:
    owners = _owners(inodes)
    others = [f"{name} (pid {pid})" for pid, name in owners if name != program]
    if not others and (owners or bind in ours):
        return None
    who = ", ".join(others) or "a process that cannot be seen from here"
    over = "" if protocol == "tcp" else f" ({protocol.upper()})"
    return f"{bind}{over} is in use by {who}; stop it or choose another address"


def _overlap(host: str, other: Address) -> bool:
    """Whether two listeners of a port are in each other's way."""
    if other.is_unspecified or host == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name: the kernel has found it taken
        return True
    return address.is_unspecified or address == other


def _listeners(port: int, protocol: str) -> Iterator[tuple[Address, str]]:
    """The sockets that listen on a port: address and inode."""
    for table in (protocol, f"{protocol}6"):
        with contextlib.suppress(OSError):  # no IPv6
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _colon, number = fields[1].partition(":")
                if fields[3] == PROTOCOLS[protocol][1] and int(number, 16) == port:
                    yield _address(address), fields[9]


def _address(text: str) -> Address:
    """Of the kernel's notation, 32-bit words in the machine's order."""
    packed = bytes.fromhex(text)
    words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
    ordered = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(ordered)
    return getattr(address, "ipv4_mapped", None) or address


def _owners(inodes: set[str]) -> list[tuple[int, str]]:
    """The processes that have a socket: pid and name."""
    sockets = {f"socket:[{inode}]" for inode in inodes}
    return [(pid, name) for pid, name in _processes() if sockets & _links(pid)]


def _processes() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                yield int(entry.name), (entry / "comm").read_text(encoding="utf-8").strip()


def _links(pid: int) -> set[str]:
    """What the file descriptors of a process are; nothing where root may not look."""
    links = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                links.add(os.readlink(entry))  # noqa: PTH115  not a path
    return links
