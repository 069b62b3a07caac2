"""Hosts without an IPv4 address but loopback's: monitored, released to, checked; in this order."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import until
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
CA = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
VERSIONS = ("1.0.0", "2.0.0")
edge, app = (testinfra.get_host(f"docker://slipway-ipv6-{name}") for name in ("edge1", "app1"))


@pytest.fixture(scope="module", autouse=True)
def published(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both versions are in the registry, which is reached by IPv6."""
    images = []
    for version in VERSIONS:
        archive = tmp_path_factory.mktemp("images") / f"{version}.tar"
        with archive.open("wb") as file:
            subprocess.run(["docker", "save", f"slipway/sample-service:{version}"], stdout=file, check=True)
        images.append({"name": f"sample:{version}", "archive": str(archive)})
    ran = play("publish", INVENTORY, publish_images=images)
    assert ran.code == 0, ran.stdout


def version() -> Any:
    """As users see it: over TLS, from another host."""
    return json.loads(app.check_output(f"curl -sS --max-time 5 --cacert {CA} https://edge1/version"))["version"]


def test_they_have_no_other_way() -> None:
    for host in (edge, app):
        assert host.check_output("ip -4 -o address show dev eth0") == ""


@pytest.mark.parametrize(("asks", "asked"), [(edge, "fd00:6::2"), (app, "fd00:6::1")])
def test_metrics_are_scraped(asks: Any, asked: str) -> None:
    scrape = f"curl -sS --max-time 5 --cacert {CA} %s 'https://[{asked}]:9100/metrics'"
    assert "node_load1 " in asks.check_output(scrape % "--user prometheus:scrapes-in-this-scenario")
    assert "node_load1 " not in asks.check_output(scrape % "--user prometheus:wrong")


@pytest.mark.parametrize("wanted", VERSIONS)
def test_a_release_is_pulled_gated_and_served(wanted: str) -> None:
    ran = play("deploy", INVENTORY, service="sample", version=wanted)
    assert ran.code == 0, ran.stdout
    assert version() == wanted
    published = app.check_output("docker ps --filter label=slipway.service=sample --format '{{.Ports}}'")
    assert "fd00:6::2:8" in published and "0.0.0.0:" not in published


def test_a_rollback_is_a_switch() -> None:
    ran = play("rollback", INVENTORY, service="sample")
    assert ran.code == 0, ran.stdout
    assert version() == VERSIONS[0]


def test_a_port_that_another_program_has_is_named() -> None:
    app.check_output("docker ps -aq --filter label=slipway.version=2.0.0 | xargs --no-run-if-empty docker rm --force")
    port = "8100" if ":8000->" in app.check_output("docker ps --format '{{.Ports}}'") else "8000"
    bind = f"socket.create_server(('fd00:6::2', {port}), family=socket.AF_INET6)"
    squat = f"import socket, time; kept = {bind}; time.sleep(600)"
    app.check_output(f'systemd-run --quiet --unit=squatter -p Restart=always -p RestartSec=0.2 python3 -c "{squat}"')
    try:
        assert until(lambda: "python3" in app.run(f"ss -ltnpH 'sport = :{port}'").stdout, 30, pause=0.2)
        ran = play("deploy", INVENTORY, service="sample", version="2.0.0")
    finally:
        app.check_output("systemctl stop squatter")
    assert ran.code != 0 and version() == VERSIONS[0]
    assert port in ran.said and "python3 (process" in ran.said


def test_health_sees_what_runs(tmp_path: Path) -> None:
    ran = play("health", INVENTORY, health_report_dir=str(tmp_path))
    assert ran.code == 0, ran.stdout
    app.check_output("systemctl stop prometheus-node-exporter")
    try:
        ran = play("health", INVENTORY, health_report_dir=str(tmp_path))
    finally:
        app.check_output("systemctl start prometheus-node-exporter")
    assert ran.code != 0 and "node-exporter" in ran.stdout
