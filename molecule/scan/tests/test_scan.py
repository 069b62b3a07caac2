"""Auditors' scanners against a real site: what passes, what is found, and what could not be run."""

from __future__ import annotations

import base64
import json
import subprocess
import zlib
from pathlib import Path

import pytest
import testinfra
from machine import until
from playbook import attempt, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
SITE = "www.example.test:443 on edge1"
WAIVER = {"finding": "cert_revocation", "owner": "ops", "reason": "renewed by the clock", "expires": "2099-12-31"}


# As prepare.yml installs them; trivy is a stand-in, see trivy.py.
PROGRAMS = {"gixy": "/opt/scanners/bin/gixy", "sslyze": "/opt/scanners/bin/sslyze", "trivy": "/opt/scanners/bin/trivy"}


@pytest.fixture(scope="module")
def edge():
    return testinfra.get_host("docker://slipway-scan-edge1")


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


def release(edge, version: str) -> None:
    """A version that is live and proven on the app host, by its history."""
    event = {"at": f"2026-11-30T10:00:0{version[0]}Z", "run": version, "event": "done", "version": version}
    edge.check_output("mkdir -p /srv/slipway/shop")
    edge.check_output("echo %s >> /srv/slipway/shop/history.jsonl", json.dumps(event))


@pytest.fixture(scope="module")
def scanned(host, edge):
    for version in ("1.0.0", "2.0.0"):
        release(edge, version)
    subprocess.run(["docker", "cp", SCENARIO / "trivy.py", f"slipway-scan-monitor1:{PROGRAMS['trivy']}"], check=True)
    mirror(host, KNOWN)
    host.check_output("systemd-run --unit=tracker python3 -m http.server --directory /srv/tracker 8097")
    assert until(lambda: host.run("curl -fso /dev/null http://127.0.0.1:8097/trixie").rc == 0)
    asked = {"scan_optional": ["gixy", "sslyze", "images", "probes"], "scan_programs": PROGRAMS}
    return play("scan", INVENTORY, timeout=1800, scan_waivers=[WAIVER], scan_limits={"index": 50}, **asked, **QUIET)


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


def test_what_the_edge_role_writes_passes_gixy_sslyze_and_the_probes(host, scanned):
    found = records(host)
    assert found["security.scan.gixy.findings", "nginx on edge1"]["verdict"] == "pass"
    for promise in ("intermediate", "certificate"):
        record = found[f"security.scan.sslyze.{promise}", SITE]
        assert record["verdict"] == "pass" and record["source"] == "scan/sslyze 6.3.1"
    for promise in ("hidden", "server", "trace", "headers"):
        assert found[f"security.probe.{promise}", SITE]["verdict"] == "pass", found[f"security.probe.{promise}", SITE]


def test_a_fault_in_a_configuration_of_nginx_is_found(host, edge, scanned):
    faulty = edge.check_output("nginx -T").replace("server_tokens off", "server_tokens on")
    said = module(nginx=[{"name": "edge1", "dump": faulty}], programs=PROGRAMS)["gixy.findings"]
    assert said["verdict"] == "fail" and "version_disclosure: high, Do not enable server_tokens on" in said["reason"]


def test_an_endpoint_that_is_not_as_mozilla_has_it_and_that_nobody_trusts_is_found(host, scanned):
    own = "-keyout /root/key.pem -out /root/own.pem -days 2 -subj /CN=www.example.test"
    host.check_output(f"openssl req -x509 -newkey rsa:2048 -nodes {own}")
    host.check_output(
        "systemd-run --unit=weak openssl s_server -accept 8098 -cert /root/own.pem -key /root/key.pem -www -cipher ALL"
    )
    try:
        place = {"name": "www.example.test", "host": "monitor1", "port": 8098}
        said = module(tls=[place], compliance=True, programs=PROGRAMS, timeout=20)
    finally:
        host.check_output("systemctl stop weak")
    assert (
        said["sslyze.intermediate"]["verdict"] == "fail" and "sslyze.ciphers: " in said["sslyze.intermediate"]["reason"]
    )
    assert said["sslyze.certificate"]["verdict"] == "fail" and "sslyze.trust: " in said["sslyze.certificate"]["reason"]


def test_the_image_that_is_live_is_looked_at_from_the_host_that_scans(host, scanned):
    """By a stand-in for Trivy. Version 1 is not live any more."""
    found = records(host)
    critical = found["security.scan.image.critical", "shop"]
    assert critical["source"] == "scan/trivy, registry.example.test/shop:2.0.0"
    assert (critical["verdict"], critical["measured"]) == ("fail", 1)
    assert "CVE-2026-1111: in libssl3t64 3.5.1-1, fixed in 3.5.1-1+deb13u1" in critical["reason"]
    assert found["security.scan.image.high", "shop"]["verdict"] == "pass"
    said = module(images=[{"name": "elsewhere/shop:1"}], programs=PROGRAMS)["image.critical"]
    assert said["verdict"] == "unknown" and "unable to find the image elsewhere/shop:1" in said["reason"]


def test_what_is_asked_for_and_not_there_is_unknown_with_how_to_have_it(host, scanned):
    said = module(nginx=[{"name": "edge1", "dump": "events {}"}], images=[{"name": "shop:1"}])
    assert {one["verdict"] for one in said.values()} == {"unknown"}
    assert (
        "pip install gixy-ng" in said["gixy.findings"]["reason"]
        and "scan_programs.trivy" in said["image.high"]["reason"]
    )


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
    assert "gixy" not in run.output and "gitleaks" not in run.said  # nobody asked for them
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


@pytest.fixture
def inventory(tmp_path):
    """One with secrets where they should not be, where git ignores them, and in vaults."""
    key = "AKIA" + "IOSFODNN7QZXCVBN"
    (tmp_path / "shop/group_vars").mkdir(parents=True)
    (tmp_path / "shop/secrets").mkdir()
    (tmp_path / "shop/hosts.yml").write_text(INVENTORY.read_text())
    vault = (
        "$ANSIBLE_VAULT;1.1;AES256\n62313365396662343061393464336163383764373764613633653634306231386433626436623361\n"
    )
    (tmp_path / "shop/group_vars/monitor.yml").write_text(f"---\ngreeting: hello\npartner_key: {key}\n")
    (tmp_path / "shop/secrets/aws").write_text(f"key: {key}\n")
    (tmp_path / "shop/secrets/vault.yml").write_text(vault)
    (tmp_path / ".gitignore").write_text("shop/secrets/aws\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path / "shop/hosts.yml"


def test_a_secret_in_the_inventory_is_told_by_its_place_and_never_shown(host, scanned, without_lynis, inventory):
    asked = {"scan_optional": ["gitleaks"], "scan_programs": {"gitleaks": str(SCENARIO / "gitleaks.sh")}}
    options = ["--limit", "monitor1", "-vvv"]
    run = play("scan", inventory, *options, scan_install=False, **asked, **QUIET)
    record = records(host)["security.scan.gitleaks.secrets", "inventory"]
    assert (record["verdict"], record["measured"]) == ("fail", 1), record
    assert record["reason"] == "aws-access-token:group_vars/monitor.yml: line 3, AWS (nobody's)"
    (path,) = record["artifacts"]
    kept = host.check_output(f"cat /var/lib/slipway/evidence/{path}")
    assert '"RuleID": "aws-access-token"' in kept and "IOSFODNN" not in kept + json.dumps(record)
    assert run.code != 0 and "aws-access-token:group_vars/monitor.yml" in run.said and "IOSFODNN" not in run.output
    assert records(host)["security.scan.new", "inventory"]["verdict"] == "pass"
    (inventory.parent / "group_vars/monitor.yml").unlink()
    (inventory.parent / "more.txt").write_text("partner_key: AKIA" + "IOSFODNN7QZXCVBN\n")
    play("scan", inventory, *options, scan_install=False, **asked, **QUIET)
    new = records(host)["security.scan.new", "inventory"]
    assert (new["verdict"], new["measured"]) == ("warn", 1) and "aws-access-token:more.txt" in new["reason"]
