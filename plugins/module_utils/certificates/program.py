# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-certificates``: renews what is due on this host, reloads what uses it, and leaves metrics and evidence.

One certificate that cannot be renewed keeps none of the others from it, and stays as it is. A service that could not be
reloaded is reloaded by the next run. Exit status 3: something failed, and its reason was told and recorded.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.certificates import authority, metrics
from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates.authority import AuthorityError
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.certificates.challenges import Solver, WebRoot
from ansible_collections.slipway.ops.plugins.module_utils.certificates.due import AcmeError, moment_in
from ansible_collections.slipway.ops.plugins.module_utils.certificates.store import Store, Wanted
from ansible_collections.slipway.ops.plugins.module_utils.certificates.wishes import key_mode
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace

CONFIGURATION = Path("/etc/slipway/certificates.json")
STATE = Path("/var/lib/slipway/certificates")
WEBROOT = Path("/run/slipway-acme")
FAILED = 3
# After a failure, until a run may ask an ACME authority again: five failures an hour are Let's Encrypt's limit.
_PATIENCE = datetime.timedelta(minutes=50)
_LIMITED = datetime.timedelta(hours=11)

Failures = (CertificateError, AuthorityError, AcmeError, OSError)


@dataclass
class Certificate:
    """One of the list: what is wanted, whom it is asked of, and what is remembered of it between runs."""

    wanted: Wanted
    reload: list[str]
    dns: Mapping[str, Any]
    profile: str
    memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, item: Mapping[str, Any], state: Path) -> Certificate:
        given = {name: item[name] for name in ("name", "names", "source", "owner", "group") if name in item}
        wanted = Wanted(**given, mode=key_mode(item.get("mode", "0600")))
        try:
            memory = json.loads((state / f"{item['name']}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            memory = {}
        return cls(wanted, item.get("reload", []), item.get("dns", {}), item.get("profile", ""), memory)


class Renewal:
    """One run over the certificates of a host."""

    def __init__(self, settings: Mapping[str, Any], now: datetime.datetime, state: Path = STATE) -> None:
        self.settings, self.now, self.state = settings, now, state
        self.store = Store(Path(settings["root"]), now, settings["renew_below"], dry=False)
        self.certificates = [Certificate.read(item, state) for item in settings["certificates"]]

    def run(self, only: list[str], at_once: bool) -> list[Result]:
        return [self._tend(one, at_once) for one in self.certificates if not only or one.wanted.name in only]

    def _tend(self, one: Certificate, at_once: bool) -> Result:
        """Renews it when it is due, reloads what has not taken it up yet, and tells how it stands."""
        name, reason, failure = one.wanted.name, None, ""
        try:
            if one.wanted.source != "files" and (reason := self._due(one, at_once)):
                print(f"{name}: {reason}; asking for a new one", flush=True)
                self._renew(one)
                print(f"{name}: renewed", flush=True)
        except Failures as error:
            failure = f"{reason}, and a new one could not be had: {error}" if reason else str(error)
        failure = failure or self._held(one) or self._reload(one)
        self._remember(one)
        if failure:
            print(f"{name}: FAILED: {failure}", flush=True)
        return self._result(one, failure)

    def _due(self, one: Certificate, at_once: bool) -> str | None:
        installed = self.store.installed(one.wanted)
        if one.wanted.source == "internal":
            installed.intermediates, installed.roots = [], [self._internal()]
            reason = x.why_renew(installed, one.wanted.names, self.store.renew_below, self.now)
        else:
            installed.roots = []
            reason = x.why_renew(installed, one.wanted.names, 0, self.now) or self._acme_reason(one, installed.leaf)
            if reason and self._held(one) and not at_once:
                return None
        return reason or ("it is renewed because it was asked for" if at_once else None)

    def _acme_reason(self, one: Certificate, leaf: str) -> str | None:
        parsed = x.parse(leaf)
        if x.issued_by(parsed, x.parse(self._internal())):
            return "the internal authority keeps its place"
        here = [self.settings["acme"]["directory"], one.profile]
        if one.memory.get("from", here) != here:
            return f"it came from {' '.join(one.memory['from'])}".rstrip()
        window = self._acme().window(leaf)
        if window and self.now >= moment_in(window, parsed):
            return f"the authority wants it renewed between {window[0]:%Y-%m-%d %H:%M} and {window[1]:%Y-%m-%d %H:%M}"
        return None

    def _acme(self) -> Any:
        # Only here: hosts without such certificates do not have what it imports.
        from ansible_collections.slipway.ops.plugins.module_utils.certificates.acme import Acme  # noqa: PLC0415

        settings = self.settings["acme"]
        return Acme(settings["directory"], self.state / "accounts", settings["email"], settings["ca"])

    def _internal(self) -> str:
        try:
            return Path(self.settings["authority"]["certificate"]).read_text(encoding="ascii")
        except OSError as error:
            raise AuthorityError(f"the internal authority's certificate is not here ({error}); run site.yml") from error

    def _renew(self, one: Certificate) -> None:
        wanted = one.wanted
        if wanted.source == "internal":
            installed, place = self.store.installed(wanted), self.settings["authority"]
            if x.why_unusable(installed):
                raise AuthorityError("without a usable one this host cannot show who it is; run site.yml")
            line = authority.request(self.store.ask(wanted), installed.leaf, installed.key)
            signed = authority.ask(place["address"], place["port"], line)
        else:
            one.memory["held_until"] = (self.now + _PATIENCE).timestamp()
            try:
                signed = self._acme().obtain(self.store.ask(wanted, common_name=False), _solver(one), one.profile)
            except AcmeError as error:
                one.memory["why"] = str(error)
                if error.limited:
                    one.memory["held_until"] = (self.now + _LIMITED).timestamp()
                raise
            one.memory = {"from": [self.settings["acme"]["directory"], one.profile]}
        one.memory["reload"] = one.reload
        self._remember(one)  # before it is there, so that a killed run reloads once too often and never too rarely
        self.store.now = datetime.datetime.now(datetime.timezone.utc)  # it may be valid from this very second on
        self.store.apply([wanted], self._internal(), {wanted.name: signed})

    def _held(self, one: Certificate) -> str:
        """Why an ACME authority is not asked again yet."""
        until = one.memory.get("held_until", 0)
        if until <= self.now.timestamp():
            return ""
        moment = datetime.datetime.fromtimestamp(until, datetime.timezone.utc)
        return f"{one.memory.get('why', 'the last run was ended')}. It is not tried again before {moment:%H:%M} UTC"

    def _reload(self, one: Certificate) -> str:
        failed = []
        for service in one.memory.pop("reload", []):
            unit = service.removesuffix(".service")
            # A pattern: of one that is not installed nothing is said.
            argv = ["systemctl", "try-reload-or-restart", f"[{unit[0]}]{unit[1:]}.service"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failed.append(service)
                one.memory["reload"] = failed
        return f"it is new, but {', '.join(failed)} could not be reloaded; journalctl -u says why" if failed else ""

    def _remember(self, one: Certificate) -> None:
        replace(self.state / f"{one.wanted.name}.json", json.dumps(one.memory) + "\n", 0o600)

    def _result(self, one: Certificate, failure: str) -> Result:
        """A failure is a warning as long as time is left for others; from a sixth of the lifetime on it is one."""
        wanted, verdict, left, limit = one.wanted, "pass", None, None
        try:
            parsed = x.parse(self.store.installed(wanted).leaf)
            left, alarm = x.days_left(parsed, self.now), round(x.lifetime(parsed) / 6, 2)
            limit = f"> {alarm:g}"
            late = left <= alarm or (wanted.source == "acme" and x.issued_by(parsed, x.parse(self._internal())))
        except Failures:
            late = True
        if failure or late:
            verdict = "fail" if late else "warn"
        return Result(
            id="security.certificate.renewal",
            area="security",
            subject=f"{wanted.name} on {self.settings['host']}",
            claim=f"The certificate {wanted.name} is renewed in time",
            verdict=verdict,  # type: ignore[arg-type]
            measured=left,
            unit="d",
            limit=limit,
            source="slipway-certificates",
            reason=failure or ("it was not renewed in time" if late else None),
        )

    def standing(self) -> list[tuple[str, str, str]]:
        """Name, source and PEM of what is installed."""
        return [
            (one.wanted.name, one.wanted.source, self.store.installed(one.wanted).leaf) for one in self.certificates
        ]


def _solver(one: Certificate) -> Solver:
    if one.dns:
        from ansible_collections.slipway.ops.plugins.module_utils.certificates.rfc2136 import Rfc2136  # noqa: PLC0415

        return Rfc2136(**one.dns)
    return WebRoot(WEBROOT)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="slipway-certificates", description="Renew what is due on this host.")
    parser.add_argument("names", nargs="*", help="certificates; all when none is named")
    parser.add_argument("--now", action="store_true", help="renew even what is not due, whatever failed a moment ago")
    parser.add_argument("--configuration", type=Path, default=CONFIGURATION)
    given = parser.parse_args(argv)
    os.umask(0o022)
    try:
        settings = json.loads(given.configuration.read_text(encoding="utf-8"))
        make_directory(STATE, 0o700)
        with (STATE / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            renewal = Renewal(settings, datetime.datetime.now(datetime.timezone.utc))
            unknown = set(given.names) - {one.wanted.name for one in renewal.certificates}
            if unknown:
                parser.error(f"this host has no certificate {', '.join(sorted(unknown))}")
            results = renewal.run(given.names, given.now)
    except (OSError, ValueError, CertificateError) as error:
        print(f"slipway-certificates: {given.configuration}: {error}. Run site.yml.", file=sys.stderr)
        return 1
    Spool().leave([result.as_dict() for result in results], "certificates")
    metrics.publish(renewal.standing(), results, renewal.now, settings["textfile_directory"])
    return FAILED if any(result.verdict in ("warn", "fail") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
