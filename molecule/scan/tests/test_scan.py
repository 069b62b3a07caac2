"""Auditors' scanners against a real site: what passes, what is found, and what could not be run."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest
from machine import until
from playbook import attempt, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
SITE = "www.example.test:443 on edge1"
WAIVER = {"finding": "cert_revocation", "owner": "ops", "reason": "renewed by the clock", "expires": "2099-12-31"}


def records(host):
    lines = host.check_output("cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return {(one["id"], one["subject"]): one for one in map(json.loads, lines)}


def module(**arguments):
    """What the module says on monitor1, by promise."""
    _, by_host = attempt(INVENTORY, "monitor1", "slipway.ops.scan", arguments)
    return {one["id"].removeprefix("security.scan."): one for one in by_host["monitor1"]["results"]}


MIRROR = "http://monitor1:8097"
# The security tracker's own format: vulnerabilities, packages that have them, and what is built of a source package.
QUIET = {"scan_ports": [8097], "scan_vulnerabilities_url": MIRROR}
KNOWN = """\
VERSION 1
CVE-2011-3374,,It was found that apt-key does not correctly validate gpg keys
CVE-2026-1111,,A made up one in bash that is fixed
CVE-2026-2222,,A made up one in a package that nobody has
CVE-2026-3333,,One that was fixed long ago

apt,0,SL  ,,
bash,1,SHRF,99:1,
nosuchpackage,2,SHRF,99:1,
coreutils,3,SHRF,0.1,

apt,apt
bash,bash
coreutils,coreutils

"""


def mirror(host, text: str) -> None:
    """What the network's mirror of the security tracker has from now on."""
    content = base64.b64encode(zlib.compress(text.encode())).decode()
    host.check_output(f"mkdir -p /srv/tracker && echo {content} | base64 -d > /srv/tracker/trixie")


@pytest.fixture(scope="module")
def scanned(host):
    mirror(host, KNOWN)
    host.check_output("systemd-run --unit=tracker python3 -m http.server --directory /srv/tracker 8097")
    assert until(lambda: host.run("curl -fso /dev/null http://127.0.0.1:8097/trixie").rc == 0)
    return play("scan", INVENTORY, timeout=1800, scan_waivers=[WAIVER], scan_limits={"index": 50}, **QUIET)


def test_the_site_passes_and_the_raw_output_is_kept(host, scanned):
    found = records(host)
    grade, score = found["security.scan.testssl.grade", SITE], found["security.scan.testssl.score", SITE]
    assert (grade["verdict"], grade["measured"]) == ("pass", "A+")
    assert score["verdict"] == "pass" and score["measured"] >= 96
    findings = found["security.scan.testssl.findings", SITE]
    assert findings["verdict"] == "warn" and "let pass: cert_revocation (until 2099-12-31, ops: " in findings["reason"]
    protocols = found["security.scan.sslscan.protocols", SITE]
    assert (protocols["verdict"], protocols["measured"]) == ("pass", 0)
    for record, word in ((grade, "overall_grade"), (protocols, "<ssltest")):
        (path,) = record["artifacts"]
        assert word in host.check_output(f"cat /var/lib/slipway/evidence/{path}")


def test_every_host_is_scanned(host, scanned):
    found = records(host)
    for name in ("monitor1", "edge1"):
        assert found["security.scan.nmap.ports", name]["verdict"] == "pass"
        assert found["security.scan.lynis.index", name]["measured"] > 0
    assert "Traceback" not in scanned.output


def test_what_is_vulnerable_now_is_told_for_each_host(host, scanned):
    found = records(host)
    for name in ("monitor1", "edge1"):
        record = found["security.scan.debsecan.packages", name]
        assert (record["verdict"], record["measured"]) == ("fail", 1)
        assert "CVE-2026-1111: remotely exploitable, high urgency, in bash" in record["reason"]
        assert "CVE-2026-2222" not in record["reason"] and "CVE-2026-3333" not in record["reason"]
        (path,) = record["artifacts"]
        assert "CVE-2011-3374 apt (low urgency)" in host.check_output(f"cat /var/lib/slipway/evidence/{path}")


@pytest.fixture
def without_lynis(host):
    """It takes most of the time, and says nothing of packages."""
    host.check_output("mv /usr/sbin/lynis /usr/sbin/lynis.away")
    yield
    host.check_output("mv /usr/sbin/lynis.away /usr/sbin/lynis")


def vulnerable():
    return module(system="monitor1", vulnerabilities=MIRROR)["debsecan.packages"]


def test_a_host_that_is_up_to_date_passes_and_data_that_says_nothing_never_does(host, scanned, without_lynis):
    mirror(host, KNOWN.replace("bash,1,SHRF,99:1,", "bash,1,SHRF,0.1,"))
    assert vulnerable()["verdict"] == "pass"
    mirror(host, "VERSION 1\n\n\n")
    empty = vulnerable()
    assert empty["verdict"] == "unknown" and "knows nothing at all of this host" in empty["reason"]
    mirror(host, KNOWN)
    host.check_output("touch -d '30 days ago' /srv/tracker/trixie")
    old = vulnerable()
    assert old["verdict"] == "unknown" and "30 days old" in old["reason"]
    host.check_output("rm /srv/tracker/trixie")
    gone = vulnerable()
    assert gone["verdict"] == "unknown" and "http://monitor1:8097/trixie could not be read: HTTP 404" in gone["reason"]
    mirror(host, KNOWN)


def test_debsecan_mails_nobody_by_itself(host, scanned):
    assert "REPORT=false" in host.file("/etc/default/debsecan").content_string


def test_a_port_that_no_card_has_is_found(host, scanned):
    assert module(ports=[{"name": "edge1", "host": "edge1", "known": [80, 443]}])["nmap.ports"]["verdict"] == "pass"
    ports = module(ports=[{"name": "edge1", "host": "edge1", "known": [80]}])["nmap.ports"]
    assert ports["verdict"] == "fail" and "443/tcp: open, and no role's card has it, usually https" in ports["reason"]


def test_where_nobody_answers_is_unknown(scanned):
    said = module(tls=[{"name": "www.example.test", "host": "edge1", "port": 449}])
    assert {one["verdict"] for one in said.values()} == {"unknown"}
    assert "Can't connect to" in said["testssl.grade"]["reason"]


def test_scanners_that_are_missing_fail_the_run_at_once(host, scanned):
    there = {
        name: host.check_output(f"command -v {name}") for name in ("sslscan", "testssl", "nmap", "lynis", "debsecan")
    }
    for path in there.values():
        host.check_output(f"mv {path} {path}.away")
    try:
        run = play("scan", INVENTORY, "--limit", "monitor1", scan_install=False, **QUIET)
    finally:
        for path in there.values():
            host.check_output(f"mv {path}.away {path}")
    assert run.code != 0 and "lynis is not installed on the host that scans" in run.said
    found = records(host)
    assert found["security.scan.lynis.index", "monitor1"]["verdict"] == "unknown"
    assert found["security.scan.nmap.ports", "monitor1"]["verdict"] == "unknown"


def test_what_is_new_since_the_last_scan_is_told_with_its_owner(host, scanned):
    """What could not be looked at in between is not new; a door that was opened is."""
    assert records(host)["security.scan.new", "monitor1"]["verdict"] == "pass"
    host.check_output("mv /usr/sbin/lynis /usr/sbin/lynis.away")
    host.check_output("systemd-run --unit=door python3 -m http.server 8099")
    owners = [{"owner": "platform team", "finding": "80*"}]
    try:
        run = play("scan", INVENTORY, "--limit", "monitor1", scan_install=False, scan_owners=owners, **QUIET)
    finally:
        host.check_output("systemctl stop door; mv /usr/sbin/lynis.away /usr/sbin/lynis")
    new = records(host)["security.scan.new", "monitor1"]
    assert (new["verdict"], new["measured"]) == ("warn", 1) and "monitor1: 8099/tcp (platform team)" in new["reason"]
    assert run.code != 0 and "8099/tcp: open, and no role's card has it" in run.said


def test_a_waiver_without_an_end_is_refused_before_anything_runs():
    run = play("scan", INVENTORY, scan_waivers=[{"finding": "x", "owner": "ops", "reason": "so"}])
    assert run.code != 0 and "expires" in run.said
