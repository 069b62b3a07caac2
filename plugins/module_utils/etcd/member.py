# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One member of an etcd cluster: started, joined anew when it lost its data, restarted when the others can do without.

Everything is decided from what etcd and systemd say, so a run that was killed is finished by the next one.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.etcd import EtcdError
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

UNIT = "etcd.service"
_systemctl = Systemctl(EtcdError)
JOIN = Path("/run/slipway-etcd-join")
_CONFIGURATION = (Path("/etc/default/etcd"), Path("/etc/systemd/system/etcd.service.d/slipway.conf"))
_POLL = 0.5
_ASK_SECONDS = 5


@dataclass(frozen=True)
class Member:
    """This host's member among ``members``, their peer URLs by name; ``timeout`` is seconds to wait for the cluster.

    ``formed`` are those of the others that have taken part in a cluster before."""

    name: str
    members: Mapping[str, str]
    client_port: int
    data_directory: str
    ca: str
    certificate: str
    key: str
    timeout: float = 90.0
    formed: Sequence[str] = ()

    @property
    def others(self) -> list[str]:
        return [name for name in self.members if name != self.name]

    def url(self, name: str) -> str:
        """Where a member's clients reach it."""
        return f"https://{join_host_port(name, self.client_port)}"

    @property
    def has_data(self) -> bool:
        return (Path(self.data_directory) / "member" / "snap" / "db").exists()

    @property
    def mark(self) -> Path:
        """Is there once the member has taken part: a database alone is there from the first start on."""
        return Path(f"{self.data_directory.rstrip('/')}.formed")


@dataclass
class Outcome:
    """What was done, a sentence each; ``stale`` when the running member has not read its newest files."""

    actions: list[str] = field(default_factory=list)
    stale: bool = False


def take_part(member: Member, check_mode: bool = False) -> Outcome:
    """Starts the member if it does not run, as one that joins when the cluster goes on without its data."""
    outcome = Outcome()
    if not check_mode:
        _systemctl.refresh(UNIT)
    if _unit()["ActiveState"] not in ("active", "reloading") or not member.has_data:
        outcome.actions += _start(member, check_mode)
    else:
        outcome.stale = _is_stale()
    if check_mode or outcome.stale:  # what it has read may be why it is not healthy
        return outcome
    _wait(member, f"{member.name} does not take part in the cluster of {', '.join(member.members)}")
    _enable()
    return outcome


def restart(member: Member) -> Outcome:
    """Restarts the member if the others are healthy without it."""
    if not _is_stale():
        return Outcome()
    needed = len(member.members) // 2 + 1
    healthy = sum(_is_healthy(member, name) for name in member.others)
    if healthy < needed:
        raise EtcdError(
            f"{member.name} was not restarted with its new configuration: {healthy} of the other {len(member.others)}"
            f" members are healthy and {needed} must be while it is away. Mend those first"
        )
    _systemctl("restart", UNIT)
    _wait(member, f"{member.name} does not come back with its new configuration")
    return Outcome([f"restarted {UNIT}"])


def _start(member: Member, check_mode: bool) -> list[str]:
    listed = [] if member.has_data else _listed(member)
    if not member.has_data and not listed and member.formed:
        raise EtcdError(_second_cluster(member))
    told = [f"joined the cluster of {', '.join(member.others)} anew"] if listed else [f"started {UNIT}"]
    if check_mode:
        return told
    _systemctl("stop", UNIT)
    JOIN.unlink(missing_ok=True)
    if listed:
        _join(member, listed)
    _systemctl("start", "--no-block", UNIT)
    return told


def _second_cluster(member: Member) -> str:
    """Why a member without data is not started: with another one like it, or an old one, it would be a majority."""
    return (
        f"{member.name} has no data, {', '.join(member.formed)} took part in a cluster before, and that has no majority"
        " now. Nothing was started, for it could have begun a second cluster with less in it. Start the other members"
        " first, and run this again. Where they are lost for good, see README of role etcd, A member that is lost"
    )


def _join(member: Member, listed: list[dict[str, Any]]) -> None:
    """The cluster forgets the member that it knew by this name and lets in one without data."""
    peer = member.members[member.name]
    for former in former_selves(listed, member.name, peer):
        _etcdctl(member, member.others, "member", "remove", format(former, "x"))
    _etcdctl(member, member.others, "member", "add", member.name, f"--peer-urls={peer}")
    JOIN.write_text("ETCD_INITIAL_CLUSTER_STATE=existing\n", encoding="utf-8")


def former_selves(listed: list[dict[str, Any]], name: str, peer: str) -> list[int]:
    """Identifiers of those in a member list that are this member; one that never started has no name yet."""
    return [int(entry["ID"]) for entry in listed if entry.get("name") == name or peer in entry.get("peerURLs", [])]


def _listed(member: Member) -> list[dict[str, Any]]:
    """The members as a cluster that works without this one knows them; none while the cluster is yet to be made."""
    found = [name for name in member.others if _is_healthy(member, name)]
    if len(found) < len(member.members) // 2 + 1:
        return []
    answer = _etcdctl(member, found, "member", "list", "--write-out=json")
    return list(json.loads(answer)["members"])


def _wait(member: Member, problem: str) -> None:
    give_up = time.monotonic() + member.timeout
    while not _is_healthy(member, member.name):
        if time.monotonic() >= give_up:
            raise EtcdError(f"{problem} after {member.timeout:g} s: {_last_words()}")
        time.sleep(_POLL)
    JOIN.unlink(missing_ok=True)
    member.mark.touch()


def _is_healthy(member: Member, name: str) -> bool:
    """Whether a member answers a read that needs a majority."""
    return _run(_command(member, [name], "endpoint", "health")).returncode == 0


def _etcdctl(member: Member, names: list[str], *arguments: str) -> str:
    ended = _run(_command(member, names, *arguments))
    if ended.returncode:
        raise EtcdError(f"etcdctl {' '.join(arguments)} at {', '.join(names)}: {_last_line(ended.stderr)}")
    return ended.stdout


def _command(member: Member, names: list[str], *arguments: str) -> list[str]:
    return [
        "etcdctl",
        f"--endpoints={','.join(map(member.url, names))}",
        f"--cacert={member.ca}",
        f"--cert={member.certificate}",
        f"--key={member.key}",
        f"--dial-timeout={_ASK_SECONDS}s",
        f"--command-timeout={_ASK_SECONDS}s",
        *arguments,
    ]


def _is_stale() -> bool:
    """Whether a file is newer than the process."""
    moment = _unit()["ExecMainStartTimestamp"]
    started = float(_run(["date", "+%s", f"--date={moment}"]).stdout) if moment else 0.0
    return any(path.exists() and path.stat().st_ctime > started + 1 for path in _CONFIGURATION)


def _enable() -> None:
    if _unit()["UnitFileState"] != "enabled":
        _systemctl("enable", "--quiet", UNIT)


def _unit() -> dict[str, str]:
    return _systemctl.show(UNIT, "ActiveState", "UnitFileState", "ExecMainStartTimestamp")


def _last_words() -> str:
    """The last lines of the journal that say more than that it goes on trying."""
    told = _run(["journalctl", "--no-pager", "--output=cat", "--lines=40", f"--unit={UNIT}"]).stdout.splitlines()
    messages = [_message(line) for line in told if '"level":"warn"' not in line]
    return " / ".join(list(dict.fromkeys(filter(None, messages)))[-3:]) or f"see journalctl -u {UNIT}"


def _message(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    return ": ".join(str(entry[key]) for key in ("msg", "error") if entry.get(key))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return _message(lines[-1]) if lines else "no answer"


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
