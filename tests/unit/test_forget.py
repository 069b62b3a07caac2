"""Forgetting a check that is asked no more: its last word, and nothing else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from playbook import Run, play

SITE = "application.site.answers"
TOLD = "monitoring.alert-test.delivered"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {edge1: {}}, children: {monitor: {hosts: {edge1: }}}}\n")
    given: dict[str, Any] = {"area": "application", "claim": "It answers", "verdict": "fail", "reason": "404"}
    given |= {"at": "2026-11-29T07:00:00Z"}
    records = [
        given | {"id": SITE, "subject": "old.test on edge1", "source": "health_check/http 0.1.0"},
        given | {"id": SITE, "subject": "new.test on edge1", "source": "health_check/http 0.1.0"},
        given | {"id": TOLD, "area": "monitoring", "subject": "app2", "source": "alert_delivery 0.1.0"},
        given | {"id": "delivery.deploy.result", "area": "delivery", "subject": "shop", "source": "deploy 0.1.0"},
    ]
    Store(tmp_path / "store").append(records, "run")
    return tmp_path


def forget(project: Path, *arguments: str, **variables: Any) -> Run:
    local = {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_become": False}
    given = {"evidence_store": str(project / "store")} | local | variables
    return play("forget", project / "hosts.yml", "-c", "local", *arguments, **given)


def skipped(project: Path) -> list[str]:
    return [one["subject"] for one in Store(project / "store").latest().records if one["verdict"] == "skip"]


def test_a_check_of_a_subject_that_is_gone_is_asked_no_more(project: Path) -> None:
    asked = {"check": SITE, "subject": "old.test on edge1"}
    assert forget(project, "--check", **asked).code == 0 and skipped(project) == []
    ran = forget(project, **asked)
    assert ran.code == 0 and "old.test on edge1: its evidence is asked for no more" in ran.said, ran.output
    assert "new.test" not in ran.said and skipped(project) == ["old.test on edge1"]
    again = forget(project, **asked)
    assert again.changed == 0 and "Nothing was known of application.site.answers of old.test on edge1" in again.said


def test_an_alert_test_of_a_fault_that_nobody_makes_any_more_is_asked_no_more(project: Path) -> None:
    ran = forget(project, check=TOLD, subject="app2")
    assert ran.code == 0 and skipped(project) == ["app2"], ran.output


def test_what_no_check_measured_stays(project: Path) -> None:
    ran = forget(project, check="delivery.deploy.result", subject="*")
    assert ran.code == 0 and "Nothing was known of delivery.deploy.result" in ran.said and skipped(project) == []


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"check": SITE},
        {"subject": "old.test on edge1"},
        {"check": "*", "subject": "*"},
        {"check": SITE, "subject": "old.test on edge1", "host": "gone"},
    ],
)
def test_what_could_be_meant_of_more_is_refused(project: Path, asked: dict[str, str]) -> None:
    ran = forget(project, **asked)
    assert ran.code != 0 and "Nothing was changed" in ran.said and skipped(project) == [], ran.output
