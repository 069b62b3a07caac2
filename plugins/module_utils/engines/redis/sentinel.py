# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who leads, by the word of the sentinels: asked before a server starts, by the health check and for the metrics.

``follow`` writes what the server includes, ``configure`` what the sentinel of this host starts with, ``check`` says how
the sentinels are, ``publish DIRECTORY`` writes a textfile for the node exporter and keeps who leads.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import RedisError
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish

SETTINGS = Path("/etc/slipway/redis/sentinel.json")
FILE = "slipway_redis_sentinel.prom"
PATIENCE = 2.0  # seconds for each sentinel; a server's start waits for all of them
_FRESH = 30_000  # milliseconds: what a replica said longer ago a sentinel does not choose by
# What sentinels find out and write into their own file.
_LEARNT = ("myid", "current-epoch", "config-epoch", "leader-epoch", "known-replica", "known-slave", "known-sentinel")


@dataclass(frozen=True)
class Settings:
    """What the role leaves. ``first`` leads where no sentinel knows better; ``known`` is where the last answer is kept,
    ``include`` what the server includes."""

    name: str
    host: str
    port: int
    sentinels: Sequence[str]
    sentinel_port: int
    user: str
    password: str
    first: str
    known: Path
    include: Path

    @staticmethod
    def read(path: Path = SETTINGS) -> Settings:
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            return Settings(**{**given, "known": Path(given["known"]), "include": Path(given["include"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RedisError(f"{path} cannot be read ({error}); run the role redis again") from error


@dataclass(frozen=True)
class Said:
    """What one sentinel says: who leads, how many sentinels it knows, how many replicas could take over, whether the
    sentinels could agree on it, and why other replicas that it knows could not take over."""

    primary: str
    sentinels: int
    replicas: int
    quorum: str  # empty, or why not
    unfit: Sequence[str] = ()


@contextmanager
def asked(settings: Settings, host: str) -> Iterator[Client]:
    """A sentinel, for as long as the block lasts."""
    try:
        trust = ssl.create_default_context()
        with (
            socket.create_connection((host, settings.sentinel_port), PATIENCE) as plain,
            trust.wrap_socket(plain, server_hostname=host) as connection,
        ):
            client = Client(connection)
            client.call("AUTH", settings.user, settings.password)
            yield client
    except OSError as error:
        raise RedisError(f"the sentinel on {host} does not answer ({error})") from error


def look(settings: Settings, host: str) -> Said:
    with asked(settings, host) as client:
        told = _pairs(client.call("SENTINEL", "MASTER", settings.name))
        # num-slaves counts all that it has ever known, those that are gone too.
        replicas = [_pairs(facts) for facts in client.call("SENTINEL", "REPLICAS", settings.name)]
        reasons = {f"{one['ip']}:{one['port']}": _unfit(one) for one in replicas}
        unfit = [f"{name} {reason}" for name, reason in reasons.items() if reason]
        try:
            client.call("SENTINEL", "CKQUORUM", settings.name)
            quorum = ""
        except RedisError as error:
            quorum = str(error)
        return Said(told["ip"], int(told["num-other-sentinels"]) + 1, len(reasons) - len(unfit), quorum, unfit)


def _pairs(facts: Sequence[str]) -> dict[str, str]:
    return dict(zip(facts[::2], facts[1::2], strict=True))


def _unfit(replica: Mapping[str, str]) -> str:
    """Why a replica could not take over, by a sentinel's facts of it; empty when it could.

    A sentinel itself would take one that has lost the primary lately, or never had it: with old data, or none.
    """
    flags = set(replica["flags"].split(","))
    if flags & {"s_down", "o_down", "disconnected"}:
        return "does not answer"
    if replica["role-reported"] != "slave":
        return "is no replica"
    if replica["master-link-status"] != "ok":
        return "does not reach the primary"
    if int(replica["info-refresh"]) > _FRESH:
        return "says nothing of itself"
    return "has priority 0" if replica["slave-priority"] == "0" else ""


def look_at_all(settings: Settings) -> tuple[dict[str, Said], dict[str, str]]:
    """What the sentinels say by host, and why the others do not."""
    said, silent = {}, {}
    for host in settings.sentinels:
        try:
            said[host] = look(settings, host)
        except RedisError as error:
            silent[host] = str(error)
    return said, silent


def leader(answers: Iterable[str], known: str, first: str) -> str:
    """Whom most sentinels name; at a tie, or without an answer, who was the last that is known, and at the very
    beginning who the inventory says."""
    ranked = Counter(answers).most_common(2)
    if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]):
        return ranked[0][0]
    return known or first


def follow(settings: Settings) -> str:
    """Has the server that starts now follow who leads, and says whom."""
    said, _ = look_at_all(settings)
    primary = remember(settings, said)
    own = is_own(primary, settings.host)
    replace(settings.include, "# This server leads.\n" if own else f"replicaof {primary} {settings.port}\n", 0o644)
    by = f"{len(said)} of {len(settings.sentinels)} sentinels"
    return f"by {by}, {'this server leads' if own else f'this server follows {primary}'}"


def remember(settings: Settings, said: Mapping[str, Said]) -> str:
    """Who leads. It is kept for a start without a sentinel to ask, which may be long after the last failover."""
    known = settings.known.read_text(encoding="utf-8").strip() if settings.known.exists() else ""
    primary = leader((one.primary for one in said.values()), known, settings.first)
    if primary != known:
        make_directory(settings.known.parent)
        replace(settings.known, f"{primary}\n", 0o644)
    return primary


def is_own(address: str, host: str) -> bool:
    """Whether an address or a name is this host's."""
    return address.lower() == host.lower() or bool(_resolved(address) & _resolved(host))


def _resolved(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def configuration(wanted: str, former: str, name: str) -> str:
    """The inventory's settings with what a sentinel has learnt: whom it knows, and who leads now."""
    words = [line.split() for line in former.splitlines() if line.startswith("sentinel ")]
    leads = next((line[3] for line in words if line[1:3] == ["monitor", name] and len(line) > 4), None)
    lines = [_monitored(line, name, leads) for line in wanted.splitlines()]
    learnt = [" ".join(line) for line in words if line[1] in _LEARNT and (line[1] in _LEARNT[:2] or line[2] == name)]
    return "\n".join([*lines, *learnt, ""])


def _monitored(line: str, name: str, leads: str | None) -> str:
    words = line.split()
    if leads is None or words[:3] != ["sentinel", "monitor", name]:
        return line
    return " ".join([*words[:3], leads, *words[4:]])  # the port is the inventory's


def configure(wanted: Path, state: Path, name: str) -> None:
    """Writes the file that the sentinel starts with, and rewrites while it runs."""
    former = state.read_text(encoding="utf-8") if state.exists() else ""
    replace(state, configuration(wanted.read_text(encoding="utf-8"), former, name), 0o600)


def problems(settings: Settings, said: Mapping[str, Said], silent: Mapping[str, str]) -> list[str]:
    """Why a failover would not come, or did not end; a sentence each."""
    found = [f"{reason}: systemctl status slipway-redis-sentinel there" for reason in silent.values()]
    leaders = {one.primary for one in said.values()}
    if len(leaders) > 1:
        found.append(f"the sentinels do not agree who leads: {', '.join(sorted(leaders))}")
    found += [f"the sentinel on {host} says: {one.quorum}" for host, one in said.items() if one.quorum]
    few = [host for host, one in said.items() if one.sentinels < len(settings.sentinels)]
    if few:
        found.append(f"the sentinel on {', '.join(few)} does not know all {len(settings.sentinels)} sentinels")
    many = [host for host, one in said.items() if one.sentinels > len(settings.sentinels)]
    if many:
        found.append(
            f"the sentinel on {', '.join(many)} counts sentinels that redis_sentinel_hosts has no more: stop it there, "
            "remove /var/lib/slipway-redis-sentinel/sentinel.conf and start it, one host after the other"
        )
    alone = {host: one for host, one in said.items() if one.replicas == 0}
    if alone:
        reasons = sorted({reason for one in alone.values() for reason in one.unfit})
        found.append(
            f"nobody follows the primary, so that nobody could take over, says the sentinel on {', '.join(alone)}: "
            + (", ".join(reasons) or "it knows no replica")
        )
    return found


def exposition(settings: Settings, said: Mapping[str, Said]) -> list[str]:
    """The metrics of this host's sentinel; without it only that it is down."""
    own, labels = said.get(settings.host), {"name": settings.name}
    seen = own or next(iter(said.values()), None)  # who leads does not change with the sentinel of this host

    def gauge(name: str, explanation: str, value: float | None) -> str:
        samples = [] if value is None else [(labels, value)]
        return family(f"slipway_redis_sentinel_{name}", "gauge", explanation, samples)

    return [
        gauge("up", "Whether this host's sentinel answers.", int(own is not None)),
        gauge("quorum", "Whether the sentinels can agree on a failover.", int(not own.quorum) if own else None),
        gauge("sentinels", "How many sentinels it knows, itself too.", own.sentinels if own else None),
        gauge("replicas", "How many replicas could take over.", own.replicas if own else None),
        gauge(
            "leads",
            "Whether this host leads, by its sentinel or else by another.",
            int(is_own(seen.primary, settings.host)) if seen else None,
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("follow", help="have the server that starts follow who leads")
    actions.add_parser("check", help="say how the sentinels are; 1 when a failover would not come")
    actions.add_parser("publish", help="write a textfile").add_argument("directory", type=Path)
    written = actions.add_parser("configure", help="write what the sentinel starts with")
    written.add_argument("wanted", type=Path)
    written.add_argument("state", type=Path)
    written.add_argument("name")
    given = parser.parse_args(argv)
    try:
        return _act(given)
    except (RedisError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _act(given: argparse.Namespace) -> int:
    if given.action == "configure":
        configure(given.wanted, given.state, given.name)
        return 0
    settings = Settings.read()
    if given.action == "follow":
        print(follow(settings))
        return 0
    said, silent = look_at_all(settings)
    if given.action == "publish":
        remember(settings, said)
        publish(given.directory, FILE, exposition(settings, said))
        return 0
    found = problems(settings, said, silent)
    leads = sorted({one.primary for one in said.values()})
    print("; ".join(found) if found else f"{', '.join(leads)} leads, by {len(said)} sentinels")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
