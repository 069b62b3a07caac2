# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd's units, by ``systemctl``, and what they have said, by ``journalctl``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

UNITS = Path("/etc/systemd/system")

_SHOWN = (
    *(
        "LoadState",
        "ActiveState",
        "SubState",
        "UnitFileState",
        "Type",
        "Result",
        "ReloadResult",
        "NRestarts",
        "MainPID",
    ),
    *("NeedDaemonReload", "FragmentPath", "DropInPaths", "Triggers"),
    *("InactiveExitTimestamp", "ActiveEnterTimestamp", "StateChangeTimestamp"),
)


@dataclass(frozen=True)
class Unit:
    """What systemd tells of a unit. Moments are seconds since the epoch, 0 for what has not been.

    ``started`` is when it left rest, before anything of it read a file; ``loaded`` when it last took its files up, by a
    reload that succeeded or by its start. ``untaken`` is a file of its that systemd does not know of.
    """

    name: str
    load: str = "loaded"
    active: str = "inactive"
    sub: str = "dead"
    file: str = "disabled"
    kind: str = ""
    result: str = "success"
    restarts: int = 0
    pid: int = 0
    unread: bool = False
    untaken: str = ""
    triggers: tuple[str, ...] = ()
    started: float = 0.0
    entered: float = 0.0
    loaded: float = 0.0

    @property
    def is_there(self) -> bool:
        return self.load != "not-found"

    @property
    def is_up(self) -> bool:
        return self.active in ("active", "reloading", "refreshing")

    @property
    def is_coming(self) -> bool:
        """On its way up by itself; one that systemd only tries again after a failure is not."""
        return self.active == "activating" and not self.sub.startswith("auto-restart")


@dataclass(frozen=True)
class Systemctl:
    """Runs ``systemctl``. What it refuses is told as ``error``, which is the caller's own."""

    error: type[Exception]

    def __call__(self, *words: str) -> str:
        """What it says."""
        ended = _run("systemctl", *words)
        if ended.returncode:
            raise self.error(f"systemctl {' '.join(words)} failed: {ended.stderr.strip()}")
        return ended.stdout

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """A unit's properties by name, empty texts for those that it does not have."""
        output = self("show", f"--property={','.join(properties)}", unit)
        return _properties(output, properties)

    def look(self, *names: str) -> list[Unit]:
        """Units as they are at this moment, by one call."""
        if not names:
            return []
        said = self("show", "--timestamp=us+utc", f"--property={','.join(_SHOWN)}", "--", *names)
        return [_unit(name, _properties(block, _SHOWN)) for name, block in zip(names, said.split("\n\n"), strict=True)]

    def refresh(self, *names: str) -> bool:
        """Has systemd read files again if it has not read some of these units'; whether it had to."""
        unread = any(unit.unread for unit in self.look(*names))
        if unread:
            self("daemon-reload")
        return unread


def own_files(name: str) -> list[Path]:
    """A unit's files that were made on this host: itself and its drop-ins, a template's too."""
    names = [name]
    prefix, at, rest = name.partition("@")
    if at:
        names.append(f"{prefix}@.{rest.rpartition('.')[2]}")
    return [file for each in names for file in (UNITS / each, *sorted((UNITS / f"{each}.d").glob("*.conf")))]


def newest(files: Iterable[Path]) -> float:
    """When the newest was changed or put in its place (a rename sets the second); 0 when none is there."""
    return max(map(_changed, files), default=0.0)


def newer(paths: Iterable[str | Path], moment: float) -> Path | None:
    """The first file that is newer than a moment. A directory stands for everything in it."""
    return next((file for path in paths for file in _all(Path(path)) if _changed(file) > moment), None)


def last_words(unit: str, lines: int = 3, since: float = 0.0) -> list[str]:
    """The last lines that a unit's processes have written to the journal; systemd's about it when they wrote none."""
    _run("journalctl", "--sync")
    command = ("journalctl", "--no-pager", "--output=json", f"--lines={lines * 10}", f"--unit={unit}")
    told = [_entry(line) for line in _run(*command, f"--since=@{since:.0f}").stdout.splitlines()]
    # `(name)` is systemd's on its way to become the program.
    said = [text for who, text in told if who != "systemd" and not who.startswith("(")] or [text for _, text in told]
    return [text for text in said if text.strip()][-lines:]


def _entry(line: str) -> tuple[str, str]:
    entry = json.loads(line)
    message = entry.get("MESSAGE") or ""
    if not isinstance(message, str):  # bytes that are no text
        message = bytes(message).decode("utf-8", errors="replace")
    return entry.get("SYSLOG_IDENTIFIER", ""), message


def _properties(block: str, names: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(names, "") | dict(line.partition("=")[::2] for line in block.splitlines() if line)


def _unit(name: str, told: dict[str, str]) -> Unit:
    untaken = min(_not_taken(name, told), default="")
    started = _moment(told["InactiveExitTimestamp"])
    reloaded = _moment(told["StateChangeTimestamp"]) if told["ReloadResult"] == "success" else 0.0
    return Unit(
        name,
        told["LoadState"],
        told["ActiveState"],
        told["SubState"],
        told["UnitFileState"],
        told["Type"],
        told["Result"],
        int(told["NRestarts"] or 0),
        int(told["MainPID"] or 0),
        told["NeedDaemonReload"] == "yes" or bool(untaken),
        untaken,
        tuple(told["Triggers"].split()),
        started,
        _moment(told["ActiveEnterTimestamp"]),
        max(started, reloaded),
    )


def _not_taken(name: str, told: dict[str, str]) -> set[str]:
    """Files of a loaded unit that systemd does not know of, and does not tell so of: one that has come in front of the
    package's unit file, and before version 254 (Debian 12) a unit's first drop-in."""
    if told["LoadState"] != "loaded":
        return set()
    there = [file for file in own_files(name) if file.is_file() and not file.is_symlink()]
    units = [file for file in there if file.suffix != ".conf"]
    read = {told["FragmentPath"], *told["DropInPaths"].split()}
    return {str(file) for file in (*units[:1], *(file for file in there if file not in units))} - read


def _moment(text: str) -> float:
    """Of `Sun 2026-11-29 03:36:22.123456 UTC`."""
    if text in ("", "n/a"):
        return 0.0
    read = datetime.strptime(text.partition(" ")[2], "%Y-%m-%d %H:%M:%S.%f UTC")
    return read.replace(tzinfo=timezone.utc).timestamp()


def _all(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")


def _changed(file: Path) -> float:
    """0 for what is not there."""
    try:
        status = file.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
