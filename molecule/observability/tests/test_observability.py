"""Eleven faults made for real: nobody hears of them before, everybody does while they last, and of their end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import testinfra
from containers import have_sample
from machine import until
from playbook import module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
TLS = "cd /root/tls && cp {days}.key key.pem && cp {days}.pem fullchain.pem && systemctl reload nginx"
RECORDS = "/var/lib/slipway/evidence/records"
SNAPSHOT = "$(ls -t /var/lib/redis-backup/*.age | head -1)"
VERIFY = "slipway-backup --engine redis verify || :"
LOOK = "systemctl start slipway-evidence.service"


@dataclass(frozen=True)
class Fault:
    """A unit that is stopped, or what breaks and what repairs."""

    alert: str
    unit: str = ""
    breaks: str = ""
    repairs: str = ""
    host: str = "shop1"

    @property
    def variables(self) -> dict[str, str]:
        how = {"unit": self.unit} if self.unit else {"break": self.breaks, "repair": self.repairs}
        told = {"host": self.host, "alert": self.alert, **how}
        return {f"alert_test_{name}": value for name, value in told.items()}


FAULTS = (
    Fault("NodeExporterDown", "prometheus-node-exporter.service"),
    Fault("NginxDown", "nginx.service"),
    Fault("PoolDown", "backend.service"),
    Fault("ErrorShareHigh", "", "touch /run/backends/blue-shop.broken", "rm -f /run/backends/blue-shop.broken"),
    Fault("DatabaseDown", "postgresql@17-main.service"),
    Fault("RedisDown", "redis-server.service"),
    Fault("TargetDown", "prometheus-redis-exporter.service"),
    Fault("UnitFailed", "", "systemd-run --unit=broken --wait false || :", "systemctl reset-failed broken || :"),
    Fault("CertificateEndsNow", "", TLS.format(days=1), TLS.format(days=365)),
    Fault(
        "RedisVerificationFailed",
        "",
        f"cp {SNAPSHOT} /root/kept && printf slipway | dd of={SNAPSHOT} bs=1 seek=300 conv=notrunc && {VERIFY}",
        f"cp /root/kept {SNAPSHOT} && {VERIFY}",
    ),
    Fault(
        "EvidenceDamaged",
        "",
        f"echo '{{' >> $(ls -t {RECORDS}/*.jsonl | head -1) && {LOOK}",
        f"sed -i '/^{{$/d' {RECORDS}/*.jsonl && {LOOK}",
        host="monitor1",
    ),
)


@pytest.fixture(scope="module")
def world():
    return testinfra.get_host("docker://slipway-observability-world")


@pytest.fixture(scope="module")
def shop():
    return testinfra.get_host("docker://slipway-observability-shop1")


def notified(world: Any, kind: str) -> list[dict[str, str]]:
    """What came by webhook or mail, the oldest first: alert, host and status of each."""
    lines = [json.loads(line) for line in world.check_output(f"cat /root/{kind}").splitlines()]
    if kind == "web":
        return [
            {"status": one["status"], "graph": one["generatorURL"], **one["labels"]}
            for line in lines
            if line["path"] == "/hook"
            for one in line["body"]["alerts"]
        ]
    return [{"subject": line["subject"]} for line in lines]


def alerts(host: Any) -> set[str]:
    """What fires now, but for what always does."""
    query = "http://127.0.0.1:9090/api/v1/alerts"
    found = json.loads(host.check_output(f"curl -s --fail {query}"))["data"]["alerts"]
    firing = [one["labels"] for one in found if one["state"] == "firing"]
    return {f"{labels['alertname']} on {labels.get('host')}" for labels in firing} - {"Watchdog on None"}


@pytest.fixture(scope="module", autouse=True)
def served(host: Any, shop: Any) -> Iterator[None]:
    """There is a backup, the service has been asked for a while, and whatever a new system has to say is over."""
    shop.check_output("systemctl restart clients")
    shop.check_output("slipway-backup --engine redis full && slipway-backup --engine redis verify")
    host.check_output(LOOK)
    asked = (
        'http://127.0.0.1:9090/api/v1/query?query=increase(haproxy_frontend_http_responses_total{proxy="shop"}[1m])>20'
    )
    assert until(lambda: '"value"' in host.run(f"curl -sg '{asked}'").stdout, 240, 1)
    assert until(lambda: not alerts(host), 240, 1), alerts(host)
    time.sleep(15)  # three intervals in which their end is told
    yield
    shop.check_output("systemctl stop clients")


def test_before_a_fault_nobody_is_told_anything(world: Any) -> None:
    before = len(notified(world, "web")), len(notified(world, "mail"))
    assert not until(lambda: (len(notified(world, "web")), len(notified(world, "mail"))) != before, 20, 1)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.alert)
def test_a_fault_is_told_by_webhook_and_mail_and_so_is_its_end(host: Any, world: Any, fault: Fault) -> None:
    before = {kind: len(notified(world, kind)) for kind in ("web", "mail")}

    def since(kind: str) -> list[dict[str, str]]:
        return notified(world, kind)[before[kind] :]

    run = play("alert_test", INVENTORY, alert_test_timeout=240, **fault.variables)
    assert run.code == 0, run.output
    print(next(line for line in run.stdout.splitlines() if line.startswith(f"{fault.alert} of {fault.host}: ")))
    own = {"alertname": fault.alert, "host": fault.host}
    assert any({**own, "status": "firing"}.items() <= one.items() for one in since("web"))
    assert until(lambda: any({**own, "status": "resolved"}.items() <= one.items() for one in since("web")), 120, 1)
    assert all(one["graph"].startswith("https://watch.example.test/prometheus/graph?") for one in since("web"))
    # Others with the same name may be in the same mail.
    subject = re.compile(rf"(critical|warning|over): {fault.alert}( on {fault.host})?( \(\d+\))?")
    mails = [found[1] for one in since("mail") if (found := subject.fullmatch(one["subject"]))]
    assert {*mails} - {"over"}
    assert until(lambda: any(one["subject"].startswith(f"over: {fault.alert}") for one in since("mail")), 120, 1)
    # One fault may have several alerts; the next one begins when all are over.
    assert until(lambda: not alerts(host), 240, 1), alerts(host)


def test_each_fault_has_evidence_of_its_own() -> None:
    info = module(INVENTORY, "monitor1", "slipway.ops.evidence_info", ids=["monitoring.alert-test.delivered"])
    found = {one["subject"]: one["verdict"] for one in info["monitor1"]["records"]}
    others = {f"{fault.alert} on {fault.host}" for fault in FAULTS[1:]}
    assert found == dict.fromkeys({"NodeExporterDown", *others}, "pass")


def test_a_release_keeps_its_own_alerts_quiet_and_no_others(host: Any) -> None:
    have_sample(["slipway-observability-shop1"], ("1.0.0", "2.0.0"))
    for version in ("1.0.0", "2.0.0"):
        deployed = play("deploy", INVENTORY, service="web", version=version, deploy_pull=False)
        assert deployed.code == 0, deployed.output
    ours = silences(host, "release of web")
    assert len(ours) == 1  # the second release found the first one's, and prolonged it
    (matcher,) = ours[0]["matchers"]
    matching = [one for one in ("web", "web-blue", "web-both", "shop", "webs") if re.fullmatch(matcher["value"], one)]
    assert matcher["name"] == "proxy" and matching == ["web", "web-blue", "web-both"]
    assert seconds_left(host, ours[0]) <= 121
    seen = (
        'http://127.0.0.1:9090/api/v1/query?query=slipway_release_live_timestamp_seconds{service="web",version="2.0.0"}'
    )
    assert until(lambda: '"value"' in host.run(f"curl -sg '{seen}'").stdout, 120, 1)


def test_a_site_that_is_closed_on_purpose_wakes_nobody(host: Any, world: Any) -> None:
    before = len(notified(world, "web"))
    closed = play("maintenance", INVENTORY, site="shop", maintenance=True)
    assert closed.code == 0 and "not silenced" not in closed.said, closed.output
    try:
        assert until(lambda: "SiteDown on shop1" in alerts(host), 120, 1)
        assert until(lambda: hushed(host), 60, 1)
        assert play("maintenance", INVENTORY, site="shop", maintenance=True).changed == 0
    finally:
        assert play("maintenance", INVENTORY, site="shop", maintenance=False).code == 0
    (silence,) = silences(host, "maintenance of shop")
    assert seconds_left(host, silence) <= 121
    assert until(lambda: not alerts(host), 240, 1), alerts(host)
    assert [one for one in notified(world, "web")[before:] if one["alertname"] == "SiteDown"] == []


def hushed(host: Any) -> bool:
    """Whether Alertmanager has the site's alert, and tells nobody."""
    return any(
        one["labels"]["alertname"] == "SiteDown" and one["status"]["silencedBy"] for one in asked(host, "alerts")
    )


def silences(host: Any, comment: str) -> list[dict[str, Any]]:
    known = [one for one in asked(host, "silences") if one["comment"] == comment]
    return [one for one in known if one["status"]["state"] == "active"]


def seconds_left(host: Any, silence: dict[str, Any]) -> float:
    return datetime.fromisoformat(silence["endsAt"]).timestamp() - float(host.check_output("date +%s"))


def asked(host: Any, what: str) -> list[dict[str, Any]]:
    return json.loads(host.check_output(f"curl -s --fail http://127.0.0.1:9093/api/v2/{what}"))


def test_a_closed_site_stays_closed_where_alertmanager_is_away(host: Any, shop: Any) -> None:
    host.check_output("systemctl stop prometheus-alertmanager")
    try:
        closed = play("maintenance", INVENTORY, site="shop", maintenance=True)
        assert closed.code == 0 and "not silenced: Alertmanager does not answer at" in closed.said, closed.output
        assert shop.file("/etc/slipway/maintenance/shop").exists
    finally:
        play("maintenance", INVENTORY, site="shop", maintenance=False)
        host.check_output("systemctl start prometheus-alertmanager")


@pytest.mark.parametrize("alone", ["alert_test_repair", "alert_test_alert"])
def test_a_fault_without_its_repair_or_alert_is_not_made(shop: Any, alone: str) -> None:
    variables = {"alert_test_host": "shop1", "alert_test_break": "touch /root/broken"}
    run = play("alert_test", INVENTORY, **variables, **{alone: "true"})
    assert run.code != 0 and "alert_test_break needs alert_test_repair" in run.said, run.output
    assert not shop.file("/root/broken").exists
