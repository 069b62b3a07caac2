# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the scanners and holds what they say to limits: a result for each promise, with the raw output beside it.

What could not be run, did not end or cannot be read is ``unknown``, with the reason; it never passes.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.run import NOT_FOUND, run
from ansible_collections.slipway.ops.plugins.module_utils.scan import debsecan, lynis, nmap, sslscan, sslyze, testssl
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import (
    Finding,
    NotApplicable,
    Owner,
    ScanError,
    Waiver,
    owner_of,
    weighed,
)
from ansible_collections.slipway.ops.plugins.module_utils.scan.programs import ABSENT

LIMITS: Mapping[str, Any] = {
    "grade": "A+",
    "score": 96,
    "protocols": ["TLSv1.2", "TLSv1.3"],
    "index": 80,
    "vulnerable": 0,
    "data_days": 7,
    "critical": 0,
    "high": 5,
}
PRINTING = ("debsecan",)
NAMED = 10  # vulnerabilities, the worst, that a record names; all of them are in its artifact
PROBE = "probe."  # begins the names of what is asked by a request and not by a scanner
GRADES = ("T", "M", "F", "E", "D", "C", "B", "A-", "A", "A+")  # from the worst
_VULNERABILITY = re.compile(r"(CVE|TEMP|DSA|DLA|GHSA)-")
_PREFIXES = (sslyze.PREFIX, PROBE)
_INSTALL = "scan_install has it installed"
_CLAIMS = {
    "testssl.grade": "testssl.sh gives {subject} the grade {grade} or better",
    "testssl.score": "testssl.sh gives {subject} a score of {score} or more",
    "testssl.findings": "testssl.sh finds nothing of high severity on {subject}",
    "sslscan.protocols": "{subject} speaks {protocols} only",
    "nmap.ports": "No port of {subject} is open that no role's card has",
    "lynis.index": "Lynis gives {subject} a hardening index of {index} or more",
    "lynis.warnings": "Lynis has no warning for {subject}",
    "debsecan.packages": "At most {vulnerable} packages of {subject} have a vulnerability that is known and fixed",
    "gixy.findings": "gixy finds nothing wrong with the configuration of {subject}",
    "sslyze.intermediate": "{subject} is as Mozilla's intermediate configuration has it",
    "sslyze.certificate": "The certificate of {subject} is one that clients trust",
    "gitleaks.secrets": "No secret is in plain text in the {subject}",
    "image.critical": "At most {critical} critical vulnerabilities are in the live image of {subject}",
    "image.high": "At most {high} vulnerabilities of high severity are in the live image of {subject}",
    "probe.hidden": "{subject} shows nobody a hidden file",
    "probe.server": "{subject} tells nobody what version of what it runs",
    "probe.trace": "{subject} does not answer TRACE",
    "probe.headers": "{subject} sends security headers, with errors too",
    "new": "The scanners on {subject} find nothing that they did not find before",
}


def limit_problems(given: Mapping[str, Any]) -> list[str]:
    """What a scan could not hold its findings against, found before it runs: one that fails has measured nothing."""
    problems = []
    for name, value in given.items():
        if name == "grade" and value not in GRADES:
            problems.append(f"grade is {value!r}, and testssl.sh has {', '.join(reversed(GRADES))}")
        elif name == "protocols" and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            problems.append(f"protocols is {value!r}, and no list such as {LIMITS['protocols']}")
        elif name not in ("grade", "protocols") and not _is_number(value):
            problems.append(f"{name} is {value!r}, and no number")
    return problems


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) == int(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


@dataclass
class Scanned:
    """Results, and raw output by the name that they call it."""

    results: list[Result] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a scanner's output is worth for one promise."""

    verdict: Verdict
    reason: str
    measured: int | str | None = None
    limit: str | None = None


@dataclass(frozen=True)
class Program:
    """A scanner: where it is, if not where its name leads; who runs it; and what of its report may be kept."""

    tool: str
    place: str = ""
    user: str = "root"
    keep: Callable[[str], str] = str


Judge = Callable[[str], "list[Said]"]


class Scan:
    """Scans of one run, with its limits and waivers."""

    def __init__(
        self,
        limits: Mapping[str, Any],
        waivers: Iterable[Waiver],
        timeout: float,
        owners: Iterable[Owner] = (),
    ) -> None:
        self.limits = {**LIMITS, **limits}
        self.waivers, self.timeout, self.owners = list(waivers), timeout, list(owners)
        self.scanned = Scanned()
        self._found: dict[str, tuple[Finding, str]] = {}
        self._began, self._clock, self._artifact, self._source = timestamp(), time.monotonic(), "", ""
        self._printed = ""

    def tls(self, name: str, host: str, port: int, authority: str, on: str = "") -> None:
        """Both TLS scanners look at an endpoint: ``host`` is where, ``name`` what is asked for, ``on`` whose it is."""
        subject = f"{name}:{port} on {on or host}"
        output = self._run(
            Program("testssl"), subject, "json", lambda at, to: testssl.argv(name, at, port, authority, to), host
        )
        self._judge(
            subject, ["testssl.grade", "testssl.score", "testssl.findings"], output, partial(self._graded, subject)
        )
        output = self._run(Program("sslscan"), subject, "xml", lambda at, to: sslscan.argv(name, at, port, to), host)
        self._judge(subject, ["sslscan.protocols"], output, self._spoken)

    def ports(self, subject: str, host: str, known: Sequence[int]) -> None:
        """Every TCP port of a host is tried, from here."""
        output = self._run(Program("nmap"), subject, "xml", nmap.argv, host)
        self._judge(subject, ["nmap.ports"], output, lambda text: [self._counted(subject, nmap.read(text, known))])

    def system(self, subject: str) -> None:
        """The host that this runs on is audited."""
        output = self._run(Program("lynis"), subject, "dat", lambda _, to: lynis.argv(to), "")
        self._judge(subject, ["lynis.index", "lynis.warnings"], output, partial(self._audited, subject))

    def vulnerabilities(self, subject: str, source: str) -> None:
        """What is installed on the host that this runs on is compared with what the security tracker knows."""
        self._begin("debsecan")
        day = ""
        with tempfile.TemporaryDirectory(prefix="scan-") as place:
            try:
                suite = debsecan.suite()
                data = debsecan.fetch(source, suite, min(self.timeout, 60), float(self.limits["data_days"]))
                Path(place, suite).write_bytes(data.content)
                day = data.day
            except ScanError as error:
                output: str | ScanError = error
            except OSError as error:
                output = ScanError(str(error))
            else:
                output = self._run(Program("debsecan"), subject, "txt", lambda _, to: debsecan.argv(place, suite), "")
        self._source = f"scan/debsecan, data of {day}" if day else "scan/debsecan"
        self._judge(subject, ["debsecan.packages"], output, partial(self._known, subject))

    def news(self, subject: str, before: Iterable[str] | None) -> None:
        """What was not found by the scan before, kept for the next one; None where there was none."""
        self._began, self._clock, self._source = timestamp(), time.monotonic(), "scan"
        unknown = [result for result in self.scanned.results if result.verdict == "unknown"]
        kept = {key for key in before or () if any(_unseen(key, result) for result in unknown)}
        fresh = sorted(self._found.keys() - set(before)) if before is not None else []
        told = [f"{key} ({owner_of(*self._found[key], self.owners)})" for key in fresh]
        self._artifact = f"findings-{re.sub(r'[^A-Za-z0-9.-]+', '-', subject)}.json"
        self.scanned.artifacts[self._artifact] = json.dumps(sorted(self._found.keys() | kept), indent=1) + "\n"
        self._result("new", subject, Said("warn" if fresh else "pass", "; ".join(told), len(fresh), "= 0"))

    def _begin(self, tool: str) -> None:
        self._began, self._clock = timestamp(), time.monotonic()
        self._artifact, self._source = "", f"scan/{tool}"

    def _run(self, program: Program, subject: str, ending: str, argv: Any, host: str) -> str | ScanError:
        """What the tool leaves in its file, or prints, where that is its way; then it may be nothing."""
        self._begin(program.tool)
        try:
            return self._left(program, subject, ending, argv, host)
        except ScanError as error:
            return error

    def _left(self, program: Program, subject: str, ending: str, argv: Any, host: str) -> str:
        tool = program.tool
        address = address_of(host) if host else ""
        with tempfile.TemporaryDirectory(prefix="scan-") as place:
            path = Path(place, f"{tool}.{ending}")
            hand_to(program.user, Path(place))
            words = [program.place or tool if word == tool else word for word in argv(address, str(path))]
            try:
                ended = run(words, program.user, self.timeout)
            except OSError as error:
                raise ScanError(f"{words[0]} could not be started as {program.user}: {error.strerror}") from error
            text = program.keep(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""
        if ended.code == NOT_FOUND:
            raise ScanError(ABSENT.get(tool) or f"{tool} is not installed on the host that scans; {_INSTALL}")
        self._printed = ended.output
        printed = tool in PRINTING and not ended.code and not ended.errors
        text = ended.output if printed else text
        raw = text or ended.output + ended.errors
        if raw.strip():
            self._keep(tool, subject, ending if text else "txt", raw)
        if ended.code == 124 and ended.errors.startswith("ERROR: "):
            raise ScanError(f"{tool} did not end within {self.timeout:g} s (scan_timeout)")
        if text or printed:
            return text
        last = (ended.errors.strip() or ended.output.strip() or "nothing").splitlines()[-1]
        raise ScanError(f"{tool} ended with status {ended.code} and left no report; it says: {last}")

    def _keep(self, tool: str, subject: str, ending: str, raw: str) -> None:
        self._artifact = f"{tool}-{re.sub(r'[^A-Za-z0-9.-]+', '-', subject)}.{ending}"
        self.scanned.artifacts[self._artifact] = raw

    def _judge(self, subject: str, names: list[str], output: str | ScanError, judge: Judge) -> None:
        try:
            if isinstance(output, ScanError):
                raise output
            said = judge(output)
        except ScanError as error:
            said = [Said("skip" if isinstance(error, NotApplicable) else "unknown", str(error)) for _ in names]
        for name, one in zip(names, said, strict=True):
            self._result(name, subject, one)

    def _graded(self, subject: str, text: str) -> list[Said]:
        graded = testssl.read(text)
        wanted, score = self.limits["grade"], int(self.limits["score"])
        if graded.grade not in GRADES:
            raise ScanError(f"testssl gave the grade {graded.grade}, which is none")
        return [
            _said(GRADES.index(graded.grade) >= GRADES.index(wanted), graded.grade, f">= {wanted}"),
            _said(graded.score >= score, graded.score, f">= {score}"),
            self._counted(subject, graded.findings),
        ]

    def _spoken(self, text: str) -> list[Said]:
        enabled, wanted = sslscan.read(text), self.limits["protocols"]
        others = [one for one in enabled if one not in wanted]
        return [_said(not others, len(others), "= 0", f"it still speaks {', '.join(others)}")]

    def _audited(self, subject: str, text: str) -> list[Said]:
        audited, wanted = lynis.read(text), int(self.limits["index"])
        self._source = f"scan/lynis {audited.version}".strip()
        return [
            _said(audited.index >= wanted, audited.index, f">= {wanted}"),
            self._counted(subject, audited.findings),
        ]

    def _known(self, subject: str, text: str) -> list[Said]:
        """Packages count, not vulnerabilities: one update of a kernel may end a hundred of them."""
        known, limit = debsecan.read(text), int(self.limits["vulnerable"])
        counts, passed = self._weighed(subject, debsecan.findings(known))
        counted = {one.partition(": ")[0] for one in counts}
        packages = {one.package for one in known if one.id in counted}
        return [named(counts, passed, len(packages), limit)]

    def _counted(self, subject: str, findings: list[Finding]) -> Said:
        counts, passed = self._weighed(subject, findings)
        return Said("fail" if counts else "warn" if passed else "pass", _reason(counts, passed), len(counts), "= 0")

    def _weighed(self, subject: str, findings: list[Finding]) -> tuple[list[str], list[str]]:
        self._found |= {f"{subject}: {finding.id}": (finding, subject) for finding in findings}
        return weighed(findings, self.waivers, subject, datetime.date.today(), self.owners)

    def _result(self, name: str, subject: str, said: Said) -> None:
        words = {**self.limits, "protocols": ", ".join(self.limits["protocols"])}
        self.scanned.results.append(
            Result(
                id=f"security.{name}" if name.startswith(PROBE) else f"security.scan.{name}",
                area="security",
                subject=subject,
                claim=_CLAIMS[name].format(subject=subject, **words),
                verdict=said.verdict,
                measured=said.measured,
                limit=said.limit,
                at=self._began,
                took=round(time.monotonic() - self._clock, 1),
                source=self._source,
                reason=None if said.verdict == "pass" else said.reason,
                artifacts=[self._artifact] if self._artifact else [],
            )
        )


def _said(good: bool, measured: int | str, limit: str, reason: str = "") -> Said:
    return Said("pass" if good else "fail", reason or f"it is {measured}", measured, limit)


def named(counts: list[str], passed: list[str], measured: int, limit: int) -> Said:
    """At most so many; the first are named."""
    more = [f"{len(counts) - NAMED} more"] if len(counts) > NAMED else []
    verdict: Verdict = "fail" if measured > limit else "warn" if passed else "pass"
    return Said(verdict, _reason([*counts[:NAMED], *more], passed), measured, f"<= {limit}")


def _reason(counts: list[str], passed: list[str]) -> str:
    waived = f"let pass: {'; '.join(passed)}" if passed else ""
    return ". ".join(filter(None, ["; ".join(counts), waived]))


def _unseen(key: str, result: Result) -> bool:
    """Whether a finding of the scan before is one that this result would have told, had it not been unknown."""
    subject = f"{result.subject}: "
    return key.startswith(subject) and _kind(key.removeprefix(subject)) == _kind_of(result.id)


def _kind(finding: str) -> str:
    """Scanners of one subject are told apart by how their findings are called."""
    if _VULNERABILITY.match(finding):
        return "vulnerability"
    return next((prefix for prefix in _PREFIXES if finding.startswith(prefix)), "")


def _kind_of(id: str) -> str:
    if "debsecan" in id or ".image." in id:
        return "vulnerability"
    return next((prefix for prefix in _PREFIXES if f".{prefix}" in id), "")


def address_of(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)[0][4][0])
    except OSError as error:
        raise ScanError(f"{host} has no address here ({error.strerror or error})") from error


def hand_to(user: str, *paths: Path) -> None:
    """So that a program of this user reads and writes there; a caller that is not root is the user itself."""
    if os.geteuid() == 0 and user != "root":
        for path in paths:
            shutil.chown(path, user)
