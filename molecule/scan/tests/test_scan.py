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


def test_a_scanner_that_is_missing_fails_the_run(host, scanned):
    host.check_output("mv /usr/bin/sslscan /usr/bin/sslscan.away && mv /usr/bin/testssl /usr/bin/testssl.away")
    try:
        run = play("scan", INVENTORY, scan_install=False, scan_limits={"index": 1})
    finally:
        host.check_output("mv /usr/bin/sslscan.away /usr/bin/sslscan && mv /usr/bin/testssl.away /usr/bin/testssl")
    assert run.code != 0 and "sslscan is not installed on the host that scans" in run.said
    assert records(host)["security.scan.sslscan.protocols", SITE]["verdict"] == "unknown"


def test_a_waiver_without_an_end_is_refused_before_anything_runs():
    run = play("scan", INVENTORY, scan_waivers=[{"finding": "x", "owner": "ops", "reason": "so"}])
    assert run.code != 0 and "expires" in run.said
