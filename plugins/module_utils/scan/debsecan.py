# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""debsecan: which installed packages have a vulnerability that is known, and for which of them there is a fix."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, NotApplicable, ScanError

OS_RELEASE = Path("/etc/os-release")
LARGEST = 64 * 1024 * 1024  # bytes of data, compressed; that of Debian 13 has some two million
_HEAD = b"VERSION 1\n"
_DAY = 86400.0
_LINE = re.compile(r"^(\S+) (\S+)(?: \(([^)]*)\))?$")
_URGENCIES = {"high urgency": 0, "medium urgency": 1, "low urgency": 2}


@dataclass(frozen=True)
class Data:
    """What the security tracker knows of a release, and on which day that was written, where the source says it."""

    content: bytes
    day: str


@dataclass(frozen=True)
class Known:
    """One vulnerability of one installed package."""

    id: str
    package: str
    notes: tuple[str, ...]

    @property
    def fixed(self) -> bool:
        return "fixed" in self.notes

    @property
    def rank(self) -> tuple[int, bool, str]:
        """The worst first."""
        urgency = min((_URGENCIES[note] for note in self.notes if note in _URGENCIES), default=len(_URGENCIES))
        return urgency, "remotely exploitable" not in self.notes, self.id


def suite() -> str:
    """The name of the host's release, such as trixie, under which the data is found."""
    values = dict(line.partition("=")[::2] for line in OS_RELEASE.read_text(encoding="utf-8").splitlines())
    system, name = (values.get(key, "").strip('"') for key in ("ID", "VERSION_CODENAME"))
    if system != "debian":
        raise NotApplicable(
            f"debsecan compares packages with what Debian's tracker knows, and this is {system or 'something else'};"
            " Ubuntu tells with `pro security-status`"
        )
    if not re.fullmatch(r"[a-z]+", name):
        raise ScanError(f"{OS_RELEASE} names no release such as trixie, under which the data could be found")
    return name


def fetch(source: str, name: str, timeout: float, days: float) -> Data:
    """The data of a release, from the security tracker or a mirror of it; it may be a file:///, too."""
    url = f"{source.rstrip('/')}/{name}"
    try:
        asked = urllib.request.Request(url, headers={"User-Agent": "slipway"})  # noqa: S310 - the operator's own
        with urllib.request.urlopen(asked, timeout=timeout) as answer:  # noqa: S310
            content, written = answer.read(LARGEST), answer.headers.get("Last-Modified")
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = getattr(error, "reason", None) or error
        status = f"HTTP {error.code}, " if isinstance(error, urllib.error.HTTPError) else ""
        raise ScanError(
            f"{url} could not be read: {status}{said}. scan_vulnerabilities_url names a mirror that the host reaches"
        ) from error
    try:
        good = zlib.decompress(content).startswith(_HEAD)
    except zlib.error:
        good = False
    if not good:
        raise ScanError(f"{url} has no data for debsecan: that is zlib's of a text which begins with VERSION 1")
    at = _time(written)
    if at is not None and time.time() - at > days * _DAY:
        raise ScanError(
            f"the data of {url} is {(time.time() - at) / _DAY:.0f} days old, and scan_limits.data_days allows "
            f"{days:g}: bring the mirror up to date"
        )
    return Data(content, time.strftime("%Y-%m-%d", time.gmtime(at)) if at is not None else "")


def argv(place: str, name: str) -> list[str]:
    """Everything that is known, also what has no fix: where that is nothing, the data is no good. What the host's own
    list of exceptions hides is told, for waivers have an owner and an end."""
    options = ["--source", Path(place).as_uri(), "--suite", name, "--format", "summary"]
    return ["debsecan", *options, "--whitelist", f"{place}/none"]


def read(text: str) -> list[Known]:
    """Of its summary, those with a fix, the worst first."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [_LINE.match(line) for line in lines]
    if not all(found):
        raise ScanError("debsecan said something that is no line of its summary")
    known = [Known(one[1], one[2], tuple((one[3] or "").split(", "))) for one in found if one]
    if not known:
        raise ScanError(
            "debsecan knows nothing at all of this host, not even what has no fix yet, which no Debian is without: "
            "the data is empty, or of another release"
        )
    return sorted((one for one in known if one.fixed), key=lambda one: one.rank)


def findings(known: Iterable[Known]) -> list[Finding]:
    """One for each vulnerability, with the packages that have it; in the order given."""
    packages: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for one in known:
        packages.setdefault(one.id, []).append(one.package)
        notes.setdefault(one.id, [note for note in one.notes if note not in ("fixed", "obsolete")])
    return [Finding(id, ", ".join([*notes[id], f"in {' '.join(sorted(set(packages[id])))}"])) for id in packages]


def _time(header: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header).timestamp() if header else None
    except (TypeError, ValueError):
        return None
