"""The demo's system end to end: what is released goes through nginx, TLS and HAProxy, and no switch is felt."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from playbook import Run, module, play
from rollback import warm_rollback

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
APPS = ["slipway-site-app1", "slipway-site-app2"]
CA = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"


def version(host) -> str:
    """The version that users see."""
    url = "--resolve app.demo.test:443:127.0.0.1 https://app.demo.test/version"
    return json.loads(host.check_output(f"curl -sS --fail --max-time 10 --cacert {CA} {url}"))["version"]


def refused(*options, **variables) -> Run:
    """The site once more with something wrong in it."""
    run = play("site", INVENTORY, *options, **variables)
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    return run


def evidence(identifier: str) -> dict:
    return module(INVENTORY, "monitor1", "slipway.ops.evidence_info", ids=[identifier])["monitor1"]["records"][-1]


@pytest.mark.usefixtures("released")
def test_twenty_switches_are_felt_by_nobody(host) -> None:
    assert version(host) == "2.0.0"
    run = play(SCENARIO / "switches.yml", INVENTORY)
    assert run.code == 0, run.output
    record = evidence("delivery.switch.failed_requests")
    assert (record["verdict"], record["measured"]) == ("pass", 0), record
    (artifact,) = record["artifacts"]
    store = module(INVENTORY, "monitor1", "ansible.builtin.slurp", src=f"/var/lib/slipway/evidence/{artifact}")
    raw = json.loads(base64.b64decode(store["monitor1"]["content"]))
    assert [switch["changed"] for switch in raw["switches"]] == [True] * 20
    clients = raw["traffic"]["clients"]
    assert {name for name, client in clients.items() if client["requests"] > 20} == set(clients), clients
    assert {entry["version"] for entry in raw["traffic"]["versions"]} == {"1.0.0", "2.0.0"}


@pytest.mark.usefixtures("released")
def test_a_rollback_starts_no_instance_and_loses_nothing(host) -> None:
    wall = warm_rollback(lambda: play("rollback", INVENTORY, service="sample"), APPS)
    assert version(host) == "1.0.0"
    duration = evidence("delivery.rollback.duration")
    assert 0 < duration["measured"] <= wall, (duration, wall)
    # Six hosts share a machine here; scenario delivery holds the default limit.
    assert (duration["unit"], duration["limit"], duration["verdict"]) == ("s", "<= 30", "pass"), duration
    assert evidence("delivery.rollback.failed_requests")["measured"] == 0


@pytest.mark.usefixtures("released")
def test_daily_runs_leave_a_released_service_alone() -> None:
    run = play("site", INVENTORY)
    assert run.code == 0 and run.changed == 0, run.output


def test_a_misspelt_variable_stops_the_run_before_anything_changes() -> None:
    run = refused(nginx_porst=81)
    assert "nginx_porst" in run.said and run.changed == 0


def test_an_expired_certificate_is_refused_and_the_old_one_goes_on_serving(host) -> None:
    before = version(host)
    pair = module(INVENTORY, "edge1", "ansible.builtin.shell", _raw_params=EXPIRED)["edge1"]["stdout_lines"]
    certificate, key = ("\n".join(part.split("|")) for part in pair)
    brought = {"name": "app", "source": "files", "names": ["app.demo.test"], "certificate": certificate, "key": key}
    run = refused("--limit", "edge1", demo_certificate_app=brought)
    assert "expired" in run.said and "app" in run.said
    assert version(host) == before


EXPIRED = """
cd "$(mktemp -d)" && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt \
  -subj /CN=app.demo.test -addext subjectAltName=DNS:app.demo.test \
  -not_before 20200101000000Z -not_after 20200201000000Z 2>/dev/null
tr '\\n' '|' < crt; echo; tr '\\n' '|' < key; echo
"""


def test_a_port_in_use_is_named_with_who_has_it(host) -> None:
    host.check_output("systemctl stop haproxy && systemd-run --unit=squatter --collect python3 -m http.server 18000")
    try:
        run = refused("--limit", "edge1")
    finally:
        host.check_output("systemctl stop squatter; systemctl start haproxy")
    assert "18000" in run.said and "python3" in run.said
