# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A question to the central journal, and its answer as lines: the newest ones, oldest first, as many as may be."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.logs.journal import (
    Entry,
    JournalError,
    entries,
    files,
    lines,
    senders,
)

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_WHO = ("_SYSTEMD_UNIT", "UNIT", "SYSLOG_IDENTIFIER", "CONTAINER_NAME")
_LONGEST = 2000
_TIMEOUT = 60.0


class SearchError(ValueError):
    """A question that makes no sense here; the message says what would."""


@dataclass(frozen=True)
class Question:
    """``service`` is a unit, a program, or a container, whose name may go on after a dash."""

    hosts: Sequence[str] = ()
    service: str = ""
    since: str = ""
    until: str = ""
    priority: str = ""
    text: str = ""
    limit: int = 200


@dataclass(frozen=True)
class Answer:
    """``more`` says that older entries match as well."""

    found: list[Entry]
    more: bool

    def lines(self) -> list[str]:
        return [_line(one) for one in self.found]


def search(directory: Path, question: Question) -> Answer:
    if question.limit < 1:
        raise SearchError(f"limit is {question.limit}: it is how many entries are shown, at least 1")
    known = senders(directory)
    if not known:
        raise SearchError(f"{directory} has no entries of any host; does systemd-journal-upload run on them?")
    found: list[Entry] = []
    selected = {host: files(directory, host) for host in _hosts(question.hosts, known)}
    matches = _matches(question.service, [one for paths in selected.values() for one in paths])
    for host, paths in selected.items():
        try:
            found += [
                entry | {"sender": host}
                for entry in entries([*paths, *_arguments(question), *matches], timeout=_TIMEOUT)
            ]
        except JournalError as error:
            raise SearchError(_explained(str(error), question)) from error
    found.sort(key=lambda one: int(one["__REALTIME_TIMESTAMP"]))
    return Answer(found[-question.limit :], len(found) > question.limit)


def _hosts(wanted: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for host in wanted:
        if host not in known:
            raise SearchError(f"there are no entries of {host}{_nearest(host, known)}")
    return wanted or known


def _arguments(question: Question) -> list[str]:
    given = {
        "--lines": str(question.limit + 1),  # one more tells that there are more
        "--since": question.since,
        "--until": question.until,
        "--priority": question.priority,
        "--grep": re.sub(r"([^\w\s])", r"\\\1", question.text),
    }
    return [f"{name}={value}" for name, value in given.items() if value] + ["--case-sensitive=false"] * bool(
        question.text
    )


def _matches(service: str, paths: Sequence[str]) -> list[str]:
    """journalctl's matches, one or the other, for every name there is that is meant by the service."""
    if not service:
        return []
    there = {name: lines([*paths, f"--field={name}"], _TIMEOUT) for name in _WHO}
    meant = [
        f"{name}={value}" for name, values in there.items() for value in sorted(values) if _is(service, value, name)
    ]
    if not meant:
        names = sorted({value.removesuffix(".service") for values in there.values() for value in values})
        raise SearchError(f"no entry is of a service {service}{_nearest(service, names)}")
    return [word for one in meant for word in (one, "+")][:-1]


def _is(service: str, value: str, name: str) -> bool:
    if name == "CONTAINER_NAME":
        return value == service or value.startswith((f"{service}-", f"{service}_"))
    return value in (service, f"{service}.service") or value.startswith(f"{service}@")


def _explained(said: str, question: Question) -> str:
    for name in ("since", "until"):
        value = getattr(question, name)
        if value and value in said and "timestamp" in said:
            return f'{name} is {value}: say it as "2026-11-29 10:00" (UTC), "2 hours ago", "yesterday" or "today"'
    return f"the journal was not read: {said}"


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(list(known)[:30]) or 'none'}"


def _line(entry: Entry) -> str:
    moment = datetime.datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, datetime.timezone.utc)
    who = next(
        (entry[name] for name in ("CONTAINER_NAME", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT") if entry.get(name)), "-"
    )
    message = entry.get("MESSAGE", "").replace("\n", "\n    ")
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]} … ({len(message)} characters)"
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {entry['sender']} {who}: {message}"
