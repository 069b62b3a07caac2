# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One restic repository: what it holds, and restic run on it. The key goes by standard input: nobody sees it."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.host.run import NOT_FOUND, Ended, as_user, environment

NO_REPOSITORY, LOCKED, WRONG_KEY, TOO_LONG = 10, 11, 12, 124
INCOMPLETE = 3  # a snapshot was made, and lacks what could not be read
_ANSWERS = 20.0  # seconds: restic itself goes on asking a server that is down for a quarter of an hour
_AGAIN = 5.0


@dataclass(frozen=True)
class Snapshot:
    """One of them. Moments are Unix time as the client said it, ``ns`` of a node are those of its file."""

    id: str
    source: str
    paths: tuple[str, ...]
    began: float
    ended: float
    files: int
    bytes: int
    touched: int  # files that are new or changed since the one before
    added: int

    @property
    def label(self) -> str:
        return self.id[:8]

    @property
    def counts(self) -> dict[str, int]:
        return {"files": self.files, "bytes": self.bytes}


@dataclass(frozen=True)
class Repository:
    """Where it is and what opens it. ``secrets`` is a file of environment variables, ``user`` whose files it is,
    ``patience`` the seconds that another's lock is waited for: restic calls one stale after half an hour."""

    where: str
    key: Path
    cache: Path
    secrets: Path | None = None
    user: str = "root"
    patience: float = 2400.0

    def attempt(self, words: Sequence[str], timeout: float | None = None) -> Ended:
        """Runs restic once."""
        try:
            done = subprocess.run(
                self._argv(words),
                input=self._read(self.key),
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
                cwd="/",
                env=self._environment(),
                **as_user(self.user),
            )
        except FileNotFoundError:
            return Ended(NOT_FOUND, "", "restic is not installed on this host: run the role restic")
        except subprocess.TimeoutExpired as late:
            said = late.stderr.decode(errors="replace") if isinstance(late.stderr, bytes) else late.stderr or ""
            return Ended(TOO_LONG, "", f"it did not answer within {timeout:g} s\n{said}")
        return Ended(done.returncode, done.stdout, done.stderr)

    def run(self, doing: str, words: Sequence[str], accept: Collection[int] = (0,)) -> Ended:
        """Runs restic to its end, after another's lock is gone. Only stale locks are removed, by restic's own word."""
        deadline = time.monotonic() + self.patience
        while (ended := self.attempt(words)).code == LOCKED and time.monotonic() < deadline:
            self.attempt(["unlock"], _ANSWERS)
            time.sleep(min(_AGAIN, self.patience))
        if ended.code not in accept:
            raise self.error(doing, ended)
        return ended

    def identity(self, known: str = "", create: bool = False) -> str:
        """Its id. One that is gone, or another than the known one, is an error: it is made once, never in silence."""
        ended = self.attempt(["cat", "config", "--no-lock"], _ANSWERS)
        if ended.code == NO_REPOSITORY and create and not known:
            self.run("making the repository", ["init", "--json"])
            ended = self.attempt(["cat", "config", "--no-lock"], _ANSWERS)
        if ended.code:
            raise self.error("opening it", ended)
        found = str(json.loads(ended.output)["id"])
        if known not in ("", found):
            raise FilesError(
                f"the repository at {self.where} is not the one that this host made backups in ({found[:8]} instead of"
                f" {known[:8]}): bring that one back"
            )
        return found

    def snapshots(self) -> list[Snapshot]:
        """Oldest first."""
        ended = self.run("listing its snapshots", ["snapshots", "--json", "--no-lock"])
        return sorted(map(snapshot, json.loads(ended.output or "null") or []), key=lambda one: one.began)

    def nodes(self, one: Snapshot, *within: str) -> Iterator[dict[str, Any]]:
        """What a snapshot says of each of its files and directories; of some directories' own entries alone."""
        words = self._argv(["ls", "--json", "--no-lock", one.id, *within])
        with subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd="/",
            env=self._environment(),
            **as_user(self.user),
        ) as listing:
            with suppress(BrokenPipeError), cast(IO[str], listing.stdin) as key:  # its status says why it ended so soon
                key.write(self._read(self.key))
            for line in cast(IO[str], listing.stdout):
                node = json.loads(line)
                if node.get("message_type") == "node":
                    yield node
            said = cast(IO[str], listing.stderr).read()
        if listing.returncode:
            raise self.error(f"listing {one.label}", Ended(listing.returncode, "", said))

    def error(self, doing: str, ended: Ended) -> FilesError:
        """What went wrong, in a sentence."""
        known = {
            NO_REPOSITORY: f"there is no repository at {self.where}: bring it back, or mend its address",
            LOCKED: f"the repository at {self.where} is locked by another run that goes on: {gist(ended.errors)}",
            WRONG_KEY: f"the repository at {self.where} does not open with the key in {self.key}: it has another",
        }
        told = f"{doing} failed for the repository at {self.where}: {gist(ended.errors + ended.output)}"
        return FilesError(known.get(ended.code, told))

    def _argv(self, words: Sequence[str]) -> list[str]:
        return ["restic", *(["--no-cache"] if self.where.startswith("/") else []), *words]

    def _environment(self) -> dict[str, str]:
        given: Mapping[str, str] = json.loads(self._read(self.secrets)) if self.secrets else {}
        return {**environment(), "RESTIC_REPOSITORY": self.where, "RESTIC_CACHE_DIR": str(self.cache), **given}

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise FilesError(f"{path} cannot be read ({error}); run the role restic again") from error


def snapshot(given: Mapping[str, Any]) -> Snapshot:
    """As restic writes it. One without a summary was made by a restic that wrote none."""
    told = given.get("summary") or {}
    began = nanoseconds(given["time"]) / 1e9
    return Snapshot(
        id=str(given["id"]),
        source=str((given.get("tags") or [""])[0]),
        paths=tuple(given.get("paths") or ()),
        began=began,
        ended=nanoseconds(told["backup_end"]) / 1e9 if "backup_end" in told else began,
        files=int(told.get("total_files_processed", 0)),
        bytes=int(told.get("total_bytes_processed", 0)),
        touched=int(told.get("files_new", 0)) + int(told.get("files_changed", 0)),
        added=int(told.get("data_added_packed", 0)),
    )


def nanoseconds(text: str) -> int:
    """Unix time of RFC 3339, whose fractions Python reads to the microsecond only."""
    found = re.fullmatch(r"([-\d]+T[\d:]+)(?:\.(\d{1,9}))?(Z|[-+]\d\d:\d\d)", text)
    if not found:
        raise FilesError(f"{text!r} is no moment that restic writes")
    zone = "+00:00" if found[3] == "Z" else found[3]
    return int(datetime.datetime.fromisoformat(found[1] + zone).timestamp()) * 10**9 + int(
        (found[2] or "0").ljust(9, "0")
    )


def gist(said: str) -> str:
    """The last messages of restic's, which are JSON or plain."""
    found = []
    for line in filter(None, map(str.strip, said.splitlines())):
        try:
            told = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if isinstance(told, dict) and told.get("message_type") in ("error", "exit_error"):
            words = told.get("message") or (told.get("error") or {}).get("message") or ""
            found.append(" ".join(filter(None, [told.get("item"), str(words).replace("\n", " ")])))
    return "; ".join(dict.fromkeys(found[-4:]))[-800:] or "it said nothing"


def summary(output: str) -> dict[str, Any]:
    """What ends a run with --json."""
    for line in reversed(output.splitlines()):
        if line.startswith("{") and (told := json.loads(line)).get("message_type") == "summary":
            return dict(told)
    raise FilesError("restic ended without its summary, so what it did is not known")
