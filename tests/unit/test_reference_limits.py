"""The limits of the reference systems are of measures that the roles of their groups have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.jobs import jobs as listed
from ansible_collections.slipway.ops.plugins.filter.load import load_problem
from ansible_collections.slipway.ops.plugins.module_utils.core.units import duration
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import read_card, serves
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import read_jobs
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.kpis import requirements
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import limited, read_measures
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import services_of

ROOT = Path(__file__).resolve().parents[2]
# What the systems' owners require, by the variable that holds it.
REQUIRED: dict[str, dict[str, Any]] = {
    "modelops": {
        "report_limits": {"cpu": "< 70", "memory": "< 80", "disk": "< 60", "errors": "< 0.1"},
        "load_limits": {
            "rate": "> 1000",
            "error_rate": "< 0.1 %",
            "latency_p50": "< 250 ms",
            "latency_p95": "< 500 ms",
            "latency_p99": "< 1000 ms",
        },
        "load_connections": 200,
        "deploy_windows": [{"from": "02:00", "to": "04:00"}],
        "mongodump_retention_days": 7,
        "prometheus_retention_time": "30d",
    },
    "mentoring": {
        "report_limits": {"cpu": "< 80", "response-p50": "< 1000", "response-p95": "< 2000", "response-p99": "< 5000"},
        "load_limits": {"latency_p50": "< 1 s", "latency_p95": "< 2 s", "latency_p99": "< 5 s"},
        "deploy_canary_steps": [{"share": 10, "seconds": 1800}],
        "deploy_drain_timeout": 600,
    },
    "receipts": {
        "report_limits": {"memory": "< 95", "disk": "< 90", "errors": "< 5", "response-p95": "< 3000"},
        "load_limits": {"latency_p95": "<= 3 s"},
        "load_connections": 50,
        "drill_limits": {"rto": "2h", "rpo": "24h"},
        "registry_keep_tags": 0,
    },
    "insitechart": {"report_limits": {"host-availability": ">= 99"}},
}

# System A goes back by itself from a release that is so bad for so long.
BAKE = {"seconds": 3600, "error_rate": 5, "error_rate_seconds": 300, "latency_p95": 2, "latency_p95_seconds": 180}
BAKE |= {"cpu": 90, "cpu_seconds": 300, "memory": 95, "memory_seconds": 180, "health_failures": 3}


def said(system: str) -> dict[str, Any]:
    """All variables of the inventory's groups; a dictionary that two groups have is of the last."""
    files = sorted((ROOT / "inventories" / system / "group_vars").rglob("*.yml"))
    return {name: value for file in files for name, value in yaml.safe_load(file.read_text()).items()}


@pytest.mark.parametrize("system", REQUIRED)
def test_the_inventory_asks_for_what_its_owners_require(system: str) -> None:
    values = said(system)
    for name, wanted in REQUIRED[system].items():
        found = values.get(name)
        assert (found and wanted.items() <= found.items()) if isinstance(wanted, dict) else found == wanted, name


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts", "insitechart"])
def test_what_a_load_run_sends_can_show_its_limits(system: str) -> None:
    values = said(system)
    order = {"rates": values.get("load_rates", {"keep_alive": 50, "fresh": 5}), "seconds": 60, "slower": 30}
    assert load_problem({**order, "limits": values["load_limits"]}) == ""


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts", "insitechart"])
def test_each_limit_is_of_a_measure_and_asked_by_readiness(system: str) -> None:
    place = ROOT / "inventories" / system
    groups = {"all", *yaml.safe_load((place / "hosts.yml").read_text())["all"]["children"]}
    limits = said(system)["report_limits"]
    measures = []
    for path in ROOT.glob("roles/*/meta/measures.yml"):
        known = yaml.safe_load(path.with_name("card.yml").read_text())
        if isinstance(known["groups"], str):  # a template; its measures have no limits
            continue
        card = read_card(path.parents[1].name, known)
        if serves(card, card.groups, groups):
            measures += read_measures(card.role, yaml.safe_load(path.read_text()))
    asked = {one["id"].rpartition(".")[2] for one in requirements(limited(measures, limits))}
    assert limits.keys() <= asked


def test_receipts_backs_up_what_its_owners_require() -> None:
    app, logs = (
        yaml.safe_load((ROOT / f"inventories/receipts/group_vars/{group}.yml").read_text()) for group in ("app", "logs")
    )
    sources = {one["name"]: one for one in app["restic_sources"] + logs["restic_sources"]}
    (service,) = services_of([one | {"workers": []} for one in said("receipts")["app_services"]])
    data = [f"/srv/slipway/{service.name}/volumes/{volume.name}" for volume in service.volumes]
    assert sources["uploads"]["paths"] == data and sources["uploads"]["schedule"] == "daily"
    assert sources["logs"]["schedule"] == "weekly"
    for name, place in (("configuration", "/etc/slipway"), ("releases", f"/srv/slipway/{service.name}")):
        assert place in sources[name]["paths"] and place in sources[name]["watch"]
    hosts = yaml.safe_load((ROOT / "inventories/receipts/hosts.yml").read_text())["all"]["children"]
    assert hosts["files"]["children"].keys() == {"app", "logs"}
    assert app["restic_limits"] == {"rto": "2h", "rpo": "24h"}


def test_every_service_of_modelops_is_gone_back_from_by_its_hosts() -> None:
    values = said("modelops")
    for service in values["app_services"]:
        bake = service.get("bake") or {}
        given = {**bake, "seconds": values.get(str(bake.get("seconds")).strip("{} "))}
        assert BAKE.items() <= given.items() and given.get("port"), service["name"]


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts", "insitechart"])
def test_every_system_has_a_firewall_its_logs_in_one_place_and_the_services_metrics_for_monitoring_alone(
    system: str,
) -> None:
    values = said(system)
    groups = yaml.safe_load((ROOT / "inventories" / system / "hosts.yml").read_text())["all"]["children"]
    assert values["firewall_enabled"] is True and "anywhere" not in values["firewall_ssh_from"]
    assert groups["logs"]["hosts"] and values["docker_log_driver"] == "journald"
    app = yaml.safe_load((ROOT / "inventories" / system / "group_vars" / "app.yml").read_text())
    assert app["firewall_rules"] and all(rule["from"] == ["monitor"] for rule in app["firewall_rules"])
    assert all("-" in str(rule["port"]) for rule in app["firewall_rules"])  # or the monitor probes an empty colour


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts", "insitechart"])
def test_nobody_is_told_of_instances_that_need_not_run_and_their_metrics_have_a_host(system: str) -> None:
    values = said(system)
    services = {one["name"]: one for one in values["app_services"] if "ports" in one}
    assert services
    for scrape in values["prometheus_scrape_configs"]:
        (relabel,) = scrape["relabel_configs"]
        found = re.fullmatch(relabel["regex"], "app1:8000")
        assert found and found[1] == "app1" and relabel["target_label"] == "host"
        assert relabel["source_labels"] == ["__address__"] and relabel.get("action", "replace") == "replace"
        for static in scrape["static_configs"]:
            service = services[static["labels"]["service"]]
            most = max(service.get("instances", 1), service.get("scaling", {}).get("max", 1))
            ports = {first + number for first in service["ports"].values() for number in range(most)}
            assert {int(port) for port in re.findall(r"\b\d+\b", static["targets"])} == ports, service["name"]
            assert static["labels"]["expected"] == "no", service["name"]


@pytest.mark.parametrize("system", ["modelops", "receipts"])
def test_the_report_of_the_day_is_made_and_mailed(system: str) -> None:
    values = said(system)
    groups = yaml.safe_load((ROOT / "inventories" / system / "hosts.yml").read_text())["all"]["children"]
    (daily,) = (one for one in listed(values.get("jobs_list", []), groups) if one["name"] == "report-day")
    assert daily["variables"] == {"period": "24h"} and daily["schedule"].startswith("FREQ=DAILY")
    # The host that makes it is Prometheus', and knows the mail server of the alerts.
    assert values["report_mail_to"] and values["alertmanager_mail_host"] and values["alertmanager_mail_from"]
    assert next(iter(groups["monitor"]["hosts"])) in groups["alertmanager"]["hosts"]


# The longest between two runs.
GAPS = {"MINUTELY": "1h", "HOURLY": "1d", "DAILY": "1d", "WEEKLY": "7d", "MONTHLY": "31d"}


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts", "insitechart"])
def test_what_readiness_asks_for_is_made_by_the_clock_and_often_enough(system: str) -> None:
    values = said(system)
    hosts = yaml.safe_load((ROOT / "inventories" / system / "hosts.yml").read_text())["all"]
    asked = hosts["vars"]["slipway_environment"] == "production"
    jobs = read_jobs(listed(values["jobs_list"], hosts["children"]), values["jobs_timezone"])
    services = {service["name"] for service in values["app_services"]}
    for requirement in values["own_requirements"]:
        playbook = {"delivery.load": "playbooks/load.yml", "security.scan": "playbooks/scan.yml"}[
            ".".join(requirement["id"].split(".")[:2])
        ]
        makes = [job for job in jobs if job.playbook == playbook and job.schedule]
        assert makes, requirement
        for job in makes:
            assert job.schedule and job.approval == 0, "nobody is there at night"
            assert duration(GAPS[job.schedule.frequency]) < duration(requirement["max_age"]), requirement
    for job in jobs:
        if job.playbook in ("playbooks/load.yml", "playbooks/scale.yml") and job.schedule:
            assert job.variables["service"] in services
        if job.playbook in ("playbooks/load.yml", "playbooks/patch.yml") and job.schedule:
            assert job.variables.get("confirm") == ("production" if asked else None), "or its run asks nobody, and ends"
    assert any(job.playbook == "playbooks/patch.yml" and job.schedule for job in jobs)


def test_neither_the_alert_nor_the_check_of_targets_asks_for_what_need_not_run() -> None:
    meta = ROOT / "roles/prometheus/meta"
    rules = yaml.safe_load((meta / "alerts.yml").read_text())["groups"][0]["rules"]
    (down,) = (rule["expr"] for rule in rules if rule["alert"] == "TargetDown")
    (asked,) = (
        one["query"] for one in yaml.safe_load((meta / "checks.yml.j2").read_text()) if one["id"].endswith(".up")
    )
    assert 'expected!="no"' in down and asked == 'up{expected!="no"}'


def test_modelops_scales_by_the_clock_and_its_images_are_scanned() -> None:
    values = said("modelops")
    (scales,) = (job for job in values["jobs_list"] if job.get("playbook") == "playbooks/scale.yml")
    assert scales["schedule"] == "FREQ=MINUTELY;INTERVAL=1" and scales["variables"] == {"service": "api"}
    api = next(one for one in values["app_services"] if one["name"] == "api")
    hosts = yaml.safe_load((ROOT / "inventories/modelops/hosts.yml").read_text())["all"]["children"]["app"]["hosts"]
    assert (api["instances"] * len(hosts), api["scaling"]["max"] * len(hosts)) == (3, 6)
    assert (api["scaling"]["cpu_out"], api["scaling"]["cpu_in"], api["scaling"]["cooldown"]) == (70, 30, 300)
    assert "images" in values["scan_optional"]
    assert {"id": "security.scan.image.*", "tier": 1, "max_age": "8d"} in values["own_requirements"]


def test_insitechart_has_its_cache() -> None:
    groups = yaml.safe_load((ROOT / "inventories/insitechart/hosts.yml").read_text())["all"]["children"]
    assert {"redis", "redis_exporter"} <= groups.keys()
    values = said("insitechart")
    assert all("CACHE_URL" in one["environment"] for one in values["app_services"])
