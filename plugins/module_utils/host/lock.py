# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lock that people can read: one JSON file with its owner, its purpose and its end.

The file is the lock; a kernel lock on a file beside it makes each look-and-change one step. Times are those of the host
that keeps the file, so the clocks of controllers do not matter.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace

# What one attempt needs to know; modules/deploy_lock.py describes it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "run": {"type": "str", "required": True},
    "purpose": {"type": "str", "default": ""},
    "wait": {"type": "float", "default": 0},
    "expiry": {"type": "float", "default": 1800},
    "directory": {"type": "path", "default": "/var/lib/slipway/locks"},
    "owner": {"type": "str"},
    "process": {"type": "str"},
    "dead": {"type": "str"},
}


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. ``process`` names one process of one boot of one controller; ``expires`` is Unix time."""

    run: str
    owner: str
    purpose: str
    process: str
    since: str
    expires: float

    def describe(self, now: float) -> str:
        """For an operator who waits for it."""
        left = self.expires - now
        end = f"expires in {left:.0f} s" if left > 0 else f"expired {-left:.0f} s ago"
        return f"{self.owner} ({self.purpose}, run {self.run}, since {self.since}, {end})"


@dataclass(frozen=True)
class Attempt:
    """What one attempt came to. ``holder`` is who holds the lock now, ``replaced`` whose dead lock was taken over."""

    acquired: bool
    changed: bool
    holder: Holder
    replaced: Holder | None = None


def place(params: dict[str, Any]) -> Path:
    """The file of the lock that ``params`` (see ``ARGUMENTS``) names."""
    return Path(params["directory"]) / f"{params['name']}.json"


def attempt(params: dict[str, Any], dry: bool) -> dict[str, Any]:
    """One attempt as plain data, with the holder's ``description``."""
    wanted = {name: params[name] or "" for name in ("run", "owner", "purpose", "process")}
    try:
        made = acquire(place(params), wanted, params["expiry"], params["dead"], dry=dry)
    except OSError as error:
        raise LockError(unusable(place(params), error)) from error
    return asdict(made) | {"description": made.holder.describe(time.time())}


def unusable(path: Path, error: OSError) -> str:
    """What an operator reads when the file system is in the way."""
    return f"The lock {path} could not be read or written: {error}. Free space or mend the file system there."


class LockError(Exception):
    """The lock could not be looked at."""


def acquire(path: Path, wanted: dict[str, str], expiry: float, dead: str | None = None, dry: bool = False) -> Attempt:
    """Takes the lock when it is free, expired, ours, or held by the process that the caller knows is ``dead``.

    ``wanted`` has the text fields of :class:`Holder`; ``expiry`` is seconds from now; ``dry`` writes nothing.
    """
    with _guard(path, dry):
        current = read(path)
        now = time.time()
        ours = current is not None and current.run == wanted["run"]
        if current and not ours and current.expires > now and current.process != dead:
            return Attempt(acquired=False, changed=False, holder=current)
        since = current.since if current and ours else timestamp()
        mine = Holder(**wanted, since=since, expires=now + expiry)
        if not dry:
            replace(path, json.dumps(asdict(mine)))
        return Attempt(acquired=True, changed=True, holder=mine, replaced=None if ours else current)


def release(path: Path, run: str, dry: bool = False) -> bool:
    """Gives the lock back when ``run`` holds it; a lock that someone took over since is left to them."""
    with _guard(path, dry):
        current = read(path)
        if not current or current.run != run:
            return False
        if not dry:
            path.unlink()
        return True


def read(path: Path) -> Holder | None:
    """Who holds the lock; a file that no version of this code wrote counts as no lock."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Holder(**data)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def held(directory: Path) -> dict[str, Holder]:
    """The locks of a host that somebody holds, by name; also those whose time is over."""
    found = {path.stem: read(path) for path in sorted(directory.glob("*.json"))}
    return {name: holder for name, holder in found.items() if holder}


def describe(locks: dict[str, Holder]) -> list[str]:
    """Who holds what, a line each, by the clock of the host that keeps them."""
    now = time.time()
    return [f"{name} is locked by {holder.describe(now)}" for name, holder in locks.items()]


def refusal_to_open(name: str, holder: Holder, dead: bool) -> str:
    """Why a lock is left to its run, and what an operator can do; empty when it may be opened."""
    now = time.time()
    if dead or holder.expires <= now:
        return ""
    return (
        f"{name} is locked by {holder.describe(now)}, and nobody here can tell that this run is over. Let it end; "
        "when you know that it is gone, open its lock with -e unlock_force=true. Nothing was opened."
    )


@contextlib.contextmanager
def _guard(path: Path, dry: bool) -> Iterator[None]:
    if dry:
        yield
        return
    make_directory(path.parent)
    with Path(f"{path}.guard").open("w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def process_identity(pid: int) -> str:
    """Names one process so that nobody else can have its name: boot, PID namespace, PID, start time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = Path("/proc/self/ns/pid").readlink().name
    return f"{boot}/{namespace}/{pid}/{_start_time(pid)}"


def started_at(pid: int) -> float:
    """When a process was started, Unix time, exact to 10 ms."""
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return round(time.time() - uptime + int(_start_time(pid)) / os.sysconf("SC_CLK_TCK"), 3)


def provably_dead(identity: str) -> bool:
    """True when the process was of this boot and PID namespace and is gone; False also when nobody here can know."""
    here = process_identity(os.getpid()).split("/")
    parts = identity.split("/")
    if len(parts) != 4 or parts[:2] != here[:2]:
        return False
    return _start_time(int(parts[2])) != parts[3]


def _start_time(pid: int) -> str:
    """The kernel's start time of a process in ticks since boot; ``gone`` when it does not run (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "gone"
    fields = stat.rpartition(")")[2].split()
    return "gone" if fields[0] in ("Z", "X") else fields[19]
