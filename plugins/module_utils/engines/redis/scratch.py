# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A scratch server that loads a snapshot, tells what is in it, and is gone: on no network, beside the live one."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.drill.scope import Scope, Weight
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import RedisError
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.client import Client, connected

PREFIX = ".scratch-"
RDB = "dump.rdb"
_LONGEST = 4 * 3600.0  # seconds that loading may take
_ROOM = 1.3  # of what the live server's data takes in memory


@dataclass(frozen=True)
class Scratch:
    """Where and as whom it runs. ``engine`` is part of its scopes' names."""

    engine: str
    program: str
    user: str
    directory: Path

    @property
    def scope(self) -> Scope:
        return Scope(self.engine, self.user, Weight(memory=""))

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A directory for one snapshot, the server's user's alone."""
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.directory))
        try:
            shutil.chown(place, self.user, self.user)
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def loaded(self, place: Path) -> Iterator[Client]:
        """A server that has loaded the place's snapshot. RedisError says what of it cannot be loaded."""
        shutil.chown(place / RDB, self.user, self.user)
        log, sock = place / "log", place / "s"
        process = self.scope.start(f"load-{place.name[len(PREFIX) :]}", argv(self.program, place), log)
        try:
            deadline = time.monotonic() + _LONGEST
            while not _answers(sock):
                if process.poll() is not None:
                    raise RedisError(f"the snapshot cannot be loaded: {gist(log.read_text(errors='replace'))}")
                if time.monotonic() > deadline:
                    raise RedisError(f"the snapshot was not loaded within {_LONGEST:g} s")
                time.sleep(0.1)
            with connected(str(sock)) as client:
                yield client
        finally:
            process.kill()
            process.wait()

    def sweep(self) -> None:
        """Ends and removes what killed runs left."""
        self.scope.sweep()
        for place in self.directory.glob(f"{PREFIX}*"):
            shutil.rmtree(place, ignore_errors=True)


def argv(program: str, place: Path) -> Sequence[str]:
    """As a replica of nobody it drops no key whose time has come since: what was saved is what is compared."""
    options: dict[str, Any] = {
        "port": 0,
        "unixsocket": place / "s",
        "unixsocketperm": 700,
        "dir": place,
        "dbfilename": RDB,
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "replicaof": "127.0.0.1 1",
        "enable-debug-command": "local",
        "databases": 1024,
        "maxmemory": 0,
    }
    words = [program]
    for name, value in options.items():
        words += [f"--{name}", *(str(value).split() or [""])]
    return words


def contents(client: Client) -> dict[str, Any]:
    """Keys by database, and a hash of keys, types and values that does not depend on their order."""
    return {"databases": client.keyspace(), "hash": str(client.call("DEBUG", "DIGEST"))}


def refuse_little_memory(needed: int) -> None:
    """A host that swaps for a drill is worse than none."""
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
    free = int(re.search(r"(?m)^MemAvailable:\s+(\d+)", meminfo)[1]) * 1024  # type: ignore[index]
    if needed * _ROOM > free:
        raise RedisError(
            f"loading the snapshot takes about {needed * _ROOM / 2**20:.0f} MiB of memory, and {free / 2**20:.0f} MiB"
            " are free on this host: make room, or back up from a replica on another host"
        )


def gist(log: str) -> str:
    """The lines of a server's log that say what went wrong."""
    lines = [re.sub(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ \S ", "", line).strip() for line in log.splitlines()]
    telling = [line for line in lines if re.search("rdb|error|fatal|fail|short read|can't", line, re.IGNORECASE)]
    return "; ".join(dict.fromkeys((telling or lines)[-3:]))[-800:] or "it said nothing"


def _answers(sock: Path) -> bool:
    if not sock.exists():
        return False
    try:
        with connected(str(sock)) as client:
            return client.info("persistence").get("loading") == "0"
    except RedisError:
        return False
