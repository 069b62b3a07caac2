# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of this host against what was accepted, by AIDE, and what a check reads of it.

``check`` compares and keeps the result; 1 when files differ. ``accept`` takes all files as they are. ``begin RUN`` and
``end RUN`` are around what changes files on purpose, such as a run of a playbook: its end accepts what was changed
since its beginning, and says which files these are; others stay different. ``end RUN SECONDS`` needs no beginning.
``last`` tells the result that was kept: 0, 1 when files differ, 69 when it is too old or there is none.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, read_state, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.run import environment

UNKNOWN = 69
MAX_AGE = 26 * 3600  # seconds: it is made each night
LONGEST_RUN = 6 * 3600  # seconds after which a run that did not end is forgotten
TIMEOUT = 2 * 3600.0  # seconds that AIDE may take
NAMED = 20  # files that a sentence names
_DIFFER = 7  # AIDE's status is a sum of 1 (added), 2 (removed) and 4 (changed); from 14 on it is an error
_DETAILS = "Detailed information"
_WATCHED = re.compile(r"(/\S*) SLIPWAY").fullmatch
_ENTRY = re.compile(r"[^\s/][^/]*: (/.*)")


class IntegrityError(Exception):
    """No comparison could be made; the message says what to do."""


@dataclass(frozen=True)
class Aide:
    """The program, its configuration and the database of what was accepted."""

    state: Path = Path("/var/lib/slipway/integrity")
    configuration: Path = Path("/etc/aide/aide.conf")
    program: Sequence[str] = ("nice", "aide")

    @property
    def argv(self) -> list[str]:
        return [*self.program, f"--config={self.configuration}"]

    @property
    def database(self) -> Path:
        return self.state / "files.db"

    def touched(self, moment: float) -> bool:
        """Whether anything that is watched may have changed since then: names and times alone, where AIDE reads all."""
        watched = [match[1] for line in self.configuration.read_text("utf-8").splitlines() if (match := _WATCHED(line))]
        if not all(Path(root).exists() for root in watched):
            return True  # a pattern, or what is gone
        return any(
            changed_since(str(Path(place, name)), moment)
            for root in watched
            for place, directories, files in [(root, [], []), *os.walk(root)]
            for name in ("", *directories, *files)
        )

    def differing(self, verb: str = "--check") -> list[str]:
        """What differs from the database. ``--update`` also writes a new one beside it."""
        try:
            ended = subprocess.run(
                [*self.argv, verb],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=TIMEOUT,
                env=environment(),  # in English
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise IntegrityError(f"aide could not be run: {error}") from error
        print(ended.stdout, end="")
        found = named(ended.stdout)
        if not 0 <= ended.returncode <= _DIFFER or bool(ended.returncode) != bool(found):
            told = " ".join((ended.stderr or ended.stdout).split())[-300:]
            raise IntegrityError(
                f"aide {verb} ended with status {ended.returncode} and names {len(found)} files: {told}"
            )
        return found

    def initialise(self) -> None:
        try:
            argv = [*self.argv, "--init"]
            subprocess.run(argv, capture_output=True, check=True, timeout=TIMEOUT, env=environment())
        except (OSError, subprocess.SubprocessError) as error:
            raise IntegrityError(f"aide could not be run: {error}") from error
        self.take()

    def take(self) -> None:
        """Accepts the database that was written beside the one that was accepted."""
        self.database.with_name(f"{self.database.name}.new").replace(self.database)


def named(report: str) -> list[str]:
    """The files that a report of AIDE lists as added, removed or changed."""
    found = dict.fromkeys(
        match[1] for line in report.partition(_DETAILS)[0].splitlines() if (match := _ENTRY.fullmatch(line))
    )
    return sorted(found)


def changed_since(path: str, moment: float) -> bool:
    """Whether a file was made, changed or removed since then. Its ctime is asked, which no program sets."""
    place = Path(path)
    for nearest in (place, *place.parents):
        try:
            return nearest.lstat().st_ctime >= moment - 1  # the kernel's clock for files ticks behind
        except (FileNotFoundError, NotADirectoryError):
            continue
    return False


@dataclass(frozen=True)
class Memory:
    """What is kept beside the database: the last result, files that differ though the database has them, and runs that
    have begun."""

    state: Path

    def last(self) -> dict[str, Any]:
        return read_state(self.state / "last.json")

    def keep(self, differs: Sequence[str], held: Sequence[str], error: str = "") -> None:
        told = {"at": time.time(), "differs": list(differs), "held": list(held), "error": error}
        replace(self.state / "last.json", json.dumps(told) + "\n", 0o600)

    def begin(self, run: str) -> None:
        """A run that did not end, and begins again, has begun when it did at first."""
        if run not in self.begun():
            make_directory(self.state / "begun", 0o700)
            replace(self.state / "begun" / run, f"{time.time()}\n", 0o600)

    def end(self, run: str) -> None:
        (self.state / "begun" / run).unlink(missing_ok=True)

    def begun(self) -> dict[str, float]:
        now, found = time.time(), {}
        for path in (self.state / "begun").glob("*"):
            try:
                moment = float(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if now - LONGEST_RUN <= moment <= now:
                found[path.name] = moment
        return found


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """One at a time: a run may end while the night's comparison is made."""
    make_directory(state, 0o700)
    with (state / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check(aide: Aide) -> int:
    memory = Memory(aide.state)
    held = memory.last().get("held", [])
    found = aide.differing()
    since = min(memory.begun().values(), default=None)
    going = [] if since is None else [path for path in found if changed_since(path, since)]
    if going:
        print(f"{', '.join(memory.begun())} has not ended and changed {len(going)} of these files")
    differs = sorted({*held, *found} - (set(going) - set(held)))
    memory.keep(differs, held)
    print(_sentence(differs))
    return 1 if differs else 0


def accept(aide: Aide) -> int:
    found = aide.differing("--update") if aide.database.exists() else []
    if found:
        aide.take()
    elif not aide.database.exists():
        aide.initialise()
    memory = Memory(aide.state)
    held = memory.last().get("held", [])
    memory.keep([], [])
    _say_accepted(sorted({*found, *held}))
    return 0


def end(aide: Aide, run: str, seconds: float | None) -> int:
    """Accepts what was changed since a run began, and nothing when it did not."""
    memory = Memory(aide.state)
    began = memory.begun().get(run, None if seconds is None else time.time() - seconds)
    if began is None or not aide.database.exists():
        print(f"{run} has not begun here, so that nothing is accepted: slipway-integrity check tells what differs")
        return 0
    if not aide.touched(began):
        memory.end(run)
        return 0
    found, held = aide.differing("--update"), memory.last().get("held", [])
    taken = [path for path in found if changed_since(path, began)]
    differs = sorted({*found, *held} - set(taken))
    if taken:
        aide.take()
    # What the database has now, and nobody accepted, is only remembered.
    memory.keep(differs, differs if taken else held)
    memory.end(run)
    _say_accepted(taken)
    if differs:
        print(f"not accepted: {_sentence(differs)}")
    return 0


def last(aide: Aide) -> tuple[int, str]:
    """What a check is told."""
    told = Memory(aide.state).last()
    if "at" not in told:
        return UNKNOWN, "no comparison was made yet: systemctl start slipway-integrity"
    at = timestamp(datetime.datetime.fromtimestamp(told["at"], datetime.timezone.utc))
    if told["error"]:
        return UNKNOWN, f"the comparison of {at} failed: {told['error']}"
    if told["differs"]:
        return 1, f"at {at}: {_sentence(told['differs'])}"
    if not -300 < time.time() - told["at"] < MAX_AGE:
        return UNKNOWN, f"the last comparison is of {at}: systemctl list-timers slipway-integrity.timer"
    return 0, f"no file differed at {at}"


def _sentence(differs: Sequence[str]) -> str:
    if not differs:
        return "No file differs from what was accepted"
    count = "1 file differs" if len(differs) == 1 else f"{len(differs)} files differ"
    more = f" and {len(differs) - NAMED} more" if len(differs) > NAMED else ""
    named_files = f"{', '.join(differs[:NAMED])}{more}"
    return f"{count} from what was accepted: {named_files}. If that was meant: slipway-integrity accept"


def _say_accepted(files: Sequence[str]) -> None:
    for path in files[:NAMED]:
        print(f"accepted: {path}")
    if len(files) > NAMED:
        print(f"accepted: {len(files) - NAMED} more")


def main(argv: Sequence[str] | None = None, aide: Aide | None = None) -> int:
    parser = argparse.ArgumentParser(prog="slipway-integrity", description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check", help="compare files with what was accepted; 1 when some differ")
    verbs.add_parser("accept", help="take all files as they are")
    verbs.add_parser("begin", help="a run begins that changes files").add_argument("run")
    ending = verbs.add_parser("end", help="a run ends: what it changed is accepted")
    ending.add_argument("run")
    ending.add_argument("seconds", type=float, nargs="?", help="how long it took, where it did not begin")
    verbs.add_parser("last", help="tell the last result; 69 when it is too old")
    given = parser.parse_args(argv)
    aide = aide or Aide()
    if given.verb == "last":
        status, sentence = last(aide)
        print(sentence)
        return status
    try:
        with alone(aide.state):
            if given.verb == "begin":
                Memory(aide.state).begin(given.run)
                return 0
            if given.verb == "end":
                return end(aide, given.run, given.seconds)
            return accept(aide) if given.verb == "accept" else check(aide)
    except IntegrityError as error:
        memory = Memory(aide.state)
        memory.keep([], memory.last().get("held", []), str(error))
        print(error, file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
