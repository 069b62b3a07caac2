"""Scrapes one host from another, by hand and by Prometheus."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import testinfra
from playbook import play

SCENARIO = Path(__file__).resolve().parents[1]
URL = "https://watched1:9100/metrics"
LOGIN = "prometheus:scrapes-in-this-scenario"
TEXTFILES = "/var/lib/prometheus/node-exporter"

PROMETHEUS = """
global: {{scrape_interval: 2s}}
scrape_configs:
- job_name: node
  scheme: https
  tls_config: {{ca_file: /root/ca.pem}}
  basic_auth: {{username: prometheus, password: {password}}}
  static_configs: [{{targets: ["watched1:9100"]}}]
"""


@pytest.fixture(scope="module")
def watcher():
    return testinfra.get_host("docker://slipway-node-exporter-watcher1")


def scrape(watcher, options: str = f"-u {LOGIN}") -> str:
    return watcher.check_output(f"curl -s --fail --cacert /root/ca.pem {options} {URL}")


def status(watcher, options: str, url: str = URL) -> str:
    return watcher.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /root/ca.pem {options} {url}")


def test_metrics_need_the_password(watcher):
    assert "node_load1 " in scrape(watcher)
    assert status(watcher, "") == "401"
    assert status(watcher, "-u prometheus:wrong") == "401"


def test_metrics_need_tls(watcher):
    assert status(watcher, f"-u {LOGIN}", "http://watched1:9100/metrics") == "400"
    assert watcher.run(f"curl -s -u {LOGIN} {URL}").rc == 60


@pytest.mark.parametrize(
    ("password", "health", "error"),
    [("scrapes-in-this-scenario", "up", ""), ("wrong", "down", "server returned HTTP status 401 Unauthorized")],
)
def test_prometheus_scrapes_it(watcher, password, health, error):
    config = PROMETHEUS.format(password=password)
    watcher.check_output(f"rm -rf /root/p && mkdir -p /root/p && echo '{config}' > /root/p/p.yml")
    watcher.check_output(
        "systemd-run --collect --unit=watch prometheus --config.file=/root/p/p.yml --storage.tsdb.path=/root/p/data"
        " --web.listen-address=127.0.0.1:9090"
    )
    seen = ()
    try:
        for _ in range(100):
            answer = watcher.run("curl -s http://127.0.0.1:9090/api/v1/targets").stdout
            targets = json.loads(answer)["data"]["activeTargets"] if answer.startswith("{") else []
            seen = [(target["health"], target["lastError"]) for target in targets]
            if seen == [(health, error)]:
                break
            time.sleep(0.3)
    finally:
        watcher.check_output("systemctl stop watch")
    assert seen == [(health, error)]


def test_collectors_are_the_chosen_ones(watcher):
    metrics = scrape(watcher)
    for collector, expected in {"systemd": True, "processes": True, "cpu": True, "timex": True, "arp": False}.items():
        assert (f'node_scrape_collector_success{{collector="{collector}"}} 1' in metrics) == expected, collector


def test_file_systems_are_not_reported_read_only(watcher):
    readonly = [line for line in scrape(watcher).splitlines() if line.startswith("node_filesystem_readonly{")]
    assert readonly and {line.split()[-1] for line in readonly} == {"0"}


def test_the_group_leaves_metrics_and_others_do_not(host, watcher):
    write = f"sh -c 'echo backup_age_seconds 42 > {TEXTFILES}/backup.prom'"
    assert host.run(f"runuser -u games -- {write}").rc != 0
    host.check_output(f"runuser -u games -g slipway-metrics -- {write}")
    assert "backup_age_seconds 42" in scrape(watcher)
    host.check_output(f"rm {TEXTFILES}/backup.prom")


def test_by_default_only_the_host_itself_reaches_it(host, watcher):
    assert "node_load1 " in watcher.check_output("curl -s http://127.0.0.1:9100/metrics")
    assert host.run("curl -s -m 5 http://watcher1:9100/metrics").rc == 7


def test_a_pinned_release_runs_and_another_is_refused(watcher):
    running = "ps -o args= -p $(systemctl show -p MainPID --value prometheus-node-exporter)"
    before = watcher.check_output(running)
    assert before.startswith("/opt/node_exporter/")
    only, wrong = ("--limit", "watcher1"), f"sha256:{'0' * 64}"
    other = play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", *only, pinned_checksum=wrong)
    assert other.code != 0 and "checksum" in other.stdout
    assert watcher.check_output(running) == before


def converge(**variables):
    return play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", "--limit", "watcher1", **variables)


def test_a_run_that_was_killed_before_the_restart_is_finished_by_the_next_on_ipv6_too(watcher):
    """What it leaves: the new unit, and the process of the old one."""
    unit = "/etc/systemd/system/prometheus-node-exporter.service"
    watcher.check_output("mount -o remount,rw /proc/sys && echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6")
    watcher.check_output(f"sed -i 's/127.0.0.1:9100/[::1]:9100/' {unit}")
    assert watcher.run("curl -s 'http://[::1]:9100/metrics'").rc == 7
    assert converge(node_exporter_address="::1").code == 0
    assert "node_load1 " in watcher.check_output("curl -s 'http://[::1]:9100/metrics'")


def test_one_that_does_not_stay_up_fails_the_role_with_its_last_words(watcher):
    crashing = {"node_exporter_arguments": ["--nosuch"]}
    for run in (converge(**crashing), converge(**crashing)):
        assert run.code != 0
        assert "prometheus-node-exporter.service does not stay up" in run.said
        assert "unknown long flag '--nosuch'" in run.said
    assert converge().code == 0
    assert "node_load1 " in watcher.check_output("curl -s http://127.0.0.1:9100/metrics")


def test_it_comes_back_when_killed(host, watcher):
    host.check_output("systemctl kill --signal=KILL prometheus-node-exporter")
    watcher.check_output(
        f"curl -s --fail --retry 15 --retry-all-errors --retry-delay 1 --cacert /root/ca.pem -u {LOGIN} {URL}"
    )


def test_secrets_are_roots_and_in_no_command_line_or_log(host):
    for path in [
        "/etc/prometheus/node-exporter-web.yml",
        "/root/tls/host.key",
        "/run/prometheus-node-exporter/key.pem",
    ]:
        assert host.run(f"runuser -u games -- cat {path}").rc != 0
    assert host.run("journalctl --no-pager | grep -F scrapes-in-this-scenario").rc == 1
    assert host.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q scrapes-in-this-[s]cenario").rc == 1
