# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host allows to be hardened, what of it is done, and doing what no configuration file does.

Also run on the host: ``check TOPIC``, for health checks, ends with 0 when the topic is as wanted, 1 when it differs,
and 77 when it, or a part of it, does not apply here; it says why. ``apply TOPIC`` is for the host's start.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, read_state, replace

NOT_APPLICABLE = 77
AUDIT_PROTOCOL, AUDIT_GET, NETLINK_ERROR = 9, 1000, 2
CAP_SYS_PACCT = 20
STATE = Path("etc/slipway/hardening.json")
RECORD = Path("var/lib/slipway/hardening.json")  # what each file had when it was set up
FORWARDING = re.compile(r"net\.(ipv4\.ip_forward|ipv[46]\.conf\.(all|default)\.forwarding)")
NAMESPACED = re.compile(r"net\.ipv[46]\.")
IPV6_OFF = re.compile(r"net\.ipv6\.conf\.(all|default)\.disable_ipv6")
DOCKER_NEEDS = re.compile(
    r"overlay|bridge|br_netfilter|veth|vxlan|macvlan|ipvlan|nf_.*|nft_.*|ip6?_?tables?.*|ip6?table_.*|xt_.*|ip_vs.*"
)
UEFI_NEEDS = re.compile(r"v?fat|efivarfs|nls_.*")


class HardeningError(Exception):
    """Something that applies here and could not be done; the message says what to do."""


@dataclass
class Outcome:
    """``changes`` that were made, or would be; ``not_applicable`` says why, by what does not apply here."""

    changes: list[str] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)

    def note(self, other: Outcome) -> None:
        self.changes += other.changes
        self.not_applicable |= other.not_applicable


@dataclass(frozen=True)
class Host:
    """Looked at beneath ``root``; ``docker`` also says that the inventory wants containers here."""

    root: Path = Path("/")
    docker: bool = False

    def text(self, path: str) -> str:
        with contextlib.suppress(OSError):
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        return ""

    @property
    def container(self) -> str:
        """Its kind, or empty."""
        if kind := self.text("run/systemd/container"):
            return kind
        return "docker" if (self.root / ".dockerenv").exists() else ""

    @property
    def runs_docker(self) -> bool:
        return self.docker or shutil.which("dockerd", path=str(self.root / "usr/bin")) is not None

    @property
    def uefi(self) -> bool:
        return (self.root / "sys/firmware/efi").is_dir()

    @property
    def uses_ipv6(self) -> bool:
        """Whether it has an address beside those of loopback and link."""
        lines = [line.split() for line in self.text("proc/net/if_inet6").splitlines()]
        return any(words[3] not in ("10", "20") for words in lines)

    def filesystems(self) -> set[str]:
        """Types that are mounted, or that the next boot mounts."""
        mounted = [line.split()[2:3] for line in self.text("proc/self/mounts").splitlines()]
        planned = [line.split()[2:3] for line in self.text("etc/fstab").splitlines() if not line.startswith("#")]
        return {word for words in mounted + planned for word in words}


def blocked_modules(host: Host, wanted: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Kernel modules that may be blocked, and why others of them may not."""
    used, kept = host.filesystems(), {}
    for name in wanted:
        plain = name.replace("-", "_")
        if host.uefi and UEFI_NEEDS.fullmatch(plain):
            kept[name] = "this host boots by UEFI, whose partition is a FAT"
        elif host.runs_docker and DOCKER_NEEDS.fullmatch(plain):
            kept[name] = "Docker needs it"
        elif plain in {kind.replace("-", "_") for kind in used}:
            kept[name] = "a file system of this kind is mounted, or in /etc/fstab"
        elif plain == "squashfs" and shutil.which("snap", path=str(host.root / "usr/bin")):
            kept[name] = "snaps are file systems of this kind"
        elif plain == "ipv6":
            kept[name] = "what listens on :: would fail; switch IPv6 off by sysctl"
    return [name for name in wanted if name not in kept], kept


def allowed_sysctl(host: Host, wanted: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Kernel settings that may be made, and why others may not."""
    kept = {}
    for name, value in wanted.items():
        if host.runs_docker and FORWARDING.fullmatch(name) and str(value) == "0":
            kept[name] = "Docker's containers would be cut off"
        elif IPV6_OFF.fullmatch(name) and str(value) == "1" and host.uses_ipv6:
            kept[name] = "this host has IPv6 addresses, and would lose them"
    return {name: " ".join(str(value).split()) for name, value in wanted.items() if name not in kept}, kept


def set_sysctl(host: Host, wanted: Mapping[str, str], dry: bool) -> Outcome:
    """Bring the running kernel to the values; what this host may not set is not applicable."""
    found = Outcome()
    for name, value in wanted.items():
        path = host.root / "proc/sys" / name.replace(".", "/")
        if not path.exists():
            found.not_applicable[name] = "this kernel has no such setting"
            continue
        try:
            now = " ".join(path.read_text(encoding="utf-8").split())
            if now == value:
                continue
            if host.container and not NAMESPACED.match(name):
                found.not_applicable[name] = f"a container ({host.container}) shares it with the machine beneath"
                continue
            if not os.access(path, os.W_OK):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            if not dry:
                path.write_text(f"{value}\n", encoding="utf-8")
            found.changes.append(f"{name} = {value} (was {now})")
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise HardeningError(f"the kernel refuses {name} = {value}: {error.strerror}") from error
            found.not_applicable[name] = f"the kernel does not let it be set here ({error.strerror})"
    return found


def remount(host: Host, wanted: Mapping[str, list[str]], dry: bool) -> Outcome:
    """Add options to file systems that are mounted; they keep all others."""
    found, mounted = Outcome(), {}
    for line in host.text("proc/self/mounts").splitlines():
        words = line.split()
        mounted[words[1]] = words[3].split(",")
    for path, options in wanted.items():
        if path not in mounted:
            found.not_applicable[path] = "it is no file system of its own"
            continue
        lacking = [option for option in options if option not in mounted[path]]
        if not lacking:
            continue
        if not dry:
            argv = ["mount", "-o", ",".join(["remount", *mounted[path], *lacking]), path]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode:
                found.not_applicable[path] = f"it cannot be mounted anew here: {' '.join(done.stderr.split())}"
                continue
        found.changes.append(f"{path} mounted with {','.join(lacking)}")
    return found


def set_login_defs(host: Host, wanted: Mapping[str, Any], dry: bool) -> Outcome:
    """Settings of `/etc/login.defs`, which has no directory for additions; every other line stays."""
    path, found = host.root / "etc/login.defs", Outcome()
    if not path.exists():
        return Outcome(not_applicable={"login.defs": "this host has no /etc/login.defs"}) if wanted else found
    lines = path.read_text(encoding="utf-8").splitlines()
    for name, value in wanted.items():
        line = f"{name}\t{value}"
        there = [number for number, text in enumerate(lines) if text.split()[:1] == [name]]
        if [lines[number].split() for number in there] == [[name, str(value)]]:
            continue
        found.changes.append(f"/etc/login.defs: {name} {value}")
        lines = [text for number, text in enumerate(lines) if number not in there[1:]]
        if there:
            lines[there[0]] = line
        else:
            lines.append(line)
    if found.changes and not dry:
        new = path.with_name("login.defs.slipway")
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        shutil.copystat(path, new)
        new.replace(path)
    return found


def obstacles(host: Host) -> dict[str, str]:
    """Topics of which nothing can be done here, and why."""
    found = {}
    if host.container:
        found["modules"] = f"a container ({host.container}) loads no kernel modules; they belong to the machine beneath"
    if reason := audit_obstacle():
        found["audit"] = reason
    if host.text("sys/module/apparmor/parameters/enabled") != "Y":
        found["apparmor"] = "the kernel runs without AppArmor"
    elif host.container:
        found["apparmor"] = f"profiles of a container ({host.container}) belong to the machine beneath"
    capabilities = re.search(r"^CapEff:\s*(\w+)", host.text("proc/self/status"), re.MULTILINE)
    if not (host.root / "proc/sys/kernel/acct").exists():
        found["accounting"] = "the kernel has no process accounting"
    elif not capabilities or not int(capabilities[1], 16) >> CAP_SYS_PACCT & 1:
        found["accounting"] = "the right to account processes (CAP_SYS_PACCT) is not given here"
    if not any((host.root / place).exists() for place in ("usr/sbin/cron", "usr/sbin/anacron", "usr/sbin/atd")):
        found["cron"] = "neither cron nor at is installed"
    return found


def audit_obstacle() -> str:
    """Why the kernel's audit cannot be spoken to, or empty."""
    try:
        with socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_RAW, AUDIT_PROTOCOL) as kernel:
            kernel.settimeout(5)
            kernel.send(struct.pack("=IHHII", 16, AUDIT_GET, 5, 1, 0))
            answer = kernel.recv(8192)
    except OSError as error:
        return f"the kernel's audit does not answer here: {error.strerror or error}"
    kind, code = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    return f"the kernel's audit refuses: {os.strerror(-code)}" if kind == NETLINK_ERROR and code else ""


def installed(packages: Iterable[str]) -> list[str]:
    """Those that dpkg has installed."""
    names = list(packages)
    if not names:
        return []
    argv = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *names]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout
    return [line.split()[0] for line in said.splitlines() if line.split()[1:] == ["installed"]]


def earlier(host: Host, topics: Iterable[str]) -> dict[str, Any]:
    """Topics that an earlier run had and this one has not, with what that run wrote down of them."""
    try:
        known = json.loads(host.text(str(STATE)) or "{}")
    except ValueError as error:
        raise HardeningError(f"/{STATE} is damaged ({error}). Remove it and run again.") from error
    return {name: said for name, said in known.items() if name not in set(topics)}


def apply(host: Host, topics: Mapping[str, Mapping[str, Any]], leave: Iterable[str], dry: bool) -> Outcome:
    """Everything of the topics that files and packages do not do; files of topics that were left go."""
    found = Outcome()
    for step in _steps(host, topics, dry):
        found.note(step)
    for path in map(Path, leave):
        if path.exists():
            found.changes.append(f"{path} removed")
            if not dry:
                path.unlink()
    return found


def _steps(host: Host, topics: Mapping[str, Mapping[str, Any]], dry: bool) -> Iterator[Outcome]:
    yield set_sysctl(host, topics.get("sysctl", {}).get("values", {}), dry)
    yield remount(host, topics.get("mounts", {}).get("options", {}), dry)
    yield set_login_defs(host, topics.get("accounts", {}).get("login_defs", {}), dry)


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """A line for each reason, with all that it is the reason of."""
    named: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        named.setdefault(reason, []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in named.items()]


def record(host: Host, files: Iterable[str]) -> None:
    """Writes down what files have now that they are set up, for a check to compare."""
    found = {path: _print_of(host, path) for path in files}
    if found != read_state(host.root / RECORD):
        make_directory((host.root / RECORD).parent)
        replace(host.root / RECORD, json.dumps(found, indent=1) + "\n", 0o600)


def _print_of(host: Host, path: str) -> str:
    """A file's content and mode, as a text to compare; empty when it is not there."""
    place = host.root / path.lstrip("/")
    try:
        return f"{hashlib.sha256(place.read_bytes()).hexdigest()} {stat.S_IMODE(place.stat().st_mode):04o}"
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _files(host: Host, said: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it was written down: files by content and mode, directories by mode."""
    known = read_state(host.root / RECORD)
    for path in said.get("files", []):
        now = _print_of(host, path)
        if not now:
            yield f"{path} is gone"
        elif path not in known:
            yield f"{path} was not written down when it was set up; run site.yml"
        elif known[path].split()[0] != now.split()[0]:
            yield f"{path} has another content than it was set up with"
        elif known[path] != now:
            yield f"{path} has mode {now.split()[1]} (was set up with {known[path].split()[1]})"
    for path, mode in said.get("directories", {}).items():
        place = host.root / path.lstrip("/")
        if not place.is_dir():
            yield f"{path} is gone"
        elif stat.S_IMODE(place.stat().st_mode) != int(mode, 8):
            yield f"{path} has mode {stat.S_IMODE(place.stat().st_mode):04o} (was set up with {mode})"


def _told(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise HardeningError(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise HardeningError(f"{' '.join(argv)} fails: {' '.join(done.stderr.split())}")
    return done.stdout


def _audit(host: Host, said: Mapping[str, Any]) -> Iterator[str]:
    """The kernel has the rules of the files, by their keys."""
    keys = re.compile(r"(?:-k |key=)(\S+)")
    wanted = {key for path in said.get("files", []) for key in keys.findall(host.text(path.lstrip("/")))}
    lacking = sorted(wanted - set(keys.findall(_told("auditctl", "-l"))))
    if lacking:
        yield f"the kernel has no audit rules of {', '.join(lacking)}: augenrules --load"


def _apparmor(host: Host, said: Mapping[str, Any]) -> Iterator[str]:
    profiles = host.text("sys/kernel/security/apparmor/profiles").splitlines()
    if not any(line.endswith("(enforce)") for line in profiles):
        yield f"of {len(profiles)} profiles of AppArmor that are loaded none is enforced: systemctl restart apparmor"


def _accounting(host: Host, said: Mapping[str, Any]) -> Iterator[str]:
    """A process that ends now is written down."""
    log = host.root / "var/log/account/pacct"
    seen = []
    for _ in range(2):
        seen.append((log.stat().st_ino, log.stat().st_size) if log.exists() else None)
        _told("true")
    if seen[0] == seen[1]:
        yield "a process ended and was not written to /var/log/account/pacct: systemctl restart acct"


def _packages(host: Host, said: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name} is installed" for name in installed(said.get("unwanted", [])))
    wanted = said.get("wanted", [])
    there = installed(wanted)
    yield from (f"{name} is not installed" for name in wanted if name not in there)


# What a topic is beside its files and settings.
_WORKS: Mapping[str, Callable[[Host, Mapping[str, Any]], Iterator[str]]] = {
    "audit": _audit,
    "apparmor": _apparmor,
    "accounting": _accounting,
    "packages": _packages,
}


def check(host: Host, topic: str) -> tuple[int, str]:
    """Whether a topic of the last run is still as it was left, for a health check."""
    said = json.loads(host.text(str(STATE)) or "{}").get(topic)
    if said is None:
        return 1, f"{topic} has not been set up here; run site.yml"
    if reason := said.get("not_applicable"):
        return NOT_APPLICABLE, reason
    found = apply(host, {topic: said}, [], dry=True)
    works = _WORKS.get(topic)
    try:
        differing = [*_files(host, said), *(works(host, said) if works else ()), *found.changes]
    except (HardeningError, OSError) as error:
        differing = [str(error)]
    if differing:
        return 1, "; ".join(differing)
    if found.not_applicable:
        return NOT_APPLICABLE, f"not applicable: {'; '.join(by_reason(found.not_applicable))}"
    return 0, f"{topic} is as it was set up"


def main(verb: str, topic: str) -> int:
    """``check`` or ``apply``, of a topic as the last run wrote it down."""
    if verb == "check":
        status, sentence = check(Host(), topic)
        print(sentence)
        return status
    said = json.loads(Host().text(str(STATE)) or "{}").get(topic, {})
    print("\n".join(apply(Host(), {topic: said}, [], dry=False).changes))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
