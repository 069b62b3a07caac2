"""Alerts of roles: complete, each proven to fire and to stay silent; targets as one Prometheus reaches them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.prometheus import rule_files
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.alerts import (
    change_problems,
    changed,
    read_alerts,
    rules_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.scrape import jobs, out_of_reach

ROOT = Path(__file__).resolve().parents[2]
BRINGING = sorted(ROOT.glob("roles/*/meta/alerts.yml"))
ROLES = [path.parents[1].name for path in BRINGING]
PROMTOOL = shutil.which("promtool")


def rule(**different: Any) -> dict[str, Any]:
    complete = {
        "alert": "Down",
        "expr": "up == 0",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "It is down", "runbook": "Start it"},
    }
    return complete | different


def groups(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "shop", "rules": list(rules)}]


@pytest.mark.parametrize("path", BRINGING, ids=ROLES)
def test_every_alert_is_complete_and_its_test_has_it_fire_and_stay_silent(path: Path) -> None:
    brought = read_alerts(path.parents[1].name, yaml.safe_load(path.read_text()))
    severities = {one["alert"]: one["labels"]["severity"] for one in rules_of(brought)}
    tests = yaml.safe_load(path.with_name("alerts_test.yml").read_text())
    assert tests["rule_files"] == ["alerts.yml"]
    silent_first: dict[str, str] = {}
    for test in tests["tests"]:
        first, *later = [fired(check) for check in test["promql_expr_test"]]
        silent_first |= {name: severity for each in later for name, severity in each.items() if name not in first}
    assert silent_first == severities


def fired(check: dict[str, Any]) -> dict[str, str]:
    """By the names of alerts that a check expects to fire, their severities."""
    return dict(re.findall(r'"(.*?)"', sample["labels"]) for sample in check["exp_samples"])


@pytest.mark.parametrize("path", BRINGING, ids=ROLES)
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here; scenario prometheus runs it")
def test_promtool_has_them_fire_and_stay_silent(path: Path) -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "alerts_test.yml"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"labels": {}}, "alert Down of role shop has severity None, not one of critical, warning, info"),
        ({"labels": {"severity": "bad"}}, "has severity bad"),
        ({"annotations": {"summary": "It is down"}}, "lacks runbook among its annotations"),
        ({"annotations": {"runbook": "Start it", "summary": " "}}, "lacks summary"),
        ({"annotations": None}, "lacks summary and runbook"),
    ],
)
def test_an_alert_that_says_too_little_is_refused(different: dict[str, Any], said: str) -> None:
    with pytest.raises(CardError, match=said):
        read_alerts("shop", {"groups": groups(rule(**different))})


def test_what_is_no_rule_file_is_refused_and_recording_rules_are_not() -> None:
    wrong: list[Any] = [None, [], {"groups": "x"}, {"rules": []}]
    for data in wrong:
        with pytest.raises(CardError, match="alerts of role shop need groups"):
            read_alerts("shop", data)
    assert read_alerts("shop", {"groups": groups({"record": "a:b", "expr": "b"})})


def test_an_inventory_changes_alerts_and_leaves_the_others() -> None:
    other = rule(alert="Slow")
    assert changed(groups(rule(), other), {"Down": {"for": "5m", "severity": "info", "enabled": True}}) == groups(
        rule(**{"for": "5m", "labels": {"severity": "info"}}), other
    )
    assert changed(groups(rule(), other), {"Down": {"enabled": False}}) == groups(other)


def test_changes_that_cannot_be_meant_are_told() -> None:
    assert list(change_problems(["DiskFull"], {"DiskFull": {"for": "1m"}})) == []
    assert list(change_problems(["DiskFull"], {"DiskFul": {"fro": "1m", "severity": "bad"}})) == [
        "no role of this inventory has an alert DiskFul; did you mean DiskFull?",
        "of alert DiskFul, for, expr, severity, enabled can be changed, not fro",
        "severity of alert DiskFul is bad, not one of critical, warning, info",
    ]


def target(host: str, job: str, address: str = "0.0.0.0", **more: Any) -> dict[str, Any]:
    return {"host": host, "reached_at": host, "role": job, "job": job, "port": "9100", "address": address} | more


def test_targets_of_one_login_are_one_job_and_names_stay_unique() -> None:
    secret = {"username": "p", "password": "s"}
    found = jobs(
        [target("a", "node", **secret), target("b", "node"), target("c", "node", **secret), target("a", "x")], "m"
    )
    assert [
        (one["name"], one["job"], one["password"], [there["address"] for there in one["targets"]]) for one in found
    ] == [
        ("node", "node", "s", ["a:9100", "c:9100"]),
        ("node-2", "node", "", ["b:9100"]),
        ("x", "x", "", ["a:9100"]),
    ]


def test_a_target_is_asked_where_it_listens() -> None:
    told = [
        target("m", "own", "127.0.0.1"),
        target("m", "own6", "::1"),
        target("a", "other", "10.0.0.1", reached_at="fd00::5", scheme="https", path="/m"),
        target("a", "away", "localhost"),
    ]
    there = {one["job"]: one["targets"][0] for one in jobs(told, "m")}
    assert {job: one["address"] for job, one in there.items()} == {
        "own": "127.0.0.1:9100",
        "own6": "[::1]:9100",
        "other": "[fd00::5]:9100",
    }
    assert (there["other"]["scheme"], there["other"]["path"]) == ("https", "/m")
    assert out_of_reach(told, "m") == ["a: away listens on localhost, where Prometheus on m cannot scrape it"]


@pytest.mark.parametrize(("objective", "budget"), [(99.9, "0.1"), (99.95, "0.05"), (99, "1"), (99.999, "0.001")])
def test_what_may_fail_is_a_series_that_alerts_compare_with(objective: float, budget: str) -> None:
    """99.9 is no number of the computer's: its rest would be 0.0999999999999943."""
    own = [{"name": "mine", "rules": []}]
    [file] = rule_files([], {}, own, objective)
    first, second = yaml.safe_load(file["content"])["groups"]
    assert (
        first["rules"] == [{"record": "slipway:error_budget:percent", "expr": f"vector({budget})"}] and second == own[0]
    )
