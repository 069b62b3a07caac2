"""What is read of scanners' recorded output, and what it is worth: limits, waivers, unknown for what was not run."""

from __future__ import annotations

import datetime
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended
from ansible_collections.slipway.ops.plugins.module_utils.scan import debsecan, lynis, nmap, scanner, sslscan, testssl
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import (
    Finding,
    Owner,
    ScanError,
    Waiver,
    WaiverError,
    weighed,
)
from ansible_collections.slipway.ops.plugins.module_utils.scan.scanner import Scan

RECORDED = Path(__file__).parent / "recorded"
TODAY = datetime.date(2026, 11, 29)
PASSED = {"finding": "cert_revocation", "owner": "ops", "reason": "short lives", "expires": "2099-01-31"}


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def test_the_grade_the_score_and_what_is_wrong_are_read():
    graded = testssl.read(recorded("testssl-3.2.1.json"))
    assert (graded.grade, graded.score) == ("A+", 96)
    assert graded.findings == [Finding("cert_revocation", "high, Neither CRL nor OCSP URI provided")]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"grade": "a+"}, "grade is 'a+', and testssl.sh has A+, A"),
        ({"grade": ["A"]}, "grade is ['A']"),
        ({"score": "much"}, "score is 'much', and no number"),
        ({"index": None}, "index is None, and no number"),
        ({"protocols": "TLSv1.3"}, "protocols is 'TLSv1.3', and no list"),
    ],
)
def test_a_limit_that_nothing_can_be_held_against_is_found_before_the_scan(limits: dict[str, Any], said: str):
    (problem,) = scanner.limit_problems(limits)
    assert said in problem


def test_limits_as_inventories_write_them_are_none():
    assert scanner.limit_problems({**scanner.LIMITS, "score": "96", "data_days": 7.0}) == []


def test_a_protocol_that_is_off_is_not_read_as_on():
    assert sslscan.read(recorded("sslscan-2.1.5.xml")) == ["TLSv1.2", "TLSv1.3"]
    assert sslscan.read(recorded("sslscan-2.1.5-old.xml")) == ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]


def test_open_ports_that_no_card_has_are_found():
    findings = nmap.read(recorded("nmap-7.95.xml"), [443])
    assert findings == [Finding("444/tcp", "open, and no role's card has it, usually snpp")]
    assert nmap.read(recorded("nmap-7.95.xml"), [443, 444]) == []


def test_an_index_and_warnings_are_read():
    audited = lynis.read(recorded("lynis-3.1.4.dat"))
    assert (audited.version, audited.index) == ("3.1.4", 58)
    assert [finding.id for finding in audited.findings] == ["NETW-2705", "LOGG-2138"]


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (testssl.read, recorded("testssl-3.2.1-refused.json"), "testssl gave no grade; it says: Can't connect to"),
        (testssl.read, "[", "no JSON that can be read"),
        (testssl.read, "[]", "testssl gave no grade"),
        (sslscan.read, recorded("sslscan-2.1.5-refused.xml"), "nobody answered it"),
        (sslscan.read, recorded("sslscan-2.1.5.xml").replace('enabled="1"', 'enabled="0"'), "speaks no TLS"),
        (sslscan.read, "", "no XML that can be read"),
        (lambda text: nmap.read(text, []), "<nmaprun/>", "nmap did not finish: no end"),
        (lambda text: nmap.read(text, []), recorded("nmap-7.95.xml")[:900], "no XML that can be read"),
        (lambda text: nmap.read(text, []), recorded("nmap-7.95-nobody.xml"), "nmap found no host to ask"),
        (lynis.read, "lynis_version=3.1.4\n", "no hardening index"),
    ],
)
def test_what_says_nothing_is_no_pass(read, text, reason):
    with pytest.raises(ScanError, match=reason):
        read(text)


def test_a_waiver_lets_pass_until_its_last_day_and_only_its_own():
    findings = [Finding("cert_revocation", "high, none")]
    waiver = Waiver.read(PASSED | {"expires": "2026-11-29", "subject": "www.*"})
    assert weighed(findings, [waiver], "www.x:443 on edge1", TODAY)[0] == []
    assert weighed(findings, [waiver], "api.x:443 on edge1", TODAY)[0] == ["cert_revocation: high, none (nobody's)"]
    assert weighed([Finding("BREACH", "high")], [waiver], "www.x:443 on edge1", TODAY)[0] == ["BREACH: high (nobody's)"]
    (ended,), _ = weighed(findings, [waiver], "www.x:443 on edge1", TODAY + datetime.timedelta(days=1))
    assert ended.endswith("the waiver of ops ended 2026-11-29")


def test_the_first_owner_that_fits_stands_beside_a_finding():
    owners = [Owner.read({"owner": "web", "subject": "www.*"}), Owner.read({"owner": "ops", "finding": "8080/*"})]
    assert weighed([Finding("BREACH", "high")], [], "www.x:443", TODAY, owners)[0] == ["BREACH: high (web)"]
    assert weighed([Finding("8080/tcp", "open")], [], "db1", TODAY, owners)[0] == ["8080/tcp: open (ops)"]
    assert weighed([Finding("22/tcp", "open")], [], "db1", TODAY, owners)[0] == ["22/tcp: open (nobody's)"]
    with pytest.raises(WaiverError, match="the owner of BREACH has no name"):
        Owner.read({"finding": "BREACH"})


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"finding": "BREACH", "reason": "so", "expires": "2027-01-01"}, "the waiver of BREACH lacks owner"),
        (PASSED | {"expires": "next year"}, "the waiver of cert_revocation expires next year"),
    ],
)
def test_a_waiver_without_an_owner_or_an_end_is_refused(entry, problem):
    with pytest.raises(WaiverError, match=problem):
        Waiver.read(entry)


@pytest.fixture
def scan(monkeypatch):
    """A scan whose programs leave what is given, by program; without it they end as given."""

    def make(leaves: dict[str, str | Ended], **limits) -> Scan:
        def run(argv, user, timeout):
            left = leaves.get(argv[0], Ended(127, "", f"ERROR: {argv[0]} is not installed on this host"))
            if isinstance(left, Ended):
                return left
            place = next(word.partition("=")[2] or word for word in argv if "/scan-" in word)
            Path(place).write_text(left, encoding="utf-8")
            return Ended(50, "", "")

        monkeypatch.setattr(scanner, "run", run)
        return Scan(limits, [Waiver.read(PASSED)], 60)

    return make


def verdicts(scan: Scan) -> dict[str, str]:
    return {result.id.removeprefix("security.scan."): result.verdict for result in scan.scanned.results}


def test_a_good_endpoint_passes_and_evidence_takes_it(scan):
    made = scan({"testssl": recorded("testssl-3.2.1.json"), "sslscan": recorded("sslscan-2.1.5.xml")})
    made.tls("www.example.test", "127.0.0.1", 443, "/ca.pem")
    assert verdicts(made) == {
        "testssl.grade": "pass",
        "testssl.score": "pass",
        "testssl.findings": "warn",
        "sslscan.protocols": "pass",
    }
    assert {name for result in made.scanned.results for name in result.artifacts} == set(made.scanned.artifacts)
    assert made.scanned.artifacts["testssl-www.example.test-443-on-127.0.0.1.json"] == recorded("testssl-3.2.1.json")
    for result in made.scanned.results:
        validated(result.as_dict() | {"artifacts": []}, "run")


def test_limits_are_held(scan):
    made = scan(
        {"testssl": recorded("testssl-3.2.1.json").replace('"A+"', '"A"'), "sslscan": recorded("sslscan-2.1.5.xml")},
        score=97,
        protocols=["TLSv1.3"],
    )
    made.tls("www.example.test", "127.0.0.1", 443, "")
    assert verdicts(made) | {"testssl.findings": ""} == {
        "testssl.grade": "fail",
        "testssl.score": "fail",
        "testssl.findings": "",
        "sslscan.protocols": "fail",
    }
    assert [result.reason for result in made.scanned.results][-1] == "it still speaks TLSv1.2"


def test_what_could_not_run_is_unknown_with_its_reason(scan):
    made = scan(
        {"sslscan": Ended(1, "", "no such option\n"), "nmap": Ended(124, "", "ERROR: nmap did not end within 60 s")}
    )
    made.tls("www.example.test", "127.0.0.1", 443, "")
    made.ports("db1", "127.0.0.1", [])
    made.system("edge1")
    made.ports("lost", "no-such-host.invalid", [])
    assert set(verdicts(made).values()) == {"unknown"} and len(made.scanned.results) == 8
    reasons = {result.id.split(".")[2] + result.subject[:4]: result.reason for result in made.scanned.results}
    assert reasons["testsslwww."] == "testssl is not installed on the host that scans; scan_install has it installed"
    assert "ended with status 1 and left no report; it says: no such option" in reasons["sslscanwww."]
    assert reasons["nmapdb1"] == "nmap did not end within 60 s (scan_timeout)"
    assert "no-such-host.invalid has no address here" in reasons["nmaplost"]


def news(scan: Scan, before: list[str] | None) -> tuple[Any, list[str]]:
    """What is told as new, and what the next scan is told."""
    scan.news("edge1", before)
    result = scan.scanned.results[-1]
    return result, json.loads(scan.scanned.artifacts[result.artifacts[0]])


def test_what_is_new_since_the_last_time_is_told_and_the_rest_is_not(scan):
    def made() -> Scan:
        one = scan({"nmap": recorded("nmap-7.95.xml")})
        one.ports("edge1", "127.0.0.1", [])
        return one

    result, first = news(made(), None)
    assert (result.verdict, first) == (
        "pass",
        ["edge1: 443/tcp", "edge1: 444/tcp"],
    )  # there was nothing to compare with
    result, _ = news(made(), first)
    assert (result.verdict, result.measured) == ("pass", 0)
    result, _ = news(made(), ["edge1: 443/tcp", "edge1: 80/tcp"])
    assert (result.verdict, result.measured) == ("warn", 1)
    assert result.reason == "edge1: 444/tcp (nobody's)"


def test_what_could_not_be_looked_at_again_is_not_new_the_next_time(scan):
    made = scan({})
    made.ports("edge1", "127.0.0.1", [])
    result, told = news(made, ["edge1: 444/tcp", "db1: 22/tcp"])
    assert (result.verdict, told) == ("pass", ["edge1: 444/tcp"])


SUMMARY = """\
CVE-2011-3374 apt (low urgency)
CVE-2026-1111 openssl (fixed, remotely exploitable, medium urgency)
CVE-2026-1111 libssl3t64 (fixed, remotely exploitable, medium urgency)
CVE-2026-2222 sudo (fixed, high urgency)
CVE-2026-3333 linux-image-6.12.1-amd64 (fixed, high urgency, obsolete)
TEMP-0841856-B18BAF bash
CVE-2026-4444 vim (fixed)
"""
PACKAGES = "debsecan.packages"


def tracker(directory: Path, text: str = "VERSION 1\n\n\n", days: float = 0) -> str:
    """A mirror of the tracker's data for this release, so many days old."""
    file = directory / debsecan.suite()
    file.write_bytes(zlib.compress(text.encode()))
    os.utime(file, times=(time.time() - days * 86400,) * 2)
    return directory.as_uri()


@pytest.fixture
def release(monkeypatch, tmp_path):
    """The host is a Debian 13."""
    file = tmp_path / "os-release"
    file.write_text('ID=debian\nVERSION_CODENAME="trixie"\n')
    monkeypatch.setattr(debsecan, "OS_RELEASE", file)
    return file


def test_what_has_a_fix_is_told_the_worst_first():
    known = debsecan.read(SUMMARY)
    assert [finding.id for finding in debsecan.findings(known)] == [
        "CVE-2026-2222",
        "CVE-2026-3333",
        "CVE-2026-1111",
        "CVE-2026-4444",
    ]
    assert debsecan.findings(known)[2].text == "remotely exploitable, medium urgency, in libssl3t64 openssl"


def test_packages_are_counted_against_the_limit_and_the_worst_are_named(scan, release, tmp_path):
    made = scan({"debsecan": Ended(0, SUMMARY, "")})
    made.vulnerabilities("edge1", tracker(tmp_path))
    (result,) = made.scanned.results
    assert (result.verdict, result.measured, result.limit) == ("fail", 5, "<= 0")
    assert result.reason.startswith("CVE-2026-2222: high urgency, in sudo (nobody's); CVE-2026-3333: ")
    assert "apt" not in result.reason
    assert made.scanned.artifacts[result.artifacts[0]] == SUMMARY
    validated(result.as_dict() | {"artifacts": []}, "run")
    made = scan({"debsecan": Ended(0, SUMMARY, "")}, vulnerable=5)
    made.vulnerabilities("edge1", tracker(tmp_path))
    assert verdicts(made) == {PACKAGES: "pass"}


def test_a_vulnerability_that_is_let_pass_does_not_count(scan, release, tmp_path):
    made = scan({"debsecan": Ended(0, SUMMARY, "")})
    made.waivers = [Waiver.read(PASSED | {"finding": f"CVE-2026-{number}"}) for number in (1111, 2222, 3333)]
    made.vulnerabilities("edge1", tracker(tmp_path))
    (result,) = made.scanned.results
    assert (result.verdict, result.measured) == ("fail", 1) and result.reason.startswith("CVE-2026-4444: in vim")


def test_a_host_without_one_that_has_a_fix_passes(scan, release, tmp_path):
    made = scan({"debsecan": Ended(0, "CVE-2011-3374 apt (low urgency)\n", "")})
    made.vulnerabilities("edge1", tracker(tmp_path))
    assert verdicts(made) == {PACKAGES: "pass"} and made.scanned.results[0].measured == 0


def test_many_are_named_by_their_number(scan, release, tmp_path):
    text = "".join(f"CVE-2026-{number} linux-image (fixed)\n" for number in range(1000, 1025))
    made = scan({"debsecan": Ended(0, text, "")})
    made.vulnerabilities("edge1", tracker(tmp_path))
    (result,) = made.scanned.results
    assert result.measured == 1 and result.reason.count("CVE-") == scanner.NAMED and "; 15 more" in result.reason


@pytest.mark.parametrize(
    ("leaves", "days", "reason"),
    [
        ({}, 0, "debsecan is not installed on the host that scans"),
        ({"debsecan": Ended(0, "", "")}, 0, "knows nothing at all of this host"),
        ({"debsecan": Ended(0, SUMMARY, "error: invalid version 1:x of package y")}, 0, "invalid version 1:x"),
        ({"debsecan": Ended(1, SUMMARY, "Traceback")}, 0, "ended with status 1"),
        ({"debsecan": Ended(0, "Hello there, you\n", "")}, 0, "no line of its summary"),
        ({"debsecan": Ended(0, SUMMARY, "")}, 8, "is 8 days old"),
    ],
)
def test_what_debsecan_cannot_tell_is_unknown(scan, release, tmp_path, leaves, days, reason):
    made = scan(leaves)
    made.vulnerabilities("edge1", tracker(tmp_path, days=days))
    (result,) = made.scanned.results
    assert result.verdict == "unknown" and reason in result.reason and result.measured is None


def test_data_that_is_not_there_or_none_is_unknown(scan, release, tmp_path):
    made = scan({"debsecan": Ended(0, SUMMARY, "")})
    made.vulnerabilities("edge1", (tmp_path / "nowhere").as_uri())
    (tmp_path / "trixie").write_text("<html>Sign in to the network</html>")
    made.vulnerabilities("edge1", tmp_path.as_uri())
    made.vulnerabilities("edge1", tracker(tmp_path, "VERSION 2\n"))
    made.vulnerabilities("edge1", "mirror.example.test/debsecan")
    release.write_text("ID=debian\n")
    made.vulnerabilities("edge1", tmp_path.as_uri())
    assert [result.verdict for result in made.scanned.results] == ["unknown"] * 5
    reasons = [result.reason for result in made.scanned.results]
    assert "scan_vulnerabilities_url names a mirror" in reasons[0]
    assert "begins with VERSION 1" in reasons[1] and "begins with VERSION 1" in reasons[2]
    assert "mirror.example.test" in reasons[3] and "names no release" in reasons[4]


def test_of_another_distribution_it_has_nothing_to_say(scan, release, tmp_path):
    """System A has Ubuntu: a tracker that does not know it is no reason against going live."""
    release.write_text('ID=ubuntu\nVERSION_CODENAME="noble"\n')
    made = scan({"debsecan": Ended(0, SUMMARY, "")})
    made.vulnerabilities("edge1", tmp_path.as_uri())
    (result,) = made.scanned.results
    assert result.verdict == "skip" and "this is ubuntu" in result.reason
    validated(result.as_dict() | {"artifacts": []}, "run")


def test_data_that_cannot_be_had_hides_no_news_of_other_scanners(scan, release, tmp_path):
    """A host that never reaches the data is told what Lynis finds again all the same."""
    made = scan({"lynis": recorded("lynis-3.1.4.dat")})
    made.system("edge1")
    made.vulnerabilities("edge1", tmp_path.as_uri())
    _, told = news(made, ["edge1: CVE-2026-1", "edge1: FIRE-4512"])
    assert told == ["edge1: CVE-2026-1", "edge1: LOGG-2138", "edge1: NETW-2705"]
