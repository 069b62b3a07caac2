"""What Prometheus measured is evidence, and readiness holds it against the limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from machine import crowding, until
from playbook import Run, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
SLOW = 'avg_over_time(probe_duration_seconds{kind="site"}[1m])'
LOW = {"measure_coverage": 0.1, "period": "1h"}  # Prometheus has not been here for half an hour
IN_TIME = 60 * crowding()


def states(where: Path, **variables: Any) -> dict[str, str]:
    run = play("readiness", INVENTORY, readiness_kpi=True, readiness_report_dir=str(where), **variables)
    judged = json.loads((where / "readiness.json").read_text())
    assert judged["verdict"] == "NO-GO" and run.code != 0  # not everything is proven in this scenario
    return {one["id"]: one["state"] for one in judged["requirements"] if ".kpi." in one["id"]}


def measure(**variables: Any) -> Run:
    run = play("measure", INVENTORY, **(LOW | variables))
    assert run.code == 0, run.output
    return run


@pytest.fixture(scope="module", autouse=True)
def asked(host) -> None:
    """Prometheus has what a minute's window needs."""
    query = f"curl -s --get --data-urlencode 'query={SLOW}' http://127.0.0.1:9090/api/v1/query"
    assert until(lambda: '"value"' in host.run(query).stdout, IN_TIME, 1)


def test_before_anything_is_measured_it_is_missing(tmp_path):
    found = states(tmp_path)
    assert "infrastructure.kpi.cpu" in found and set(found.values()) == {"missing"}
    assert not any(".kpi." in one["id"] for one in policy(tmp_path))


def policy(where: Path) -> list[dict[str, Any]]:
    """What readiness asks without the switch."""
    play("readiness", INVENTORY, readiness_report_dir=str(where))
    return json.loads((where / "readiness.json").read_text())["requirements"]


def test_a_period_that_was_hardly_measured_proves_nothing(host, tmp_path):
    assert "% of the period, and 99 % is asked" in measure(measure_coverage=99).said
    assert "pass" not in states(tmp_path).values()


def test_each_state_reaches_readiness_and_can_be_asked_again(host, tmp_path):
    said = measure(report_limits={"cpu": "< 0.001"}).said
    assert "infrastructure.kpi.cpu" in said
    found = states(tmp_path, report_limits={"cpu": "< 0.001"})
    assert found["infrastructure.kpi.cpu"] == "fail"
    assert found["infrastructure.kpi.memory"] == "pass" and found["infrastructure.kpi.disk"] == "pass"
    assert found["infrastructure.kpi.certificate-days"] == "fail"  # ten days
    assert found["application.kpi.site-response"] == "fail"  # the slow one
    record = newest(host, "infrastructure.kpi.memory")
    assert record["limit"] == "< 90" and 0 < record["measured"] < 90
    assert "node_memory_MemAvailable_bytes" in record["reason"] and "2 series" in record["reason"]
    (artifact,) = record["artifacts"]
    kept = json.loads(host.check_output(f"cat /var/lib/slipway/evidence/{artifact}"))
    (memory,) = [one for one in kept["measures"] if one["id"] == "memory"]
    assert max(row["value"] for row in memory["rows"]) == record["measured"]


def test_a_host_that_prometheus_does_not_reach_is_unknown(host, tmp_path):
    assert "edge2 was not measured" in measure_with_another_host(tmp_path).said
    assert states(tmp_path)["infrastructure.kpi.memory"] == "unknown"
    assert measure().code == 0


def measure_with_another_host(where: Path) -> Run:
    more = where / "more.yml"
    more.write_text(json.dumps({"all": {"hosts": {"edge2": {"ansible_host": "slipway-blackbox_exporter-none"}}}}))
    return measure_of(more)


def measure_of(more: Path) -> Run:
    run = play("measure", INVENTORY, "--inventory", str(more), **LOW)
    assert run.code == 0, run.output
    return run


def newest(host, id: str) -> dict[str, Any]:
    lines = host.check_output(f"cat $(find /var/lib/slipway/evidence -name '*.jsonl') | grep -F '\"id\":\"{id}\"'")
    return max((json.loads(line) for line in lines.splitlines()), key=lambda record: record["at"])
