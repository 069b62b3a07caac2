"""The module on real hosts, and health.yml as an operator or a schedule runs it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import testinfra
from machine import journal, journal_has, until
from playbook import Run, attempt, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"


@pytest.fixture(scope="module")
def host():
    """The host that checks; Molecule would run every test on all of them."""
    return testinfra.get_host("docker://slipway-health-check-app1")


def module(*checks, **options):
    """What the module returns on app1."""
    arguments = {"checks": list(checks), "deadline": 0, "fail_on": [], **options}
    _code, results = attempt(INVENTORY, "app1", "slipway.ops.health_check", arguments, timeout=120)
    return results["app1"]


def health(directory, *options, **variables) -> Run:
    """By its full name, as a schedule runs it."""
    return play("slipway.ops.health", INVENTORY, *options, timeout=240, health_report_dir=str(directory), **variables)


def by_host(directory):
    return json.loads((directory / "health.json").read_text())["hosts"]


def records():
    store = testinfra.get_host("docker://slipway-health-check-monitor1")
    listing = store.check_output("cat $(find /var/lib/slipway/evidence -name '*.jsonl') /dev/null")
    return [json.loads(line) for line in listing.splitlines()]


def judged(cases, **options):
    """Runs the definitions of (definition, verdict, part of the reason) and compares."""
    results = module(*(definition for definition, _, _ in cases), **options)["results"]
    for result, (definition, verdict, reason) in zip(results, cases, strict=True):
        assert (result["verdict"], definition) == (verdict, definition), result
        assert result["reason"] is None if reason is None else reason in result["reason"], result


def test_units(host):
    host.run("systemctl start oneshot.service restarting.service")
    assert until(lambda: host.check_output("systemctl show --property=NRestarts --value restarting") != "0")
    states = ["active", "activating"]
    cases = [
        ({"unit": "healthy.service", "sub": "running", "restarts": "= 0"}, "pass", None),
        ({"unit": "healthy.service", "active": "inactive"}, "fail", "healthy.service is active (running"),
        (
            {"unit": "oneshot.service"},
            "fail",
            "oneshot.service is failed (failed, result exit-code); see journalctl -u",
        ),
        ({"unit": "no-such.service"}, "fail", "there is no unit no-such.service"),
        ({"unit": "restarting.service", "active": states, "restarts": "= 0"}, "fail", "the count of restarts of"),
    ]
    try:
        judged([({"kind": "systemd", **definition}, verdict, reason) for definition, verdict, reason in cases])
        (state,) = module({"kind": "command", "argv": ["systemctl", "is-system-running"]})["results"]
        assert (state["verdict"], "degraded" in state["reason"]) == ("fail", True)
    finally:
        host.run("systemctl stop restarting.service; systemctl reset-failed")


def test_containers(host):
    label = {"scenario": "health_check"}
    cases = [
        ({"container": "well-1", "health_check": True, "restarts": "= 0"}, "pass", None),
        ({"container": "well-2"}, "pass", None),
        ({"container": "well-2", "health_check": True}, "fail", "well-2 runs but has no health check"),
        ({"container": "ill"}, "fail", "ill is unhealthy: no database; see docker logs ill"),
        ({"container": "ended"}, "fail", "ended is exited, exit code 3"),
        ({"container": "absent"}, "fail", "there is no container absent"),
        ({"labels": label, "count": "= 2"}, "pass", None),
        ({"labels": label, "count": ">= 3"}, "fail", "is 2, wanted >= 3"),
    ]
    judged([({"kind": "container", **definition}, verdict, reason) for definition, verdict, reason in cases])
    host.run("systemctl stop docker.socket docker.service")
    try:
        judged([({"kind": "container", "container": "well-1"}, "unknown", "the Docker engine does not answer")])
    finally:
        assert host.run("systemctl start docker.service && docker start well-1 well-2 ill").rc == 0


def test_a_host_without_the_authority_does_not_trust():
    judged([({"kind": "tls", "host": "monitor1", "port": 9443}, "fail", "not trusted")])


def test_secrets_reach_neither_output_nor_journal(host):
    secret, since = "correct-horse-battery", host.check_output("date +%s")
    definition = {"kind": "http", "url": "http://127.0.0.1:1/", "username": "ann", "password": secret, "name": "quiet"}
    outcome = module(definition, fail_on=["fail"])
    assert outcome["msg"].startswith("1 check: 1 fail\nfail ")
    assert secret not in json.dumps(outcome)
    written = f"--since=@{since} -t ansible-slipway.ops.health_check"
    assert journal_has(host, written, "Invoked with checks=NOT_LOGGING_PARAMETER")
    assert "quiet" not in journal(host, written)


def test_nonsense_is_refused_before_anything_is_run():
    outcome = module({"kind": "systemd", "unti": "healthy.service"})
    assert "check 1: 'unti' is no option of systemd; did you mean 'unit'?" in outcome["msg"]
    assert "results" not in outcome


def test_health_playbook_when_all_is_well(host, tmp_path):
    host.run("docker start well-1 well-2")
    before = len(records())
    run = health(tmp_path, slipway_run="scenario-well")
    assert run.code == 0, run.output
    assert "11 checks: 11 pass" in run.stdout
    assert {name: len(results) for name, results in by_host(tmp_path).items()} == {"app1": 6, "monitor1": 5}
    suites = ET.parse(tmp_path / "health.xml").getroot()
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("11", "0", "0")
    new = records()[before:]
    assert len(new) == 11
    assert {record["run"] for record in new} == {"scenario-well"}


def test_health_playbook_tells_failures_and_counts_unreachable_and_refused_hosts(host, tmp_path):
    extra = tmp_path / "more.yml"
    lost = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_connection": "ssh"}
    gone = {"ansible_host": "slipway-health-check-gone1", "ansible_connection": "community.docker.docker"}
    wrong = {"ansible_connection": "local", "health_checks": [{"kind": "disc"}]}
    extra.write_text(json.dumps({"all": {"hosts": {"gone1": gone, "lost1": lost, "wrong1": wrong}}}))
    host.run("docker stop --time 0 well-2")
    try:
        run = health(tmp_path, "--inventory", str(extra))
    finally:
        host.run("docker start well-2")
    assert run.code != 0
    results = by_host(tmp_path)
    assert "the host cannot be reached" in results["lost1"][0]["reason"]
    assert "No such container" in results["gone1"][0]["reason"]
    assert "did you mean 'disk'" in results["wrong1"][0]["reason"]
    assert "well-2 is exited" in " ".join(run.stdout.split())
    assert [result["verdict"] for result in results["monitor1"]] == ["pass"] * 5
    suites = ET.parse(tmp_path / "health.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("14", "4")
    assert {record["subject"] for record in records() if record["verdict"] == "fail"} >= {"gone1", "lost1", "wrong1"}
