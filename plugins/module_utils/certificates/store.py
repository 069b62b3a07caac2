# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates of one host: ``<root>/<name>/{key,fullchain,chain}.pem``, brought or internal, in one pass.

Everything is checked before anything is written. A renewal's key waits in ``key.pem.next`` until its certificate is
there, so a run that is killed leaves a working pair, and the next run goes on with the same key. What has to reload a
new one is noted beside it until it has, so that a run which ends between the two leaves that to the next.
"""

from __future__ import annotations

import datetime
import grp
import pwd
import re
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates import pem
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import Bundle, CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from ansible_collections.slipway.ops.plugins.module_utils.net.names import HostNameError, canonical

PENDING_KEY = "key.pem.next"
DUE = "reload.due"
DIRECTORY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass
class Wanted:
    """One item of the list, as an operator wrote it; ``source`` is internal, files or acme."""

    name: str
    names: list[str] = field(default_factory=list)
    source: str = "internal"
    certificate: str = ""
    key: str = ""
    chain: str = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o600
    reload: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Names have one spelling from here on."""
        try:
            self.names = list(dict.fromkeys(map(canonical, self.names)))
        except HostNameError as error:
            raise CertificateError(f"Certificate {self.name}: {error}. Nothing was changed.") from error
        if not DIRECTORY_NAME.fullmatch(self.name):
            raise CertificateError(f"Certificate {self.name!r}: the name cannot be a directory's. Nothing was changed.")


@dataclass
class Outcome:
    """What one pass did and what it leaves to the authority."""

    changed: list[str] = field(default_factory=list)
    requests: list[dict[str, object]] = field(default_factory=list)
    certificates: list[dict[str, object]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Store:
    """The directory of one host's certificates; with ``dry`` nothing is written."""

    def __init__(self, root: Path, now: datetime.datetime, renew_below: float, dry: bool) -> None:
        self.root, self.now, self.renew_below, self.dry = root, now, renew_below, dry

    def apply(self, wanted: list[Wanted], authority: str, signed: dict[str, str]) -> Outcome:
        """Install what is complete; return requests for what the authority must sign first."""
        bundles: dict[str, Bundle] = {}
        reasons: dict[str, str] = {}
        for item in wanted:
            try:
                bundle, reason = self._judge(item, authority, signed.get(item.name))
            except CertificateError as error:
                raise CertificateError(f"Certificate {item.name}: {error}. Nothing was changed.") from error
            if bundle:
                bundles[item.name] = bundle
            if reason:
                reasons[item.name] = reason
        ids = {item.name: self._ids(item) for item in wanted}

        outcome = Outcome()
        for item in wanted:
            if item.name in reasons:
                outcome.requests.append(self._request(item, reasons[item.name]))
                outcome.changed.append(item.name)
                continue
            if self._install(item, bundles[item.name], ids[item.name]):
                outcome.changed.append(item.name)
            self._report(item, bundles[item.name], outcome)
        return outcome

    def _judge(self, item: Wanted, authority: str, signed: str | None) -> tuple[Bundle | None, str | None]:
        """The bundle to have installed, or the reason why the authority must sign first."""
        if item.source == "files":
            return x.brought(item.certificate, item.key, item.chain, item.names, self.now), None
        if signed and item.source == "acme" and not _internal(signed, authority):
            return x.brought(signed, self._read(item, PENDING_KEY), "", item.names, self.now), None
        if signed:
            return x.issued(signed, self._read(item, PENDING_KEY), item.names, authority), None
        if not item.names:
            raise CertificateError(f"with source {item.source} it needs at least one of `names`")
        installed = self.installed(item)
        if item.source == "acme":
            # The internal authority only has its place kept, so that servers start; what came by ACME stays.
            reason = x.why_unusable(installed)
        else:
            installed.intermediates, installed.roots = [], [authority]
            reason = x.why_renew(installed, item.names, self.renew_below, self.now)
        return (None, reason) if reason else (installed, None)

    def installed(self, item: Wanted) -> Bundle:
        """What is there of a certificate, good or not."""
        leaf, *intermediates = pem.certificates(self._read(item, "fullchain.pem")) or [""]
        chain = pem.certificates(self._read(item, "chain.pem"))
        roots = [block for block in chain if block not in intermediates]
        return Bundle(self._read(item, "key.pem"), leaf, intermediates, roots)

    def ask(self, item: Wanted, common_name: bool = True) -> str:
        """A signing request, PEM, with the key that waits for its certificate."""
        pending = self._read(item, PENDING_KEY) or x.new_key()
        if not self.dry:
            self._directory(item)
            path = self.root / item.name / PENDING_KEY
            if _differs(path, pending, 0o600, (0, 0)):
                replace(path, pending, 0o600, (0, 0))
        return x.request(pending, item.names, common_name)

    def _read(self, item: Wanted, name: str) -> str:
        path = self.root / item.name / name
        return path.read_text(encoding="ascii", errors="replace") if path.is_file() else ""

    def _ids(self, item: Wanted) -> tuple[int, int]:
        try:
            return pwd.getpwnam(item.owner).pw_uid, grp.getgrnam(item.group).gr_gid
        except KeyError as error:
            if self.dry:  # an earlier task of the run would have made the account
                return 0, 0
            raise CertificateError(
                f"Certificate {item.name} is to belong to {item.owner}:{item.group}, but this host does not know "
                f"that user or group. Install what brings it first. Nothing was changed."
            ) from error

    def _request(self, item: Wanted, reason: str) -> dict[str, object]:
        return {"name": item.name, "names": item.names, "reason": reason, "csr": self.ask(item)}

    def _install(self, item: Wanted, bundle: Bundle, ids: tuple[int, int]) -> bool:
        """True when something differed, or when what reads it has not been told since it did."""
        directory, due = self.root / item.name, self.root / item.name / DUE
        modes = {name: item.mode if name == "key.pem" else 0o644 for name in bundle.files}
        stale = [name for name, text in bundle.files.items() if _differs(directory / name, text, modes[name], ids)]
        owed = bool(item.reload) and due.exists()
        if self.dry:
            return bool(stale) or owed
        self._directory(item)
        if stale and item.reload:
            replace(due, "", 0o600, (0, 0))
        elif not item.reload:
            due.unlink(missing_ok=True)
        for name in stale:
            replace(directory / name, bundle.files[name], modes[name], ids)
        (directory / PENDING_KEY).unlink(missing_ok=True)
        return bool(stale) or owed

    def _directory(self, item: Wanted) -> None:
        make_directory(self.root)
        make_directory(self.root / item.name)

    def _report(self, item: Wanted, bundle: Bundle, outcome: Outcome) -> None:
        parsed = x.parse(bundle.leaf)
        left = x.days_left(parsed, self.now)
        outcome.certificates.append(
            {
                "name": item.name,
                "source": item.source,
                "names": x.names_of(parsed),
                "not_after": x.not_after(parsed).isoformat(),
                "days_left": left,
            }
        )
        if item.source == "files" and left < (self.renew_below or x.due_below(parsed)):
            outcome.warnings.append(f"Certificate {item.name} expires in {left} days; bring a renewed one.")


def _internal(signed: str, authority: str) -> bool:
    return x.issued_by(x.parse(pem.certificates(signed)[0]), x.parse(authority))


def _differs(path: Path, content: str, mode: int, ids: tuple[int, int]) -> bool:
    """Whether a file has another content, owner or mode, or is not there."""
    if not path.is_file():
        return True
    status = path.stat()
    same = (status.st_uid, status.st_gid) == ids and status.st_mode & 0o7777 == mode
    return not same or path.read_bytes() != content.encode()
