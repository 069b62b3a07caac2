# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HAProxy's runtime API: one command, one answer; and what its answers mean."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_SESSION = re.compile(r" rq\[f=\w+,i=\w+,an=(\w+)h,.* rp\[f=\w+,i=\w+,an=(\w+)h,")

ANSWER_TIMEOUT = 2.0
"""Seconds in which a command must be answered; HAProxy needs about one millisecond."""


class HaproxyError(Exception):
    """What was tried on HAProxy, what came back, and what to do."""


@dataclass(frozen=True)
class Server:
    """One server of a backend, as the load balancer sees it now. `check_took` is in milliseconds."""

    name: str
    address: str
    status: str
    check: str
    check_code: str
    check_said: str
    check_took: int | None
    weight: int
    sessions: int
    queued: int

    @property
    def up(self) -> bool:
        """Gets requests, and a check of its own has passed: after a start HAProxy takes servers for up unseen."""
        return self.weight > 0 and (self.status == "no check" or self.checked)

    @property
    def checked(self) -> bool:
        """A check of its own has passed in this process."""
        return self.status.startswith("UP") and self.check.startswith("L") and "OK" in self.check

    @property
    def spare(self) -> bool:
        """Room for an instance that there is not; who takes a server out for another reason leaves its weight."""
        return self.status.startswith("MAINT") and self.weight == 0

    def describe(self) -> str:
        """Why it is up or not, for an operator."""
        check = " ".join(part for part in (self.check, self.check_code, self.check_said) if part)
        return f"{self.name} ({self.address}) is {self.status}, check: {check or 'none yet'}"

    def as_dict(self) -> dict[str, object]:
        """The shape that modules return."""
        return {**asdict(self), "up": self.up}


@dataclass(frozen=True)
class Stats:
    """What `show stat` says: the frontends, and the servers of each backend, in the configuration's order.

    By backend, `sessions` are those it serves now, `requests` those it was sent since the process was started.
    """

    frontends: list[str]
    backends: dict[str, list[Server]]
    sessions: dict[str, int]
    requests: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Stats:
        """Read the CSV of `show stat`."""
        stats = cls([], {}, {}, {})
        for row in csv.DictReader(text.lstrip("# ").splitlines()):
            proxy, name = row["pxname"], row["svname"]
            if name == "FRONTEND":
                stats.frontends.append(proxy)
            elif name == "BACKEND":
                stats.backends.setdefault(proxy, [])
                stats.sessions[proxy] = _number(row["scur"]) or 0
                stats.requests[proxy] = _number(row.get("req_tot")) or 0
            else:
                stats.backends.setdefault(proxy, []).append(_server(row))
        return stats


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _server(row: dict[str, str]) -> Server:
    return Server(
        name=row["svname"],
        address=row.get("addr") or "?",
        status=row["status"],
        check=row["check_status"].removeprefix("* "),
        check_code=row["check_code"],
        check_said=row.get("last_chk") or row.get("check_desc") or "",
        check_took=_number(row["check_duration"]),
        weight=_number(row["weight"]) or 0,
        sessions=_number(row["scur"]) or 0,
        queued=_number(row["qcur"]) or 0,
    )


@dataclass(frozen=True)
class Worker:
    """One HAProxy process: the current one behind its own socket, an old one (`prefix`) behind the master's."""

    path: str
    prefix: str = ""

    def ask(self, command: str, timeout: float = ANSWER_TIMEOUT) -> str:
        """Send one command and return its answer, without the blank line that ends it."""
        with socket.socket(socket.AF_UNIX) as connection, self._said_plainly(timeout):
            connection.settimeout(timeout)
            connection.connect(self.path)
            connection.sendall(f"{self.prefix}{command}\n".encode())
            connection.shutdown(socket.SHUT_WR)  # or the master's socket waits for more commands
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace").strip()

    @contextlib.contextmanager
    def _said_plainly(self, timeout: float) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise HaproxyError(
                f"There is no runtime socket {self.path}. Is HAProxy running, and is this the path of its "
                "`stats socket`? See `systemctl status haproxy`."
            ) from error
        except PermissionError as error:
            raise HaproxyError(f"May not open the runtime socket {self.path}: run the task with `become`.") from error
        except TimeoutError as error:
            raise HaproxyError(
                f"HAProxy did not answer on {self.path} within {timeout:g} s. See `journalctl -u haproxy`."
            ) from error
        except OSError as error:
            raise HaproxyError(
                f"Nobody answers on the runtime socket {self.path} ({error.strerror}): HAProxy is down. "
                "See `systemctl status haproxy` and `journalctl -u haproxy`."
            ) from error

    def do(self, command: str) -> None:
        """Send a command that answers nothing when it succeeds."""
        answer = self.ask(command)
        if answer:
            raise HaproxyError(f"HAProxy answered {answer!r} to `{command}` on {self.path}.")

    def info(self) -> dict[str, str]:
        """`show info` as a dict."""
        return dict(line.split(": ", 1) for line in self.ask("show info").splitlines() if ": " in line)

    def stats(self) -> Stats:
        """Frontends, backends and servers now."""
        return Stats.parse(self.ask("show stat"))

    def tunnels(self, backend: str) -> int:
        """The sessions of a backend that have become WebSockets: HTTP's analysers are done with both directions."""
        found = (_SESSION.search(line) for line in self.ask("show sess").splitlines() if f" be={backend} " in line)
        return sum(int(one[1], 16) == int(one[2], 16) == 0 for one in found if one)

    def map_entries(self, path: str) -> dict[str, str]:
        """What the running process has of a map file."""
        answer = self.ask(f"show map {path}")
        entries: dict[str, str] = {}
        for line in answer.splitlines():
            reference, _space, entry = line.partition(" ")
            key, _space, value = entry.partition(" ")
            if not reference.startswith("0x") or not value:
                raise HaproxyError(
                    f"The running HAProxy has no map {path} (it answered {answer.splitlines()[0]!r}): it runs "
                    "a configuration that is not from role haproxy, or was not reloaded since."
                )
            entries[key] = value
        return entries


def old_workers(worker: Worker, master_socket: str) -> list[Worker]:
    """The processes that reloads left behind; they serve their connections until those end.

    Found as the current process's siblings: `show proc` says the same, but only to the master's socket.
    """
    pid = int(worker.info().get("Pid", 0))
    master = parent_of(pid)
    if master in (None, 0, 1) or not Path(master_socket).exists():
        return []
    siblings = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [
        Worker(master_socket, f"@!{other} ")
        for other in sorted(siblings)
        if other != pid and parent_of(other) == master and _name(other) == _name(pid)
    ]


def started_at(pid: int) -> float | None:
    """When a process was started (Unix time, exact to 10 ms)."""
    fields = _stat(pid)
    if fields is None:
        return None
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return time.time() - uptime + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command's name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def parent_of(pid: int) -> int | None:
    """The process that started another; None when that one has ended."""
    fields = _stat(pid)
    return int(fields[1]) if fields and fields[0] != "Z" else None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
