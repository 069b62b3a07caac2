# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of nginx is on a host: its version, what is missing for it, who is in its way, what it has not read yet."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import parent_of, started_at
from ansible_collections.slipway.ops.plugins.module_utils.net.listening import address_problem

CONFIGURATION = (Path("/etc/nginx"), Path("/etc/slipway/waf"))
PID = Path("/run/nginx.pid")
IPV6 = Path("/proc/net/if_inet6")


@dataclass(frozen=True)
class Wanted:
    """What a role is about to configure."""

    packages: list[str]
    listen: list[str]
    certificate_files: list[Path]
    unit: Path
    listen_udp: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What is there. A version is C(0) without nginx; `stale_unit` and `unread` are what a killed run left."""

    version: str = "0"
    openssl: str = "0"
    http3: bool = False
    running: bool = False
    ipv6: bool = False
    missing_packages: list[str] = field(default_factory=list)
    missing_files: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    stale_unit: bool = False
    unread: list[str] = field(default_factory=list)


def look(wanted: Wanted) -> Seen:
    """Look at this host; changes nothing."""
    told = _said("nginx", "-V")
    unit = properties(_said("systemctl", "show", "nginx", f"--property={','.join(UNIT)}"))
    ipv6 = IPV6.exists()
    binds = [(bind, "tcp") for bind in wanted.listen] + [(bind, "udp") for bind in wanted.listen_udp]
    listen = [(bind, protocol) for bind, protocol in binds if ipv6 or not bind.startswith("[")]
    return Seen(
        version=version("nginx version: nginx/", told),
        openssl=version("with OpenSSL ", told),
        http3="--with-http_v3_module" in told.split(),
        running=(unit["ActiveState"], unit["UnitFileState"]) == ("active", "enabled"),
        ipv6=ipv6,
        missing_packages=missing_packages(wanted.packages, _said("dpkg-query", "--show", SHOWN, *wanted.packages)),
        missing_files=[str(file) for file in wanted.certificate_files if not _has_content(file)],
        taken=[problem for bind, protocol in listen if (problem := address_problem(bind, "nginx", protocol=protocol))],
        stale_unit=unit_is_stale(unit, wanted.unit),
        unread=[str(file) for file in _unread([*CONFIGURATION, *wanted.certificate_files])],
    )


UNIT = ("ActiveState", "UnitFileState", "NeedDaemonReload", "DropInPaths")
SHOWN = "--showformat=${Package} ${Status}\\n"


def _said(*command: str) -> str:
    """What a program says on both its outputs; nothing when it is not there."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError:
        return ""
    return done.stdout + done.stderr


def version(before: str, told: str) -> str:
    """The number after a text; C(0) when it is not there."""
    found = re.search(re.escape(before) + r"([0-9.]+)", told)
    return found[1].rstrip(".") if found else "0"


def properties(told: str) -> dict[str, str]:
    """What `systemctl show` says, by property; empty for those that it does not know."""
    return dict.fromkeys(UNIT, "") | dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def missing_packages(packages: Sequence[str], told: str) -> list[str]:
    """Those that dpkg does not call installed."""
    installed = {line.split()[0] for line in told.splitlines() if line.endswith(" install ok installed")}
    return [package for package in packages if package not in installed]


def unit_is_stale(unit: dict[str, str], drop_in: Path) -> bool:
    """Whether systemd has not read the unit's drop-in: before version 254 it does not tell so of the first one."""
    return unit["NeedDaemonReload"] == "yes" or (drop_in.exists() and str(drop_in) not in unit["DropInPaths"].split())


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _unread(places: Iterable[Path]) -> Iterator[Path]:
    """The files that were put in their place after nginx last took up its configuration."""
    since = _newest_worker()
    if since is None:
        return
    for place in places:
        for file in place.rglob("*") if place.is_dir() else [place]:
            if file.is_file() and not file.is_symlink() and file.stat().st_ctime > since:
                yield file


def _newest_worker() -> float | None:
    """When the newest worker was started: only that shows when a configuration was taken up."""
    try:
        main = int(PID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    processes = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    starts = [started_at(pid) for pid in processes if parent_of(pid) == main]
    return max((start for start in starts if start is not None), default=None)
