# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pgbackrest info --output=json`` tells: the backups of each stanza, and what runs right now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import plain

NO_BACKUP = 2
NO_STANZA = (1, 3)  # status codes: nothing there yet, not on every repository
OTHER = 99  # nothing is known, for a reason that the message tells


class InfoError(ValueError):
    """Output that is not what pgBackRest writes."""


@dataclass(frozen=True)
class Backup:
    """One backup. ``kind`` is full, diff or incr; times are Unix time; ``size`` is the database's and ``stored``
    what this backup added to the repository, in bytes; ``error`` tells pages with wrong checksums."""

    label: str
    kind: str
    repository: int
    started: float
    stopped: float
    size: int
    stored: int
    error: bool
    database: int
    wal_start: str
    wal_stop: str
    lsn_stop: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.stopped - self.started


@dataclass(frozen=True)
class Stanza:
    """A stanza and its backups, the oldest first. ``code`` is 0 when all is well and ``message`` says what is not.

    ``running`` is whether a backup (or expiry) has the lock on this host, ``done`` and ``total`` its bytes so far.
    ``repositories`` maps each repository's number to code and message, ``wal`` to its first and last segments of each
    history, ``databases`` are the clusters it has had: repository, number, major version.
    """

    name: str
    code: int
    message: str
    running: bool
    done: int
    total: int
    backups: tuple[Backup, ...]
    repositories: dict[int, tuple[int, str]]
    wal: dict[int, list[tuple[str, str, str]]]
    databases: tuple[tuple[int, int, str], ...] = ()

    @property
    def created(self) -> bool:
        """Whether it is there on every repository."""
        return bool(self.repositories) and not any(code in NO_STANZA for code, _ in self.repositories.values())

    def trouble(self, repository: int) -> str:
        """What keeps a repository from being read, such as a wrong key; empty when it is just empty."""
        code, message = self.repositories.get(repository, (0, ""))
        if code in (0, NO_BACKUP, *NO_STANZA):
            return ""
        told = "".join(character for character in message if character.isprintable() or character.isspace())
        return plain(told).partition(" HINT: ")[0]

    def of(self, repository: int) -> list[Backup]:
        """The backups in one repository, the oldest first."""
        return [backup for backup in self.backups if backup.repository == repository]


def parse(output: str) -> list[Stanza]:
    """The stanzas that the JSON tells."""
    try:
        return [_stanza(item) for item in json.loads(output, strict=False)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InfoError(f"pgbackrest info wrote what this program does not know ({error!r}): {output[:200]}") from error


def find(stanzas: list[Stanza], name: str) -> Stanza | None:
    return next((stanza for stanza in stanzas if stanza.name == name), None)


def _stanza(item: dict[str, Any]) -> Stanza:
    lock = item["status"].get("lock", {}).get("backup", {})
    backups = sorted(map(_backup, item.get("backup", [])), key=lambda backup: backup.stopped)
    wal: dict[int, list[tuple[str, str, str]]] = {}
    for archive in item.get("archive", []):
        if archive.get("min"):
            wal.setdefault(archive["database"]["repo-key"], []).append((archive["id"], archive["min"], archive["max"]))
    return Stanza(
        name=item["name"],
        code=item["status"]["code"],
        message=item["status"]["message"],
        running=bool(lock.get("held")),
        done=int(lock.get("size-cplt") or 0),
        total=int(lock.get("size") or 0),
        backups=tuple(backups),
        repositories={
            entry["key"]: (entry["status"]["code"], entry["status"]["message"]) for entry in item.get("repo", [])
        },
        wal=wal,
        databases=tuple((entry["repo-key"], entry["id"], str(entry["version"])) for entry in item.get("db", [])),
    )


def _backup(item: dict[str, Any]) -> Backup:
    sizes = item["info"]
    archive = item.get("archive") or {}
    return Backup(
        label=item["label"],
        kind=item["type"],
        repository=item["database"]["repo-key"],
        started=float(item["timestamp"]["start"]),
        stopped=float(item["timestamp"]["stop"]),
        size=int(sizes["size"]),
        stored=int(sizes["repository"]["delta"]),
        error=bool(item.get("error")),
        database=item["database"]["id"],
        wal_start=archive.get("start") or "",
        wal_stop=archive.get("stop") or "",
        lsn_stop=(item.get("lsn") or {}).get("stop") or "",
    )
