# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running pgBackRest as its own user, and its reason when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended, run

PROGRAM = "pgbackrest"
LOCKED = 50  # another backup, or expiry, of the stanza runs
_REASON = re.compile(r"^(?:\S+ \S+ )?P\d+\s+(?:ERROR|HINT|WARN|ASSERT):|^(?:ERROR|HINT|WARN|ASSERT):")
_CONTINUED = re.compile(r"^\s{8,}(?:HINT: )?\S")
_RETRIES = re.compile(r" \[\w+Error\] on (?:\d+ retries|retry) .*?(?= \[\w+Error\] on | \w+Error: | HINT: |$)")
_HTTP = re.compile(r": \*\*\* Path/Query \*\*\*: .*?(?= \w+Error: | HINT: |$)")
_ANSWER = re.compile(r"<Code>([^<]*)</Code>(?:\s*<Message>([^<]*)</Message>)?")
_TWICE = re.compile(r"(\w+Error: .+?) \1(?= |$)")
_UNREAD = re.compile(r"(?:\[\w+\] )?unable to load info file '([^']+)' or .*")
_NO_TEXT = "FormatError: key/value found outside of section at line 1"  # where each of its files has "[backrest]"
_PREFIX = re.compile(r"^(?:\d{4}-\d\d-\d\d \S+ )?P\d+\s+")


class PgbackrestError(DataError):
    """pgBackRest failed; the message is its reason, ``code`` its exit status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def reason(lines: Iterable[str]) -> str:
    """The errors with their hints, as one line; when there are none the warnings."""
    found: dict[str, list[str]] = {"ERROR": [], "WARN": []}
    current: list[str] | None = None
    for line in lines:
        if _REASON.match(line):
            words = _PREFIX.sub("", line).strip()
            level = "WARN" if words.startswith("WARN") else "ERROR"
            found[level].append(re.sub(r"^(?:ERROR|WARN|ASSERT): ", "", words))
            current = found[level]
        elif current and _CONTINUED.match(line):
            current[-1] += " " + line.strip()
        else:
            current = None
    return "; ".join(dict.fromkeys(map(plain, found["ERROR"] or found["WARN"])))


def words(ended: Ended) -> str:
    """Why a run ended as it did: pgBackRest's own reason in one line, else the end of what it wrote."""
    return reason((ended.output + "\n" + ended.errors).splitlines()) or (ended.errors or ended.output).strip()[-500:]


def plain(message: str) -> str:
    """A message in one line, without each retry, without the same of a file's copy, and of an object store's answer
    the reason alone."""
    line = _RETRIES.sub("", " ".join(message.split()))
    return _UNREAD.sub(_key, _TWICE.sub(r"\1", _HTTP.sub(_answer, line)))


def _key(refused: re.Match[str]) -> str:
    """What is wrong with the key when a repository's first file cannot be read for it; else what pgBackRest says.

    Of another key it says what it says of a damaged file, with bytes that it takes for text, and asks for a stanza.
    """
    told, file = refused[0], refused[1]
    if "cipher header invalid" in told:
        return (
            f"{file} is not encrypted, and the repository has a cipher_pass here: say encryption: false, or give it"
            " another path, where backups begin anew"
        )
    if f"{_NO_TEXT}: Salted__" in told:
        return f"{file} is encrypted, and the repository has no cipher_pass here: give it the key that made it"
    if "CryptoError: " in told or _NO_TEXT in told:
        return (
            f"{file} does not open with the repository's cipher_pass: another key made it, such as that of another"
            " clone or vault, or it and its copy are damaged. Give the repository the key that made it, or another"
            " path, where backups begin anew"
        )
    return told


def _answer(request: re.Match[str]) -> str:
    found = _ANSWER.search(request[0])
    return ": " + ": ".join(filter(None, found.groups())) if found else ""


def arguments(command: str, stanza: str | None = None, **options: Any) -> list[str]:
    """The command line. No option that is secret has a place on it: those are in the configuration file."""
    given = {"stanza": stanza, **options}
    told = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
    return [PROGRAM, *told, command]


def succeed(argv: Sequence[str], user: str, timeout: float | None = None) -> str:
    """Standard output of a run that must succeed."""
    ended = run(argv, user, timeout)
    if ended.code:
        told = (
            reason((ended.output + "\n" + ended.errors).splitlines())
            or (ended.errors or ended.output).strip()[-500:]
            or "it said nothing"
        )
        raise PgbackrestError(f"{' '.join(argv)} ended with status {ended.code}: {told}", ended.code)
    return ended.output
