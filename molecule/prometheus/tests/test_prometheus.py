"""One host measures itself and another, and tells when that one stops answering."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from mutants import mutants, naming
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
INVENTORY = SCENARIO / "inventory.yml"
URL = "http://127.0.0.1:9090/api/v1"
READY = "curl -s --fail --retry 30 --retry-all-errors --retry-delay 1 http://127.0.0.1:9090/-/ready"
DATA = "/var/lib/prometheus/metrics2"
ALL_UP = {("host1", "node"): 1.0, ("monitor1", "node"): 1.0, ("monitor1", "prometheus"): 1.0}


@pytest.fixture(scope="module")
def watched():
    return testinfra.get_host("docker://slipway-prometheus-host1")


def ask(host, query: str) -> list[dict[str, Any]]:
    answer = host.check_output(f"curl -s --get --data-urlencode '{query}' {URL}/query")
    return json.loads(answer)["data"]["result"]


def up(host) -> dict[tuple[str, str], float]:
    return {(one["metric"]["host"], one["metric"]["job"]): float(one["value"][1]) for one in ask(host, "query=up")}


def firing(host) -> dict[str, dict[str, Any]]:
    alerts = json.loads(host.check_output(f"curl -s {URL}/alerts"))["data"]["alerts"]
    return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}


def until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    for _ in range(120):
        seen = look()
        if wanted(seen):
            break
        time.sleep(0.5)
    return seen


def converge(**variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit", "monitor1", **variables)


def test_everything_on_the_cards_is_scraped_with_tls_and_password(host):
    assert until(lambda: up(host), lambda seen: seen == ALL_UP) == ALL_UP


def test_only_loopback_listens(host, watched):
    assert host.socket("tcp://127.0.0.1:9090").is_listening
    assert watched.run("curl -s -m 5 http://monitor1:9090/-/ready").rc == 7


def test_retention_and_interval_are_the_roles(host):
    flags = json.loads(host.check_output(f"curl -s {URL}/status/flags"))["data"]
    assert (flags["storage.tsdb.retention.time"], flags["storage.tsdb.retention.size"]) == ("30d", "10GiB")


def test_a_password_is_nobodys_but_prometheus(host):
    path = "/etc/prometheus/slipway/passwords/node"
    assert host.check_output(f"runuser -u prometheus -- cat {path}") == "scrapes-in-this-scenario"
    assert host.run(f"runuser -u games -- cat {path}").rc != 0
    assert host.run("grep -r scrapes-in-this-scenario /etc/prometheus/slipway/prometheus.yml").rc == 1
    assert host.run("journalctl --no-pager | grep -F scrapes-in-this-scenario").rc == 1


def test_alerts_are_the_roles_with_what_the_inventory_changes(host):
    groups = json.loads(host.check_output(f"curl -s {URL}/rules?type=alert"))["data"]["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert {"DiskFull", "EvidenceStale", "TargetDown"} <= rules.keys()
    assert "CpuHigh" not in rules and rules["NodeExporterDown"]["duration"] == 0
    assert rules["MemoryHigh"]["labels"]["severity"] == "warning"
    assert not {"DatabaseDown", "PoolDown"} & rules.keys()  # of roles that no host here has


def test_the_alerts_of_every_role_fire_and_stay_silent_as_their_tests_say(host):
    for tests in sorted(ROOT.glob("roles/*/meta/alerts_test.yml")):
        place = f"/root/alerts/{tests.parents[1].name}"
        host.check_output(f"mkdir -p {place}")
        for path in (tests, tests.with_name("alerts.yml")):
            host.check_output(f"cat > {place}/{path.name} <<'END'\n{path.read_text()}END")
        host.check_output(f"cat > {place}/finer.yml <<'END'\n{finer(tests.parents[1].name, tests).read_text()}END")
        answer = host.run(f"promtool test rules {place}/alerts_test.yml {place}/finer.yml")
        assert answer.rc == 0, answer.stdout + answer.stderr


def finer(role: str, otherwise: Path) -> Path:
    """Tests of a role's alerts at shorter steps than its own, where it needs them."""
    path = Path(__file__).parents[1] / "finer" / f"{role}.yml"
    return path if path.exists() else otherwise


def test_no_mutant_of_an_alert_passes_its_tests(host, tmp_path):
    """Each first meets the tests in which its alert fires, then all of its role."""
    known = {}
    for path in ROOT.glob("roles/*/meta/alerts.yml"):
        own = path.with_name("alerts_test.yml")
        tests = yaml.safe_load(own.read_text())
        more = yaml.safe_load(finer(path.parents[1].name, own).read_text())
        for number, mutant in enumerate(mutants(yaml.safe_load(path.read_text()))):
            place = f"{path.parents[1].name}-{number}"
            known[place] = str(mutant)
            (tmp_path / place).mkdir()
            files = {"alerts.yml": mutant.rules, "1.yml": naming(tests, mutant.alert), "2.yml": tests, "3.yml": more}
            for name, content in files.items():
                (tmp_path / place / name).write_text(json.dumps(content))
    subprocess.run(["docker", "cp", f"{tmp_path}/.", "slipway-prometheus-monitor1:/root/mutants"], check=True)
    survives = "promtool test rules $0/1.yml && promtool test rules $0/2.yml $0/3.yml && touch $0/survived"
    host.run(f"cd /root/mutants && ls | xargs -n 1 -P 2 sh -c '{survives}' >/dev/null 2>&1")
    host.check_output("test -f /root/mutants/prometheus-0/alerts.yml")
    survivors = host.run("cd /root/mutants && ls -d */survived").stdout.split()
    assert [known[path.split("/")[0]] for path in survivors] == []


def test_an_exporter_that_stops_raises_its_alert_and_fails_the_check(host, watched):
    assert (
        until(lambda: firing(host), lambda seen: "NodeExporterDown" not in seen).keys() & {"NodeExporterDown"} == set()
    )
    assert play(SCENARIO / "measure.yml", INVENTORY).code == 0
    watched.check_output("systemctl stop prometheus-node-exporter")
    try:
        alert = until(lambda: firing(host), lambda seen: "NodeExporterDown" in seen)["NodeExporterDown"]
        assert alert["labels"]["host"] == "host1" and alert["labels"]["severity"] == "critical"
        assert alert["annotations"]["summary"].startswith("host1 is not measured")
        assert alert["annotations"]["runbook"]
        measured = play(SCENARIO / "measure.yml", INVENTORY)
        assert "host1" in measured.said and "monitoring.targets.up" in measured.said
        assert "verdict: fail" in measured.said
    finally:
        watched.check_output("systemctl start prometheus-node-exporter")
    assert "NodeExporterDown" not in until(lambda: firing(host), lambda seen: "NodeExporterDown" not in seen)
    assert until(lambda: up(host), lambda seen: seen == ALL_UP) == ALL_UP


def test_a_bad_rule_changes_nothing_and_is_named(host):
    before = host.check_output("find /etc/prometheus/slipway -type f -exec sha256sum {} + | sort")
    groups = [{"name": "mine", "rules": [{"record": "mine:up", "expr": "sum(up"}]}]
    run = converge(prometheus_rules=groups, prometheus_interval="5s")
    assert run.code != 0
    assert "mine:up" in run.said and "unclosed left parenthesis" in run.said
    assert host.check_output("find /etc/prometheus/slipway -type f -exec sha256sum {} + | sort") == before


def test_a_change_of_an_alert_that_is_not_there_is_refused(host):
    run = converge(prometheus_alerts={"DiskFul": {"for": "5m"}})
    assert run.code != 0
    assert "no role of this inventory has an alert DiskFul; did you mean DiskFull?" in run.said


def test_a_rule_of_ones_own_is_loaded_without_a_restart_and_leaves_again(host):
    started = host.check_output("systemctl show --property=MainPID prometheus")
    groups = [{"name": "mine", "rules": [{"record": "mine:up", "expr": "sum(up)"}]}]
    assert converge(prometheus_rules=groups).code == 0
    assert until(lambda: ask(host, "query=mine:up"), bool)[0]["value"][1] == "3"
    assert converge().code == 0
    assert not host.file("/etc/prometheus/slipway/rules/inventory.yml").contains("mine:up")
    assert ask(host, "query=slipway:error_budget:percent")[0]["value"][1] == "0.1"
    assert until(lambda: ask(host, "query=mine:up"), lambda seen: seen == []) == []
    assert host.check_output("systemctl show --property=MainPID prometheus") == started


def test_an_exporter_that_nobody_can_reach_is_named_and_not_scraped(host):
    run = converge(node_exporter_address="127.0.0.1")
    assert run.code == 0
    assert "host1: node listens on 127.0.0.1, where Prometheus on monitor1 cannot scrape it" in run.said
    assert until(lambda: up(host), lambda seen: ("host1", "node") not in seen).keys() == ALL_UP.keys() - {
        ("host1", "node")
    }
    assert converge().code == 0
    assert until(lambda: up(host), lambda seen: seen == ALL_UP) == ALL_UP


def test_it_comes_back_when_killed(host):
    host.check_output("systemctl kill --signal=KILL prometheus")
    assert host.run(READY).rc == 0


@pytest.fixture
def small_disk(host) -> Iterator[None]:
    """Prometheus on a file system of its own that is soon full, and back on its data."""
    mount = f"mount -t tmpfs -o size=96m,uid=$(id -u prometheus),gid=$(id -g prometheus) tmpfs {DATA}"
    host.check_output(f"systemctl stop prometheus && {mount} && systemctl start prometheus && {READY}")
    try:
        yield
    finally:
        host.check_output(f"systemctl stop prometheus && umount {DATA} && systemctl start prometheus && {READY}")


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_told_and_storing_goes_on_by_itself(host):
    assert until(lambda: up(host), lambda seen: seen == ALL_UP) == ALL_UP
    host.check_output(f"head -c 200M /dev/zero > {DATA}/full || true")
    assert until_long(lambda: age(host), lambda seconds: seconds > 130) > 130
    health = play("health", INVENTORY, "--limit", "monitor1", health_deadline="5s")
    assert health.code != 0 and "monitoring.prometheus.stores" in health.said, health.output
    assert until_long(lambda: "PrometheusStoresNothing" in firing(host), bool)
    host.check_output(f"rm {DATA}/full")
    assert until_long(lambda: up(host) == ALL_UP and age(host) < 60, bool)
    assert until_long(lambda: "PrometheusStoresNothing" not in firing(host), bool)


def age(host) -> float:
    """Seconds since Prometheus last stored something; it forgets that it ever did after five minutes."""
    newest = ask(host, "query=time() - max(timestamp(up))")
    return float(newest[0]["value"][1]) if newest else float("inf")


def until_long(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """As `until`, for what takes Prometheus some minutes."""
    for _ in range(5):
        seen = until(look, wanted)
        if wanted(seen):
            break
    return seen
