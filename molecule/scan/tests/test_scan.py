"""Auditors' scanners against a real site: what passes, what is found, and what could not be run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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


@pytest.fixture(scope="module")
def scanned():
    return play("scan", INVENTORY, timeout=1800, scan_waivers=[WAIVER], scan_limits={"index": 50})


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


def test_a_port_that_no_card_has_is_found(host, scanned):
    assert module(ports=[{"name": "edge1", "host": "edge1", "known": [80, 443]}])["nmap.ports"]["verdict"] == "pass"
    ports = module(ports=[{"name": "edge1", "host": "edge1", "known": [80]}])["nmap.ports"]
    assert ports["verdict"] == "fail" and "443/tcp: open, and no role's card has it, usually https" in ports["reason"]


def test_where_nobody_answers_is_unknown(scanned):
    said = module(tls=[{"name": "www.example.test", "host": "edge1", "port": 449}])
    assert {one["verdict"] for one in said.values()} == {"unknown"}
    assert "Can't connect to" in said["testssl.grade"]["reason"]


def test_scanners_that_are_missing_fail_the_run_at_once(host, scanned):
    there = {name: host.check_output(f"command -v {name}") for name in ("sslscan", "testssl", "nmap", "lynis")}
    for path in there.values():
        host.check_output(f"mv {path} {path}.away")
    try:
        run = play("scan", INVENTORY, "--limit", "monitor1", scan_install=False)
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
        run = play("scan", INVENTORY, "--limit", "monitor1", scan_install=False, scan_owners=owners)
    finally:
        host.check_output("systemctl stop door; mv /usr/sbin/lynis.away /usr/sbin/lynis")
    new = records(host)["security.scan.new", "monitor1"]
    assert (new["verdict"], new["measured"]) == ("warn", 1) and "monitor1: 8099/tcp (platform team)" in new["reason"]
    assert run.code != 0 and "8099/tcp: open, and no role's card has it" in run.said


def test_a_waiver_without_an_end_is_refused_before_anything_runs():
    run = play("scan", INVENTORY, scan_waivers=[{"finding": "x", "owner": "ops", "reason": "so"}])
    assert run.code != 0 and "expires" in run.said
