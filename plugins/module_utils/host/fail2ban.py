# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is banned by fail2ban on this host, for what and until when; and lifting bans."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Client = Callable[..., str]

_BAN = re.compile(r"^(\S+)\s+(\S+ \S+) \+ (-?\d+) = (\S+ \S+)$")


class Fail2banError(Exception):
    """What was asked for cannot be done; the message says what to do."""


@dataclass(frozen=True)
class Ban:
    """``until`` is by the host's clock, or empty for a ban that does not end."""

    jail: str
    address: str
    until: str

    def line(self) -> str:
        return f"{self.address} is banned for {self.jail} " + (f"until {self.until}" if self.until else "for ever")


def client(*arguments: str) -> str:
    """What fail2ban's server says."""
    argv = ["fail2ban-client", *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        return ""
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Fail2banError(f"{' '.join(argv)} failed: {said}. Does fail2ban.service run?")
    return done.stdout


def bans(ask: Client = client) -> list[Ban]:
    """All of them; none where fail2ban is not installed."""
    return [ban for jail in _jails(ask("status")) for ban in read(jail, ask("get", jail, "banip", "--with-time"))]


def read(jail: str, text: str) -> list[Ban]:
    found = [_BAN.match(" ".join(line.split())) for line in text.splitlines()]
    return [Ban(jail, one[1], "" if one[3].startswith("-") else one[4]) for one in found if one]


def _jails(status: str) -> list[str]:
    listed = re.search(r"Jail list:\s*(.*)", status)
    return [name.strip() for name in listed[1].split(",") if name.strip()] if listed else []


def of_address(address: str, known: Iterable[Ban]) -> list[Ban]:
    """The bans of one address, in whatever spelling."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError as error:
        raise Fail2banError(f"{address!r} is not an address, such as 203.0.113.9. Nothing was changed.") from error
    return [ban for ban in known if ipaddress.ip_address(ban.address) == wanted]


def lift(found: Iterable[Ban], ask: Client = client) -> None:
    for address in sorted({ban.address for ban in found}):
        ask("unban", address)
