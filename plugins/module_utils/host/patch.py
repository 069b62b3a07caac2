# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which updates a host waits for, what still runs as it was before an update, and how that is restarted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.host.run import NOT_FOUND, Ended, run

SECURITY, ALL = "security", "all"
REBOOT_FLAG = Path("/run/reboot-required")
LONGEST = 600  # seconds for one program

_UPDATE = re.compile(r"^Inst (\S+) \[([^]]+)\] \((\S+) ([^[)]*)")
_SECURITY = re.compile(r"-security(?:$|[,\s])")
# Whoever restarts these has nobody left to tell: sessions, the bus and the network under them.
_UNTIL_REBOOT = re.compile(
    r"(dbus|elogind|systemd-logind|user@|getty@|serial-getty@|network|NetworkManager|ModemManager|wpa_supplicant"
    r"|ifup|systemd-networkd|openvpn|bird|frr|quagga|libvirt|virt|lxc|gdm|sddm|lightdm)"
)
# These take over from themselves without leaving a request behind.
_GENTLE = {
    "haproxy.service": ("systemctl", "reload", "haproxy.service"),
    "nginx.service": ("/etc/init.d/nginx", "upgrade"),
}

Run = Callable[..., Ended]


class PatchError(Exception):
    """What was tried, what came back, what to do."""


@dataclass(frozen=True)
class Update:
    name: str
    installed: str
    offered: str
    security: bool

    def line(self) -> str:
        return f"{self.name} {self.installed} -> {self.offered}{' (security)' if self.security else ''}"


@dataclass(frozen=True)
class Stale:
    """Units that run replaced files, and why the host itself has to be started again; ``known`` where it was asked."""

    known: bool = True
    units: list[str] = field(default_factory=list)
    reboot: list[str] = field(default_factory=list)

    @property
    def restartable(self) -> list[str]:
        return [unit for unit in self.units if not _UNTIL_REBOOT.match(unit)]

    @property
    def until_reboot(self) -> list[str]:
        return [unit for unit in self.units if _UNTIL_REBOOT.match(unit)]


def updates(scope: str, run: Run = run) -> list[Update]:
    """What would be installed now, as apt itself decides; for security, those that a security archive offers."""
    # With both an ordinary and a security update there, the security archive's is the one that was asked for.
    only = ["--option", "APT::Default-Release=/-security$/"] if scope == SECURITY else []
    argv = ["apt-get", "--simulate", "--option", "Debug::NoLocking=true", *only, "--with-new-pkgs", "upgrade"]
    ended = run(argv, "root", LONGEST)
    if ended.code:
        said = (ended.errors.strip() or "nothing").splitlines()[-1]
        raise PatchError(f"{' '.join(argv)} failed: {said}. dpkg --audit and apt-get check say what is broken.")
    found = read_updates(ended.output)
    return [update for update in found if update.security or scope == ALL]


def read_updates(simulated: str) -> list[Update]:
    """Of ``apt-get --simulate``. What is new comes as a dependency of what is there."""
    lines = [_UPDATE.match(line) for line in simulated.splitlines()]
    return [Update(one[1], one[2], one[3], bool(_SECURITY.search(one[4].strip()))) for one in lines if one]


def stale(run: Run = run, flag: Path = REBOOT_FLAG) -> Stale:
    """By needrestart, which looks at what each process has open; not known where it is not installed."""
    ended = run(["needrestart", "-b", "-r", "l"], "root", LONGEST)
    reboot = [f"{flag} is there{_asked_by(flag)}"] if flag.exists() else []
    if ended.code == NOT_FOUND:
        return Stale(known=False, reboot=reboot)
    if not ended.output.startswith("NEEDRESTART-VER:"):
        raise PatchError(
            f"needrestart -b -r l ended with {ended.code}: {' '.join((ended.errors or 'no word').split())}"
        )
    told = [line.partition(": ")[::2] for line in ended.output.splitlines()]
    values = dict(told)
    if values.get("NEEDRESTART-KSTA") in ("2", "3"):
        expected = values.get("NEEDRESTART-KEXP", "a newer one")
        reboot.append(f"kernel {values.get('NEEDRESTART-KCUR', '?')} runs, {expected} is installed")
    return Stale(units=sorted({value for name, value in told if name == "NEEDRESTART-SVC"}), reboot=reboot)


def _asked_by(flag: Path) -> str:
    packages = flag.with_name(flag.name + ".pkgs")
    names = sorted(set(packages.read_text(encoding="utf-8").split())) if packages.exists() else []
    return f" for {', '.join(names)}" if names else ""


def restart(units: Iterable[str], run: Run = run) -> list[str]:
    """Restarts them one after the other, what serves users without losing a request. What stays down is an error."""
    done: list[str] = []
    for unit in units:
        argv = _GENTLE.get(unit, ("systemctl", "restart", unit))
        ended = run(list(argv), "root", LONGEST)
        if ended.code and argv[0] != "systemctl":  # another distribution's package of it
            argv = ("systemctl", "restart", unit)
            ended = run(list(argv), "root", LONGEST)
        state = run(["systemctl", "is-active", unit], "root", LONGEST).output.strip()
        if ended.code or state not in ("active", "activating", "reloading"):
            said = " ".join((ended.errors or f"it is {state}").split())
            after = f"; restarted before it: {', '.join(done)}" if done else ""
            raise PatchError(f"{' '.join(argv)}: {said}{after}. journalctl -u {unit} says more.")
        done.append(unit)
    return done


def results(host: str, waiting: Iterable[Update], now: Stale) -> list[Result]:
    """What a host has to show for it. What could not be looked at is unknown."""
    security = [update for update in waiting if update.security]

    def result(name: str, claim: str, problems: list[str], asked: bool = True) -> Result:
        reason = "; ".join(problems) or None
        return Result(
            id=f"security.patch.{name}",
            area="security",
            subject=host,
            claim=claim,
            verdict="unknown" if not asked else "fail" if problems else "pass",
            measured=len(problems) if asked else None,
            limit="= 0",
            source="patch_info",
            reason=reason if asked else "needrestart is not installed; patch.yml installs it",
        )

    return [
        result("updates", f"No security update waits for {host}", [update.line() for update in security]),
        result("services", f"No service of {host} runs files that were replaced", now.units, now.known),
        result("reboot", f"{host} runs the kernel that it has", now.reboot, now.known),
    ]
