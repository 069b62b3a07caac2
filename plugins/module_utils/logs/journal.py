# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``journalctl``, asked for entries as JSON: those of this host, or of the log host's files, one family a sender."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class JournalError(Exception):
    """The journal could not be read; the message says what journalctl said."""


def files(directory: Path, sender: str) -> list[str]:
    """What makes journalctl read one sender's files and nobody else's: the live one and those that it was."""
    found = [path for pattern in (f"{sender}.journal", f"{sender}@*.journal") for path in directory.glob(pattern)]
    return [f"--file={path}" for path in sorted(found)]


def senders(directory: Path) -> list[str]:
    """Whose entries are here."""
    return sorted({path.name.removesuffix(".journal").partition("@")[0] for path in directory.glob("*.journal")})


def lines(arguments: Sequence[str], timeout: float) -> list[str]:
    """What journalctl answers, line by line; times are read and told in UTC."""
    argv = ["journalctl", "--quiet", "--no-pager", "--all", *arguments]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        raise JournalError(f"journalctl cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise JournalError(f"the journal was not read within {timeout:g} s; ask for less, by host or time") from None
    # 1 is also "no entries", of which nothing is said.
    if done.returncode and done.stderr.strip():
        raise JournalError(done.stderr.strip().splitlines()[-1])
    return done.stdout.splitlines()


def entries(arguments: Sequence[str], timeout: float = 60) -> Iterator[Entry]:
    for line in lines([*arguments, "--output=json"], timeout):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a file that is being written
        yield {name: _text(value) for name, value in entry.items()}


def newest() -> str:
    """The cursor of this host's newest entry."""
    return next((one["__CURSOR"] for one in entries(["--lines=1"])), "")


def oldest() -> str:
    """The cursor of its oldest entry; journalctl is asked for all of them and ended after the first."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=PRIORITY"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        line = process.stdout.readline() if process.stdout else b""
        process.kill()
    return str(json.loads(line)["__CURSOR"]) if line else ""


def _text(value: Any) -> str:
    """journalctl gives bytes that are no text as numbers, and fields that come twice as lists."""
    if isinstance(value, list) and value and all(isinstance(one, int) for one in value):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, list):
        return _text(value[0]) if value else ""
    return "" if value is None else str(value)


def fields_of(cursor: str) -> dict[str, str]:
    """A cursor's parts: `s` says whose numbers they are, `i` is the entry's number, `t` its time."""
    return dict(part.partition("=")[::2] for part in cursor.split(";"))
