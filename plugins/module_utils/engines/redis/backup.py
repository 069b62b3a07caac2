# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One snapshot: sealed, loaded by a scratch server, and only then kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.bucket import bucket
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Tell, skipped
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import Kept, Shelf, digest, shrinkage
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import RedisError
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.client import Client, connected
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.scratch import (
    RDB,
    Scratch,
    contents,
    refuse_little_memory,
)

ENGINE = "redis"
SOURCE = "slipway-backup 0.1.0"
PATIENCE = 60.0  # seconds for a replica whose primary has just restarted


class Snapshots(Shelf[Kept]):
    """Where one server's snapshots are."""

    def read(self, description: dict[str, Any]) -> Kept:
        return Kept(**description)


@dataclass(frozen=True)
class Plan:
    """What the role left. ``flavour`` is redis or valkey: program, user and unit are called so. ``socket`` is the live
    server's, ``data`` its directory, ``appendonly`` whether it starts from its append-only file, ``bucket`` where
    backups are kept when not in ``directory``."""

    name: str
    directory: Path
    key: Path
    secrets: Path
    scratch: Path
    socket: str
    data: Path
    flavour: str = "redis"
    appendonly: bool = True
    retention: float = 7.0
    sentinel: str = ""  # settings of the sentinels, where there are some
    bucket: Mapping[str, str] = field(default_factory=dict)

    @property
    def shelf(self) -> Snapshots:
        return Snapshots(self.name, self.directory, self.key, self.retention, bucket(self.bucket))

    @property
    def server(self) -> Scratch:
        return Scratch(ENGINE, f"{self.flavour}-server", self.flavour, self.scratch)

    @contextmanager
    def live(self) -> Iterator[Client]:
        try:
            given = json.loads(self.secrets.read_text(encoding="utf-8"))
            user, password = given["user"], given["password"]
        except (OSError, ValueError, KeyError) as error:
            raise RedisError(f"{self.secrets} cannot be read ({error}); run the role redis again") from error
        with connected(self.socket, user, password) as client:
            yield client


def plan(settings: Mapping[str, Any]) -> Plan:
    """The plan that plain data of the role describes."""
    given = dict(settings["plan"])
    return Plan(**{**given, **{name: Path(given[name]) for name in ("directory", "key", "secrets", "scratch", "data")}})


def back_up(wanted: Plan, tell: Tell) -> list[Result]:
    """A snapshot, and what is recorded of it."""
    at, began = timestamp(), time.monotonic()
    claim = f"A backup of {wanted.name} succeeds"
    try:
        shelf = wanted.shelf
        with shelf.alone():
            shelf.tidy()  # what a killed run left may have filled the disk
            before = shelf.all()
            kept = make(wanted, shelf, tell)
            for label in shelf.expire(time.time()):
                tell(f"{label} is beyond its {wanted.retention:g} days and removed")
    except Busy as busy:
        tell(f"skip: {busy}")
        return [skipped("full", wanted.name, claim, busy, SOURCE)]
    except (DataError, OSError) as error:
        tell(f"fail: {error}")
        took = round(time.monotonic() - began, 2)
        return [_result(wanted, "full", claim, "fail", at=at, took=took, reason=f"{wanted.name}: {error}")]
    took = round(time.monotonic() - began, 2)
    less = shrinkage(_counts(kept), [_counts(one) for one in before])
    tell(f"{kept.label}: {keys(kept)} keys, {to_byte_size(kept.stored)}")
    return [
        _result(wanted, "full", claim, "pass", at=at, took=took, measured=took, unit="s"),
        _result(wanted, "keys", f"The backup of {wanted.name} has keys", "pass", measured=keys(kept)),
        _result(
            wanted,
            "shrinkage",
            f"The backup of {wanted.name} is not much less than the five before",
            "warn" if less else "pass",
            measured=len(less),
            limit="= 0",
            reason=f"the newest backup of {wanted.name} shrank: {'; '.join(less)}" if less else None,
        ),
    ]


def make(wanted: Plan, shelf: Snapshots, tell: Tell) -> Kept:
    """Made, sealed, read back into a scratch server, and kept on the shelf."""
    began = time.time()
    label = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    partial = shelf.partial(label)
    try:
        with wanted.live() as live:
            memory = int(live.info("memory")["used_memory"])
            refuse_little_memory(memory)
            version = live.info("server")["redis_version"]
            live.await_primary(PATIENCE)
            tell(f"a snapshot of {wanted.name} is taken")
            with shelf.seal(partial) as sink:
                size = live.snapshot(sink)
        tell("it is loaded by a scratch server")
        holds = load(wanted, shelf, partial) | {"memory": memory, "server": version}
        kept = Kept(label, began, time.time(), digest(partial), partial.stat().st_size, size, holds)
        if shelf.bucket:
            tell(f"it is sent to {shelf.where}")
        shelf.keep(kept)
        return kept
    except (DataError, OSError) as error:
        free = shelf.free()
        shelf.forget(label)
        if free < 2**20:
            raise RedisError(f"the disk of {shelf.directory} is full ({error}): enlarge it") from error
        raise


def load(wanted: Plan, shelf: Snapshots, sealed: Path) -> dict[str, Any]:
    """What is in a sealed snapshot, by a server that loads it."""
    with wanted.server.place() as place:
        shelf.unseal(sealed, place / RDB)
        with wanted.server.loaded(place) as client:
            return contents(client)


def verify(wanted: Plan, tell: Tell) -> list[Result]:
    """Has every backup loaded by a scratch server."""
    at, began = timestamp(), time.monotonic()
    claim = f"Every backup of {wanted.name} can be loaded"
    try:
        shelf = wanted.shelf
        troubles = shelf.troubles(lambda one: check(wanted, shelf, one), tell, ": whole")
    except Busy as busy:
        tell(f"skip: {busy}")
        return [skipped("verified", wanted.name, claim, busy, SOURCE)]
    except (DataError, OSError) as error:
        troubles = [str(error)]
        tell(f"fail: {error}")
    took = round(time.monotonic() - began, 2)
    verdict: Verdict = "fail" if troubles else "pass"
    reason = f"the verification of {wanted.name} found trouble: {'; '.join(troubles[:5])}" if troubles else None
    return [_result(wanted, "verified", claim, verdict, at=at, took=took, measured=took, unit="s", reason=reason)]


def check(wanted: Plan, shelf: Snapshots, one: Kept) -> None:
    """DataError unless a backup, which is at hand, is what was written and loads to what it was made with."""
    shelf.refuse_damage(one)
    refuse_little_memory(one.holds["memory"])
    refuse_difference(one, load(wanted, shelf, shelf.sealed(one.label)))


def refuse_difference(one: Kept, found: Mapping[str, Any]) -> None:
    if any(found[name] != one.holds[name] for name in ("databases", "hash")):
        raise RedisError(f"{one.label} holds other keys than it was made with")


def keys(kept: Kept) -> int:
    return sum(int(counts["keys"]) for counts in kept.holds["databases"].values())


def _counts(kept: Kept) -> dict[str, int]:
    return {"keys": keys(kept), "bytes": kept.size}


def _result(wanted: Plan, name: str, claim: str, verdict: Verdict, **given: Any) -> Result:
    return Result(f"data.backup.{name}", "data", wanted.name, claim, verdict, source=SOURCE, **given)
