"""The half of `secret_watch` that runs in a container: its source is handed to `python3 -c`, so it needs nothing else.

Standard input is lines of JSON: the order, and then one for each time that what is written down is to be read; its end
ends the program. Standard output is lines of JSON: what was found and how much was looked at. A secret leaves it only
as the name that the order has for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REST = 60  # how many times longer it rests than it worked: at most 1.6 % of a core,
LONGEST_REST = 0.25  # unless that would be longer than these seconds
JOURNAL = "/var/log/journal/"  # read as the journal
LONGEST = 300  # characters of a line that are shown
CHUNK = 1 << 20


def say(**entry: Any) -> None:
    print(json.dumps(entry), flush=True)


class Seeker:
    """Looks for forms of secrets, by the names of the secrets."""

    def __init__(self, secrets: Mapping[str, list[str]]) -> None:
        self._forms = [(name, form.encode()) for name, forms in secrets.items() for form in forms]
        self._forms.sort(key=lambda pair: -len(pair[1]))
        self.longest = max(len(form) for _, form in self._forms)

    def names(self, data: bytes) -> list[str]:
        return sorted({name for name, form in self._forms if form in data})

    def masked(self, data: bytes) -> str:
        """The text, with the names where secrets stood, around the first of them."""
        for name, form in self._forms:
            data = data.replace(form, b"<" + name.encode() + b">")
        text = "".join(letter if letter.isprintable() else " " for letter in data.decode(errors="replace"))
        starts = [text.find(f"<{name}>") for name, _ in self._forms if f"<{name}>" in text]
        start = max(0, min(starts, default=0) - LONGEST // 2)
        return text[start : start + LONGEST]


class Commands:
    """The command lines of all processes, each told when it is first seen."""

    def __init__(self, seeker: Seeker) -> None:
        self._seeker, self._told = seeker, set[bytes]()
        self.samples = 0
        self.found = set[str]()

    def look(self) -> None:
        self.samples += 1
        for process in os.listdir("/proc"):  # noqa: PTH208 (a fifth of the time)
            if process.isdigit():
                with contextlib.suppress(OSError):
                    self._take(Path(f"/proc/{process}/cmdline").read_bytes())

    def _take(self, line: bytes) -> None:
        digest = hashlib.blake2b(line, digest_size=16).digest()
        if line and digest not in self._told:
            self._told.add(digest)
            words = line.rstrip(b"\0").replace(b"\0", b" ")
            names = self._seeker.names(words)
            self.found.update(names)
            say(kind="command", names=names, text=self._seeker.masked(words))


def search(where: str, stream: Any, seeker: Seeker) -> int:
    """Tells each line of a binary stream that has a secret; returns the bytes read."""
    size = 0
    for line in iter(lambda: stream.readline(CHUNK), b""):
        size += len(line)
        names = seeker.names(line)
        if names:
            say(kind="line", where=where, names=names, text=seeker.masked(line))
    return size


def read_journal(canary: str, seeker: Seeker) -> None:
    """All fields of all entries, the command lines of who wrote them among them. The last must be the canary."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect("/dev/log")
            log.send(f"<14>secret-watch: {canary}".encode())
    except OSError:
        return  # there is no journal here
    say(kind="logged")
    subprocess.run(["journalctl", "--sync"], stderr=subprocess.DEVNULL, check=False)
    command = ["journalctl", "--no-pager", "--output=export"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as journal:
        say(kind="read", where="journal", bytes=search("journal", journal.stdout, seeker))


def read_files(places: Iterable[str], seeker: Seeker) -> None:
    for place in places:
        top = Path(place)
        files = [top] if top.is_file() else [Path(at) / name for at, _, names in os.walk(top) for name in names]
        size = 0
        for file in files:
            with contextlib.suppress(OSError):
                if file.is_file() and not file.is_symlink() and not str(file).startswith(JOURNAL):
                    with file.open("rb") as stream:
                        size += search(str(file), stream, seeker)
        say(kind="read", where=place, bytes=size)


def main() -> None:
    orders: queue.Queue[str] = queue.Queue()
    order = json.loads(sys.stdin.readline())

    def receive() -> None:
        for line in sys.stdin:
            orders.put(line)
        orders.put("")

    seeker = Seeker(order["secrets"])
    commands = Commands(seeker)
    canary = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", order["canary"]])
    threading.Thread(target=receive, daemon=True).start()
    wanted = "start"
    while wanted:
        began = time.thread_time()
        commands.look()
        if canary.returncode is None and "canary" in commands.found:
            canary.kill()
            canary.wait()
            say(kind="ready")
        if commands.samples % 20 == 0:
            say(kind="samples", samples=commands.samples, cpu=time.process_time())
        pause = min(max(order["interval"], REST * (time.thread_time() - began)), LONGEST_REST)
        with contextlib.suppress(queue.Empty):
            wanted = orders.get(timeout=pause)
            if wanted:
                read_journal(order["canary"], seeker)
                read_files(order["places"], seeker)
            say(kind="done", samples=commands.samples, cpu=time.process_time())
    canary.kill()


if __name__ == "__main__":
    main()
