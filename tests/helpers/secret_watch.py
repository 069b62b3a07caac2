"""Watches the hosts of a scenario for secrets on command lines, in the journal and in files, while its tests run.

    with SecretWatch({"key": KEY}, ["slipway-pgbackrest-db1"]) as watch:
        ...
        assert watch.saw("slipway-pgbackrest-db1", "pgbackrest")  # it did look
    watch.verify()

In each container a small Python program reads /proc/*/cmdline ten times a second; ``verify`` and the end of the block
also have it read the whole journal and all files of ``places``. It looks for each secret as it is, in Base64 wherever
it stands in a longer text, percent-encoded, and as JSON writes it. It is handed the secrets by standard input.

That it can find something is proven each time: a canary in the arguments of a process must be found before the block
begins, and one in the journal whenever that is read. What it cannot see: a process that lives between two looks
(100 ms; 250 ms when there are very many processes or many new ones; more on a crowded machine), unless it writes to
the journal, which keeps the command lines of who writes; and environments, which it does not read.

A scenario has it for all of its tests by a fixture in tests/conftest.py::

    @pytest.fixture(scope="session", autouse=True)
    def watch():
        with SecretWatch({"cipher_pass": KEY}, CONTAINERS) as watch:
            yield watch
        watch.verify()
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets as randomness
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROGRAM = Path(__file__).with_name("secret_sampler.py").read_text(encoding="utf-8")
PLACES = ("/var/log", "/tmp", "/var/lib/slipway/results")  # searched to the depth
INTERVAL = 0.1  # seconds between two looks
PATIENCE = 120.0  # seconds for a container to answer


@dataclass(frozen=True)
class Sighting:
    """A secret where it must not be. ``where`` is ``command``, ``journal`` or a file."""

    container: str
    where: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name} is in a {self.where} of {self.container}: {self.text}"


@dataclass
class Looked:
    """How much was looked at in a container. ``commands`` are the distinct command lines, masked; ``cpu`` seconds;
    ``read`` the bytes by place, as last read; ``starts`` more than 1 when the container was restarted."""

    samples: int = 0
    commands: list[str] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    cpu: float = 0.0
    starts: int = 0


def forms(secret: str) -> list[str]:
    """The ways in which a secret may be written. In Base64 the letters at its ends depend on what stands beside it, so
    those in between are looked for, for each of the three places where it may begin."""
    data = secret.encode()
    found = [secret, quote(secret, safe=""), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    for before in range(3):
        bits = 8 * before, 8 * (before + len(data))
        letters = slice(-(-bits[0] // 6), bits[1] // 6)
        filled = bytes(before) + data + bytes(2)
        found += [coded(filled).decode()[letters] for coded in (base64.b64encode, base64.urlsafe_b64encode)]
    return sorted({form for form in found if len(form) >= 6})


def in_container(name: str) -> list[str]:
    return ["docker", "exec", "--interactive", name]


class SecretWatch:
    """``secrets`` are by the names that stand for them in messages; ``places`` are directories or files."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        containers: Iterable[str],
        places: Iterable[str] = PLACES,
        enter: Callable[[str], list[str]] = in_container,
    ) -> None:
        self._canary = f"canary-{randomness.token_hex(8)}"
        known = {name: forms(secret) for name, secret in secrets.items()} | {"canary": [self._canary]}
        unfit = [name for name, written in known.items() if not written]
        assert not unfit, f"too short to be looked for: {unfit}"
        order = {"secrets": known, "canary": self._canary, "places": list(places), "interval": INTERVAL}
        self.sightings: list[Sighting] = []
        self._watchers = {name: _Watcher(name, order, enter(name), self.sightings) for name in containers}

    @property
    def looked(self) -> dict[str, Looked]:
        return {name: watcher.looked for name, watcher in self._watchers.items()}

    def __enter__(self) -> SecretWatch:
        for watcher in self._watchers.values():
            watcher.start()
        for watcher in self._watchers.values():
            assert watcher.ready.wait(PATIENCE), f"the watch does not see its own canary in {watcher.container}"
        return self

    def __exit__(self, *_: object) -> None:
        self.read()
        for watcher in self._watchers.values():
            watcher.stop()

    def read(self) -> None:
        """Have what is written down read, up to now."""
        for done in [watcher.ask() for watcher in self._watchers.values()]:
            done.wait(PATIENCE)

    def saw(self, container: str, text: str) -> bool:
        """Whether it has seen a process with this in its command line."""
        return any(text in command for command in self._watchers[container].looked.commands)

    def verify(self, gone: Iterable[str] = ()) -> None:
        """Fails, telling where, when a secret was seen; and when there was nothing to see it with. ``gone`` are
        containers that need not be there any more."""
        alive = [watcher for watcher in self._watchers.values() if watcher.container not in gone]
        if not all(watcher.over for watcher in alive):
            self.read()
        assert not self.sightings, "\n".join(str(sighting) for sighting in self.sightings)
        for watcher in self._watchers.values():
            assert watcher.looked.samples > 0, f"nothing was looked at in {watcher.container}"
        for watcher in alive:
            assert not watcher.unread, f"what is written down in {watcher.container} could not be read"
            assert watcher.canary_in_journal is not False, f"the canary in {watcher.container}'s journal was not found"


class _Watcher:
    """The program in one container, started again when the container was."""

    def __init__(self, container: str, order: Mapping[str, Any], enter: list[str], sightings: list[Sighting]) -> None:
        self.container, self.looked = container, Looked()
        self.ready, self.over, self.unread = threading.Event(), False, True
        self.canary_in_journal: bool | None = None  # whether it was found, when there is a journal
        self._order, self._enter, self._sightings = order, enter, sightings
        self._done, self._samples, self._cpu = threading.Event(), 0, 0.0
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> threading.Event:
        """Asks to read what is written down; the event says that it was."""
        self._done, self.unread = threading.Event(), True
        if self.alive:
            self._send({})
        else:
            self._done.set()
        return self._done

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        self.over = True
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):  # it may have ended before
                self._process.stdin.close()
        self._thread.join(PATIENCE)

    def _send(self, line: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError, ValueError):  # it may have ended; who waits for an answer gets none
            assert self._process and self._process.stdin
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()

    def _follow(self) -> None:
        while not self.over:
            with subprocess.Popen(
                [*self._enter, "python3", "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as self._process:
                self._send(self._order)
                for line in self._process.stdout or ():
                    self._take(json.loads(line))
            self._done.set()
            self._samples, self._cpu = self.looked.samples, self.looked.cpu
            if not self.over:
                time.sleep(1)

    def _take(self, entry: Mapping[str, Any]) -> None:
        kind, looked = entry["kind"], self.looked
        if kind == "ready":
            looked.starts += 1
            self.ready.set()
        elif kind == "read":
            looked.read[entry["where"]] = entry["bytes"]
        elif kind in ("samples", "done"):
            looked.samples, looked.cpu = self._samples + entry["samples"], self._cpu + entry["cpu"]
        elif kind == "logged":
            self.canary_in_journal = False
        elif kind == "command":
            looked.commands.append(entry["text"])
        self._sight(entry)
        if kind == "done":
            self.unread = False
            self._done.set()

    def _sight(self, entry: Mapping[str, Any]) -> None:
        where = entry.get("where", "command")
        for name in entry.get("names", ()):
            seen = Sighting(self.container, where, name, entry["text"])
            if name == "canary":
                self.canary_in_journal = True if where == "journal" else self.canary_in_journal
            elif seen not in self._sightings:
                self._sightings.append(seen)
