# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must be true on a host before its pools are configured: free addresses, and a map that knows every pool."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.live import LiveMap
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import (
    HaproxyError,
    Worker,
    parent_of,
    started_at,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.net.listening import address_problem


@dataclass(frozen=True)
class Wanted:
    """What will be configured: pool → its sets (a new pool starts with the first), frontend → its address, and files.

    `clients` are configurations of others on this host that send requests to the addresses: nginx's.
    """

    pools: dict[str, list[str]]
    binds: dict[str, str]
    config: Path
    unit: Path
    clients: list[Path] = field(default_factory=list)


@dataclass
class Prepared:
    """The map before and after; whether the running process is older than its configuration or its unit.

    `leaving` are the former addresses of frontends that clients still use, `retiring` the present configuration of
    pools that are not wanted any more and that clients still use.
    """

    before: str
    after: str
    live: dict[str, str] = field(default_factory=dict)
    stale: bool = False
    stale_unit: bool = False
    leaving: dict[str, list[str]] = field(default_factory=dict)
    retiring: dict[str, str] = field(default_factory=dict)


def prepare(worker: Worker, live_map: LiveMap, wanted: Wanted, dry_run: bool) -> Prepared:
    """Check the addresses, keep the map file, look at the running process."""
    pid = _running_pid(worker)
    present = _binds(wanted.config)
    ours = {bind for binds in present.values() for bind in binds} if pid else set()
    taken = [
        problem for problem in (address_problem(bind, "haproxy", ours) for bind in wanted.binds.values()) if problem
    ]
    if taken:
        raise HaproxyError("HAProxy could not listen: " + "; ".join(taken))
    leaving, retiring = _leaving(present, wanted), _retiring(present, wanted)
    if not dry_run:
        make_directory(live_map.path.parent)
    with contextlib.nullcontext() if dry_run else live_map.locked():
        prepared = _keep(live_map, _running_map(worker, live_map.path), wanted.pools, retiring, dry_run)
    prepared.leaving, prepared.retiring = leaving, retiring
    prepared.stale = _older(pid, wanted.config)
    prepared.stale_unit = _older(parent_of(pid) if pid else None, wanted.unit)
    return prepared


def _keep(
    live_map: LiveMap, running: dict[str, str], pools: dict[str, list[str]], retiring: Iterable[str], dry_run: bool
) -> Prepared:
    known = {**live_map.entries(), **running}
    live = {pool: known.get(pool, sets[0]) for pool, sets in pools.items() if sets}
    lost = {pool: name for pool, name in live.items() if name not in pools[pool]}
    if lost:
        raise HaproxyError(
            "The configuration would take away what is live: "
            + "; ".join(
                f"pool {p!r} serves set {s!r} and would have only {', '.join(pools[p])}" for p, s in lost.items()
            )
            + ". Switch first (slipway.ops.pool_switch), then take the set away."
        )
    kept = live | {pool: known[pool] for pool in retiring if pool in known}
    prepared = Prepared(before=live_map.text(), after=live_map.render(kept), live=live)
    if prepared.before != prepared.after and not dry_run:
        live_map.stage(kept)
        live_map.commit()
    return prepared


def _running_map(worker: Worker, path: Path) -> dict[str, str]:
    """What the running process serves; nothing when there is none, or one that this role has not configured yet."""
    try:
        return worker.map_entries(str(path))
    except HaproxyError:
        return {}


def _running_pid(worker: Worker) -> int | None:
    try:
        return int(worker.info()["Pid"])
    except (HaproxyError, KeyError):
        return None


def _older(pid: int | None, file: Path) -> bool:
    """Whether a process was started before a file of its was last written: a reload that failed or never came.

    Where nothing runs, whoever starts it starts what is written.
    """
    started = started_at(pid) if pid else None
    return started is not None and file.exists() and file.stat().st_mtime > started


def _leaving(present: dict[str, list[str]], wanted: Wanted) -> dict[str, list[str]]:
    """The former addresses of frontends that clients use until they are told of the new ones.

    One of them that another frontend takes would have that one's requests come to a wrong place for a moment.
    """
    used = set().union(*map(_used, wanted.clients))
    takers = {bind: name for name, bind in wanted.binds.items()}
    leaving = {}
    for name, bind in wanted.binds.items():
        former = [each for each in present.get(name, []) if each != bind and each in used]
        for each in former:
            if each in takers:
                raise HaproxyError(
                    f"{each} is {name}'s, whose requests come there, and would be {takers[each]}'s: for a moment they "
                    f"would be mixed up. Give {takers[each]} another address, or move {name} alone first."
                )
        if former:
            leaving[name] = former
    return leaving


def _retiring(present: dict[str, list[str]], wanted: Wanted) -> dict[str, str]:
    """The sections of pools that nobody wants any more and that clients use until they are told so.

    One whose address another takes goes at once: its requests are that one's.
    """
    used, taken = set().union(*map(_used, wanted.clients)), set(wanted.binds.values())
    going = {name for name, binds in present.items() if name not in wanted.binds and not used.isdisjoint(binds)}
    return {name: _sections(wanted.config, name) for name in sorted(going) if taken.isdisjoint(present[name])}


def _sections(config: Path, frontend: str) -> str:
    """What a configuration of this role has of a pool: its frontend, and the backends after it."""
    pools = re.split(r"^(?=frontend )", config.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return next(pool.rstrip() for pool in pools if pool.split()[:2] == ["frontend", frontend])


def _used(client: Path) -> set[str]:
    """The servers of nginx's upstreams."""
    return {words[1].rstrip(";").strip('"') for words in _lines(client) if words[0] == "server" and len(words) > 1}


def _binds(config: Path) -> dict[str, list[str]]:
    """The addresses that a configuration listens on, by frontend."""
    found: dict[str, list[str]] = {}
    frontend = ""
    for words in _lines(config):
        if words[0] in ("frontend", "listen"):
            frontend = words[-1]
        elif words[0] == "bind" and len(words) > 1:
            found.setdefault(frontend, []).append(words[1])
    return found


def _lines(file: Path) -> list[list[str]]:
    """The words of each line; none of a file that is not there."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return []
    return [line.split() for line in text.splitlines() if line.strip()]
