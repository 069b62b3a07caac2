"""The report of the last hour: its numbers are Prometheus' answers, asked again by the test."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
URL = "http://127.0.0.1:9090/api/v1"
PROVISIONED = ("datasources", "dashboards")


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("reports")
    run = play("report", INVENTORY, period="1h", report_dir=str(directory), report_limits={"memory": "< 0.001"})
    assert run.code == 0, run.output
    assert run.changed == 0
    return directory


@pytest.fixture(scope="module")
def told(reports) -> dict[str, Any]:
    return json.loads((reports / "report-1h.json").read_text())


def ask(host, what: str, **form: Any) -> list[dict[str, Any]]:
    answer = host.check_output(f"curl -s -d '{urllib.parse.urlencode(form)}' {URL}/{what}")
    return json.loads(answer)["data"]["result"]


def test_every_number_is_what_prometheus_answers_when_it_is_asked_again(host, told):
    asked = 0
    for measure in told["measures"]:
        again = ask(host, "query_range", query=measure["query"], start=told["from"], end=told["to"], step=told["step"])
        series = sorted([[float(at), float(value)] for at, value in one["values"]] for one in again)
        assert sorted(row["series"] for row in measure["rows"]) == series, measure["id"]
        for row in measure["rows"]:
            values = [value for _, value in row["series"]]
            assert (row["samples"], row["min"], row["max"]) == (len(values), min(values), max(values))
            asked += 1
        if measure["total"]:
            totals = ask(host, "query", query=measure["total"], time=told["to"])
            expected = sorted(float(one["value"][1]) for one in totals)
            assert sorted(row["value"] for row in measure["rows"]) == expected, measure["id"]
    assert asked >= 8  # two hosts' availability, processors, memory, disks


def test_a_host_that_is_watched_is_there_and_a_limit_of_ones_own_counts(told):
    rows = {one["id"]: {row["name"]: row for row in one["rows"]} for one in told["measures"]}
    assert set(rows["host-availability"]) == {"host1", "monitor1"}
    assert {row["verdict"] for row in rows["memory"].values()} == {"fail"}
    assert 0 < told["there"] < told["points"]  # Prometheus has not been here for an hour


def test_only_measures_of_roles_that_a_host_has_are_asked(told):
    assert {one["id"] for one in told["measures"]} == {"host-availability", "cpu", "memory", "disk"}


def test_the_page_shows_samples_and_what_is_missing_in_both_languages(reports, tmp_path):
    page = (reports / "report-1h.html").read_text()
    assert "Operations report: the last hour" in page and "The evidence store has none in this period." in page
    assert play("report", INVENTORY, period="1h", report_dir=str(tmp_path), report_language="ko").code == 0
    assert "운영 보고서: 최근 1시간" in (tmp_path / "report-1h.html").read_text()


def test_a_report_that_nobody_can_make_says_why(tmp_path):
    run = play("report", INVENTORY, report_dir=str(tmp_path), prometheus_port=9099)
    assert run.code != 0 and "Prometheus does not answer at http://127.0.0.1:9099/api/v1/" in run.said
    assert list(tmp_path.iterdir()) == []
    run = play("report", INVENTORY, report_dir=str(tmp_path), report_limits={"cup": "< 3"})
    assert run.code != 0 and "there is no measure cup to limit" in run.said


def test_every_panel_of_the_dashboards_shows_something(host, told, tmp_path):
    run = play("dashboards", INVENTORY, dashboards_dir=str(tmp_path))
    assert run.code == 0 and f"{len(told['measures'])} panels, every query asked" in run.said
    made = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert made.keys() == {"availability", "resources", "capacity"}
    for panel in [panel for one in made.values() for panel in one["panels"]]:
        query = panel["targets"][0]["expr"].replace("$__rate_interval", "60s").replace("$__range", "1h")
        assert ask(host, "query", query=query), panel["title"]
    of = {kind: yaml.safe_load((tmp_path / "provisioning" / kind / "slipway.yml").read_text()) for kind in PROVISIONED}
    (source,), (provider,) = of["datasources"]["datasources"], of["dashboards"]["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    assert provider["type"] == "file" and provider["options"]["path"] == "/var/lib/grafana/dashboards/slipway"
