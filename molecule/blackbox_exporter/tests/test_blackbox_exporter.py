"""Sites and ports are asked from outside, and what does not answer is told, seen from the hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import crowding, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
URL = "http://127.0.0.1:9090/api/v1"
SITES = {"https://www.example.test", "https://short.example.test", "http://plain.example.test"}
SLOW = "http://edge1:18000/slow"
PORT = "tcp://edge1:9100"
ALL = {("edge1", site) for site in SITES} | {("edge1", PORT), ("monitor1", SLOW)}
IN_TIME = 60 * crowding()


@pytest.fixture(scope="module")
def edge():
    return testinfra.get_host("docker://slipway-blackbox_exporter-edge1")


def ask(host, query: str) -> dict[tuple[str, str], float]:
    answer = host.check_output(f"curl -s --get --data-urlencode 'query={query}' {URL}/query")
    found = json.loads(answer)["data"]["result"]
    return {(one["metric"]["host"], one["metric"]["instance"]): float(one["value"][1]) for one in found}


def firing(host, name: str) -> set[str]:
    alerts = json.loads(host.check_output(f"curl -s {URL}/alerts"))["data"]["alerts"]
    fires = [one for one in alerts if one["state"] == "firing" and one["labels"]["alertname"] == name]
    assert all(one["annotations"]["summary"] and one["annotations"]["runbook"] for one in fires)
    return {one["labels"]["instance"] for one in fires}


def failing() -> set[str]:
    """The checks that fail, as the table names them."""
    return set(re.findall(r"fail monitor1 (\S+)", play(SCENARIO / "measure.yml", INVENTORY).said))


def all_answer(host) -> bool:
    return ask(host, "probe_success") == dict.fromkeys(ALL, 1.0)


def converge(**variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit", "monitor1", **variables)


def test_sites_by_their_names_and_ports_that_are_open_to_the_host_are_asked(host):
    assert until(lambda: all_answer(host), IN_TIME, 1), ask(host, "probe_success")
    assert until(lambda: firing(host, "SiteDown") == set(), IN_TIME, 1)
    # Of the site whose certificate is for ten days.
    assert until(lambda: failing() == {"security.certificates.last"}, IN_TIME, 1)


def test_nothing_listens_for_others(host, edge):
    assert host.socket("tcp://127.0.0.1:9115").is_listening
    assert edge.run("curl -s -m 9 http://monitor1:9115/-/healthy").rc == 7


def test_a_certificate_that_ends_soon_is_told_and_fails_the_check(host):
    wanted = {"https://www.example.test": 90, "https://short.example.test": 10}

    def days() -> dict[str, int]:
        left = ask(host, "(probe_ssl_earliest_cert_expiry - time()) / 86400")
        return {name: round(value) for (_, name), value in left.items()}

    assert until(lambda: days() == wanted, IN_TIME, 1), days()
    assert until(lambda: firing(host, "CertificateEnds") == {"https://short.example.test"}, IN_TIME, 1)
    assert firing(host, "CertificateEndsNow") == set()
    assert 'instance="https://short.example.test"' in play(SCENARIO / "measure.yml", INVENTORY).said


def test_what_is_slow_is_told(host):
    assert until(lambda: firing(host, "SiteSlow") == {SLOW}, IN_TIME, 1)


def test_a_stopped_nginx_is_sites_that_are_down_and_fails_the_check(host, edge):
    edge.check_output("systemctl stop nginx")
    try:
        assert until(lambda: firing(host, "SiteDown") == SITES, IN_TIME, 1), ask(host, "probe_success")
        assert firing(host, "PortClosed") == set()
        assert "application.probes.succeed" in failing()
    finally:
        edge.check_output("systemctl start nginx")
    assert until(lambda: all_answer(host) and firing(host, "SiteDown") == set(), IN_TIME, 1)


def test_a_site_that_answers_5xx_is_down_and_its_neighbours_are_not(host, edge):
    edge.check_output("mkdir -p /etc/slipway/maintenance && touch /etc/slipway/maintenance/www")
    try:
        assert until(lambda: firing(host, "SiteDown") == {"https://www.example.test"}, IN_TIME, 1)
    finally:
        edge.check_output("rm /etc/slipway/maintenance/www")
    assert until(lambda: all_answer(host), IN_TIME, 1)


def test_a_closed_port_is_told(host, edge):
    edge.check_output("systemctl stop prometheus-node-exporter")
    try:
        assert until(lambda: firing(host, "PortClosed") == {PORT}, IN_TIME, 1)
    finally:
        edge.check_output("systemctl start prometheus-node-exporter")
    assert until(lambda: firing(host, "PortClosed") == set(), IN_TIME, 1)


def test_a_certificate_that_nobody_vouches_for_is_a_site_that_is_down(host):
    with_tls = {site for site in SITES if site.startswith("https")}
    assert converge(blackbox_exporter_ca="").code == 0
    try:
        assert until(lambda: firing(host, "SiteDown") == with_tls, IN_TIME, 1), ask(host, "probe_success")
    finally:
        assert converge().code == 0
    assert until(lambda: all_answer(host), IN_TIME, 1)


def test_what_cannot_be_meant_is_refused_and_changes_nothing(host):
    before = host.check_output("find /etc/prometheus -type f -exec sha256sum {} + | sort")
    run = converge(blackbox_exporter_skip=["https://www.exampel.test"])
    assert run.code != 0
    assert "which is not probed; did you mean https://www.example.test?" in run.said
    run = converge(blackbox_exporter_urls=["db1:5432"])
    assert run.code != 0 and "write such as https://shop.example.com/" in run.said
    assert host.check_output("find /etc/prometheus -type f -exec sha256sum {} + | sort") == before


def test_it_comes_back_when_killed(host):
    before = host.check_output("systemctl show --property=MainPID --value prometheus-blackbox-exporter")
    host.check_output("systemctl kill --signal=KILL prometheus-blackbox-exporter")
    healthy = "curl -s --fail http://127.0.0.1:9115/-/healthy"
    assert until(lambda: host.run(healthy).rc == 0, IN_TIME, 1)
    assert host.check_output("systemctl show --property=MainPID --value prometheus-blackbox-exporter") != before
    assert host.check_output("ps -o user= -C prometheus-blackbox-exporter").startswith("prometh")
