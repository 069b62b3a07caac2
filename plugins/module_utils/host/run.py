# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Other programs, run as their own user and with nothing of the caller's environment."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NOT_FOUND = 127


@dataclass(frozen=True)
class Ended:
    """Exit status and what was written to standard output and standard error."""

    code: int
    output: str
    errors: str


def as_user(user: str) -> dict[str, Any]:
    """What makes ``subprocess`` run a program as this user when the caller is root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def environment() -> dict[str, str]:
    """Nothing of the caller's reaches a program that would read options from it, as pgBackRest does."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}


def run(argv: Sequence[str], user: str, timeout: float | None = None) -> Ended:
    """Runs to the end; after ``timeout`` seconds it is killed and counts as failed."""
    try:
        done = subprocess.run(
            list(argv),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            **as_user(user),
        )
    except FileNotFoundError:
        return Ended(NOT_FOUND, "", f"ERROR: {argv[0]} is not installed on this host")
    except subprocess.TimeoutExpired:
        return Ended(124, "", f"ERROR: {' '.join(argv)} did not end within {timeout:g} s")
    return Ended(done.returncode, done.stdout, done.stderr)
