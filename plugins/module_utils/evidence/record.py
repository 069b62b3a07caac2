# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The schema of an evidence record: what may be written into the store, and why something may not."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS, VERDICTS, timestamp

FIELDS = (
    "id",
    "area",
    "subject",
    "claim",
    "measured",
    "unit",
    "limit",
    "verdict",
    "at",
    "took",
    "source",
    "run",
    "reason",
    "artifacts",
    "sha256",
)
REQUIRED = ("id", "area", "subject", "claim", "verdict", "at", "source")

ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+")
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
ARTIFACT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+:-]*(/[A-Za-z0-9_][A-Za-z0-9._@+:-]*)*")
LIMIT = re.compile(r"(<=|>=|!=|<|>|=) ?\S.*")
SHA256 = re.compile(r"[0-9a-f]{64}")

RECORD_BYTES = 65536
CLOCK_SKEW = datetime.timedelta(minutes=5)


class EvidenceError(Exception):
    """Evidence that cannot be recorded or read; the message tells an operator what to do."""


def parse_time(text: str) -> datetime.datetime:
    """The moment that an RFC 3339 text names; it must say its offset from UTC."""
    moment = None
    with contextlib.suppress(TypeError, ValueError):
        # Python 3.10 reads neither Z nor fractions of other lengths than 3 and 6.
        micro = re.sub(r"\.(\d+)", lambda found: f".{found[1]:0<6.6}", text)
        moment = datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", micro))
    if moment is None or moment.tzinfo is None:
        raise EvidenceError(f"{text!r} is no RFC 3339 time with an offset, such as 2026-11-21T11:40:00.123Z")
    return moment.astimezone(datetime.timezone.utc)


def validated(record: Mapping[str, Any], run: str, now: datetime.datetime | None = None) -> dict[str, Any]:
    """The record as it is stored: all fields, in order, times in UTC. An EvidenceError names each bad field."""
    complete = {**_DEFAULTS, "run": run, **record}
    problems = [f"{name}: no such field; allowed are {', '.join(FIELDS)}" for name in record if name not in FIELDS]
    problems += [f"{name}: missing" for name in REQUIRED if name not in record]
    if complete["run"] != run:
        problems.append(f"run: {complete['run']!r} is not the run {run!r} that is being recorded")
    for name, check in _CHECKS.items():
        if name in REQUIRED and name not in record:
            continue
        problem = check(complete[name])
        if problem:
            problems.append(f"{name}: {problem}")
    if not problems:
        problems = _contradictions(complete, now or datetime.datetime.now(datetime.timezone.utc))
    if problems:
        raise EvidenceError("; ".join(problems))
    complete["at"] = timestamp(parse_time(complete["at"]))
    return {name: complete[name] for name in FIELDS}


def encoded(record: Mapping[str, Any]) -> bytes:
    """The record as one line of JSON with its line end."""
    # A lone surrogate (undecodable output of some program) becomes its JSON escape.
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    line = text.encode("utf-8", "backslashreplace") + b"\n"
    if len(line) > RECORD_BYTES:
        raise EvidenceError(
            f"{len(line)} bytes are more than the {RECORD_BYTES} of one record; put raw output into an artifact"
        )
    return line


def _contradictions(record: Mapping[str, Any], now: datetime.datetime) -> list[str]:
    """What is wrong between fields that are each well-formed."""
    problems = []
    if record["id"].split(".")[0] != record["area"]:
        problems.append(f"id: {record['id']!r} must begin with its area, {record['area']!r}")
    if record["verdict"] != "pass" and not (record["reason"] or "").strip():
        problems.append(f"reason: verdict {record['verdict']!r} needs one sentence that says why")
    if parse_time(record["at"]) > now + CLOCK_SKEW:
        problems.append(f"at: {record['at']} is in the future (it is {timestamp(now)}); set the clocks right")
    return problems


def _text(longest: int, empty: bool = False, null: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None and null:
            return None
        if not isinstance(value, str):
            return f"{value!r} is not text"
        if not empty and not value.strip():
            return "must not be empty"
        return f"longer than {longest} characters" if len(value) > longest else None

    return check


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str | None]:
    return lambda value: None if value in allowed else f"{value!r} is not one of {', '.join(allowed)}"


def _matching(pattern: re.Pattern[str], example: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, str) and pattern.fullmatch(value)
        return None if good else f"{value!r} does not look like {example}"

    return check


def _measured(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, type(None))):
        return f"{value!r} is not a number, text or null"
    return "must be finite" if isinstance(value, float) and not math.isfinite(value) else None


def _limit(value: Any) -> str | None:
    return None if value is None else _matching(LIMIT, "< 500 or = 200 (a comparison and a value)")(value)


def _seconds(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return f"{value!r} is not a number of seconds, 0 or more"
    return None


def _time(value: Any) -> str | None:
    try:
        parse_time(value)
    except EvidenceError as error:
        return str(error)
    return None


def _artifacts(value: Any) -> str | None:
    if not isinstance(value, (list, tuple)):
        return f"{value!r} is not a list of names"
    for name in value:
        if not (isinstance(name, str) and ARTIFACT.fullmatch(name)):
            return f"{name!r} is not a plain relative path such as timeline.json"
    return None


def _hashes(value: Any) -> str | None:
    if not isinstance(value, Mapping) or not all(SHA256.fullmatch(str(digest)) for digest in value.values()):
        return "must map each artifact to its SHA-256 in hexadecimal"
    return None


_DEFAULTS: dict[str, Any] = {
    "measured": None,
    "unit": "1",
    "limit": None,
    "took": 0.0,
    "reason": None,
    "artifacts": [],
    "sha256": {},
}

_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "id": _matching(ID, "area.subject-kind.claim, e.g. delivery.rollback.duration"),
    "area": _one_of(AREAS),
    "subject": _text(255),
    "claim": _text(500),
    "measured": _measured,
    "unit": _text(32, empty=True),
    "limit": _limit,
    "verdict": _one_of(VERDICTS),
    "at": _time,
    "took": _seconds,
    "source": _text(255),
    "run": _matching(RUN, "20261121T114000Z-deploy (letters, digits and . _ : + -)"),
    "reason": _text(4000, empty=True, null=True),
    "artifacts": _artifacts,
    "sha256": _hashes,
}


def retirement(record: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The last word on a subject that is gone, for whoever measured it last."""
    kept = {name: record[name] for name in ("id", "area", "subject", "claim")}
    return kept | {"verdict": "skip", "reason": reason, "at": timestamp(), "source": "retirement 0.1.0"}
