# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""gitleaks: secrets in plain text in the directory of an inventory. What the secrets are is told nowhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.run import run
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

_VAULT = b"$ANSIBLE_VAULT;"
_SECRET = ("Match", "Secret", "Line")


def argv(directory: str, output: str) -> list[str]:
    """All files as they are, not what git has of them: a secret that was never committed lies there, too."""
    options = ["--no-git", "--redact", "--no-banner", "--report-format", "json", "--report-path", output]
    return ["gitleaks", "detect", "--source", directory, *options]


def redacted(text: str) -> str:
    """The report without a secret, whatever the program left in it."""
    return json.dumps([one | {name: "REDACTED" for name in _SECRET if name in one} for one in _entries(text)], indent=1)


def read(text: str, directory: Path) -> list[Finding]:
    """What counts: what git ignores is kept from others on purpose, and a vault is no plain text."""
    entries = _entries(text)
    files = {one["File"]: _within(directory, one["File"]) for one in entries}
    passed = _ignored(directory, sorted(set(files.values())))
    passed |= {name for name in files.values() if _is_vault(directory / name)}
    return [
        Finding(f"{one['RuleID']}:{files[one['File']]}", f"line {one['StartLine']}, {one['Description']}")
        for one in sorted(entries, key=lambda one: (one["File"], one["StartLine"]))
        if files[one["File"]] not in passed
    ]


def _entries(text: str) -> list[dict[str, Any]]:
    """Of its JSON, which is null where it found nothing and its version has it so."""
    try:
        entries = json.loads(text)
        entries = [] if entries is None else entries
        if not isinstance(entries, list) or not all(
            {"RuleID", "File", "StartLine", "Description"} <= one.keys() for one in entries
        ):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise ScanError("gitleaks left no JSON that can be read") from None  # its text may have a secret
    return entries


def _within(directory: Path, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else file


def _is_vault(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return content.read(len(_VAULT)) == _VAULT
    except OSError:
        return False


def _ignored(directory: Path, files: Sequence[str]) -> set[str]:
    """Those that git ignores and does not have all the same; none where the directory is in no repository."""
    if not files or not any((place / ".git").exists() for place in (directory, *directory.parents)):
        return set()
    done = run(["git", "-C", str(directory), "-c", "core.quotePath=false", "check-ignore", "--", *files], "root", 60)
    if done.code not in (0, 1):
        raise ScanError(f"what git ignores in {directory} could not be told: {done.errors.strip()}")
    return set(done.output.splitlines())
