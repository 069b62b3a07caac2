# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Suricata on this host sees: for the node exporter by a timer, and for health checks.

``publish DIRECTORY`` writes a textfile; ``sees`` and ``drops LIMIT`` end with 0, with 1 and a reason, or with 77 where
the host does not allow it or it is too early to tell.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import read_state, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish
from ansible_collections.slipway.ops.plugins.module_utils.logs.follow import Follower

SOCKET = "/run/suricata/command.socket"
EVENTS = Path("/var/log/intrusion-detection/eve.json")
STATE = Path("/var/lib/slipway/intrusion-detection")
FILE = "slipway_intrusion_detection.prom"
SEVERITIES = ("1", "2", "3", "4")
NOT_APPLICABLE = 77
EARLY = 300  # seconds after its start in which it may have seen nothing yet
_TIMEOUT = 10.0
_LONGEST = 4 * 1024 * 1024
Said = tuple[int, str]


@dataclass(frozen=True)
class Seen:
    """What Suricata says of itself since its start."""

    uptime: int
    packets: int
    drops: int
    loaded: int
    refused: int

    @property
    def missed(self) -> float:
        """Percent of the packets; the kernel counts among its packets those that it dropped."""
        return 100 * self.drops / self.packets if self.packets else 0.0


def refusal() -> str:
    """Why this host cannot look at packets at all; empty where it can."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except OSError as error:
        return (
            f"this host does not let packets be looked at ({error.strerror}); a container lacks the capability NET_RAW"
        )
    return ""


def ask(place: str = SOCKET) -> Seen | None:
    """None where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_TIMEOUT)
            control.connect(place)
            _command(control, {"version": "0.2"})
            counters = _command(control, {"command": "dump-counters"})
            rules = _command(control, {"command": "ruleset-stats"})
    except (OSError, ValueError):
        return None
    return seen(counters, rules)


def seen(counters: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> Seen:
    capture = counters.get("capture", {})
    return Seen(
        uptime=int(counters.get("uptime", 0)),
        packets=int(capture.get("kernel_packets", 0)),
        drops=int(capture.get("kernel_drops", 0)),
        loaded=sum(int(one.get("rules_loaded", 0)) for one in rules),
        refused=sum(int(one.get("rules_failed", 0)) for one in rules),
    )


def sees(one: Seen | None) -> Said:
    """Whether traffic comes by and all rules are used: a reload leaves out what it refuses and says that it is well."""
    if one is None:
        return 1, f"Suricata does not answer at {SOCKET}: systemctl status suricata says why"
    if one.refused or not one.loaded:
        return 1, f"{one.loaded} rules are used and {one.refused} were refused: journalctl -u suricata names them"
    if not one.packets and one.uptime < EARLY:
        return NOT_APPLICABLE, f"it was started {one.uptime} s ago and has seen no packet yet"
    if not one.packets:
        return 1, f"no packet was seen in {one.uptime} s: is the traffic on another of intrusion_detection_interfaces?"
    return 0, f"{one.packets} packets seen, {one.loaded} rules used"


def drops(one: Seen | None, limit: float) -> Said:
    """Whether few enough packets were missed."""
    if one is None or not one.packets:
        return sees(one)
    said = f"{one.drops} of {one.packets} packets were missed, {one.missed:.2f} %"
    return (0, said) if one.missed <= limit else (1, f"{said}, wanted at most {limit:g} %")


def metrics(one: Seen | None, counts: Mapping[str, int]) -> Iterator[str]:
    """The textfile for the node exporter."""
    name = "slipway_intrusion_detection"
    yield family(f"{name}_up", "gauge", "Whether Suricata answers.", [({}, int(one is not None))])
    events = [({"severity": severity}, number) for severity, number in sorted(counts.items())]
    yield family(f"{name}_alerts_total", "counter", "Events of Suricata, by severity; 1 is the worst.", events)
    if one:
        yield family(f"{name}_packets_total", "counter", "Packets that it was to look at.", [({}, one.packets)])
        yield family(f"{name}_drops_total", "counter", "Packets that it missed.", [({}, one.drops)])
        yield family(f"{name}_rules", "gauge", "Rules that it uses.", [({}, one.loaded)])


def count(state: Path, events: Path) -> dict[str, int]:
    """Events by severity since the role came, over rotations of their file; also those from before the first look."""
    place, known = state / "follow.json", read_state(state / "counts.json")
    counts = {severity: int(known.get(severity, 0)) for severity in SEVERITIES}
    if not place.exists():
        replace(place, "{}")

    def take(name: str, path: Path, line: bytes) -> None:
        severity = _severity(line)
        if severity:
            counts[severity] = counts.get(severity, 0) + 1

    if Follower({events: "suricata"}, place, take).turn():
        replace(state / "counts.json", json.dumps(counts))
    return counts


def main(words: list[str]) -> int:
    if words[0] == "publish":
        publish(Path(words[1]), FILE, metrics(ask(), count(STATE, EVENTS)))
        return 0
    refused = refusal()
    if refused:
        code, said = NOT_APPLICABLE, f"not applicable: {refused}"
    else:
        code, said = sees(ask()) if words[0] == "sees" else drops(ask(), float(words[1]))
    print(said)
    return code


def _severity(line: bytes) -> str:
    """Of an alert; nothing of another event, or of the rest of one."""
    try:
        severity = str(json.loads(line)["alert"]["severity"])
    except (ValueError, KeyError, TypeError):
        return ""
    return severity if severity in SEVERITIES else SEVERITIES[-1]


def _command(control: socket.socket, told: Mapping[str, str]) -> Any:
    """What is answered; ValueError where that is no yes."""
    control.sendall(json.dumps(told).encode() + b"\n")
    answer = b""
    while len(answer) < _LONGEST:
        piece = control.recv(65536)
        answer += piece
        if not piece or answer.endswith(b"\n"):
            break
    said = json.loads(answer)
    if said.get("return") != "OK":
        raise ValueError(said)
    return said.get("message")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
