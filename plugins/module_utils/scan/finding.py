# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a scanner found, and what the inventory lets pass for a while."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class ScanError(Exception):
    """Why a scan says nothing, in one sentence: then its results are unknown."""


class NotApplicable(ScanError):
    """Why a scan has nothing to say here, in one sentence: then its results are skipped."""


class WaiverError(ValueError):
    """A waiver that cannot be meant."""


@dataclass(frozen=True)
class Finding:
    """One thing that should not be so; ``id`` is the scanner's word for it, as ``cert_revocation`` or ``8080/tcp``."""

    id: str
    text: str


@dataclass(frozen=True)
class Waiver:
    """A finding that somebody answers for until a day. ``subject`` may have ``*``."""

    finding: str
    owner: str
    reason: str
    expires: datetime.date
    subject: str = "*"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Waiver:
        missing = [name for name in ("finding", "owner", "reason", "expires") if not entry.get(name)]
        if missing:
            raise WaiverError(f"the waiver of {entry.get('finding', 'a finding')} lacks {', '.join(missing)}")
        try:
            expires = datetime.date.fromisoformat(str(entry["expires"]))
        except ValueError as error:
            raise WaiverError(f"the waiver of {entry['finding']} expires {entry['expires']}, not 2027-01-31") from error
        return cls(entry["finding"], entry["owner"], entry["reason"], expires, entry.get("subject") or "*")

    def covers(self, finding: Finding, subject: str) -> bool:
        return self.finding == finding.id and fnmatch.fnmatchcase(subject, self.subject)


@dataclass(frozen=True)
class Owner:
    """Who answers for findings. ``finding`` and ``subject`` may have ``*``."""

    owner: str
    finding: str = "*"
    subject: str = "*"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Owner:
        if not entry.get("owner"):
            raise WaiverError(
                f"the owner of {entry.get('finding') or entry.get('subject') or 'all findings'} has no name"
            )
        return cls(entry["owner"], entry.get("finding") or "*", entry.get("subject") or "*")

    def has(self, finding: Finding, subject: str) -> bool:
        return fnmatch.fnmatchcase(finding.id, self.finding) and fnmatch.fnmatchcase(subject, self.subject)


def owner_of(finding: Finding, subject: str, owners: Iterable[Owner]) -> str:
    """The first that has it."""
    return next((one.owner for one in owners if one.has(finding, subject)), "nobody's")


def weighed(
    findings: Iterable[Finding],
    waivers: Iterable[Waiver],
    subject: str,
    today: datetime.date,
    owners: Sequence[Owner] = (),
) -> tuple[list[str], list[str]]:
    """What counts, with its owner, and what is let pass, a text each. A waiver that has ended lets nothing pass."""
    counts, passed = [], []
    for finding in findings:
        of_it = [waiver for waiver in waivers if waiver.covers(finding, subject)]
        valid = [waiver for waiver in of_it if waiver.expires >= today]
        if valid:
            passed.append(f"{finding.id} (until {valid[0].expires}, {valid[0].owner}: {valid[0].reason})")
        elif of_it:
            ended = max(waiver.expires for waiver in of_it)
            counts.append(f"{finding.id}: {finding.text}; the waiver of {of_it[0].owner} ended {ended}")
        else:
            counts.append(f"{finding.id}: {finding.text} ({owner_of(finding, subject, owners)})")
    return counts, passed
