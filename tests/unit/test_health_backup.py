"""The kind `backup` of health checks: what it makes of the state of backups; whose backups roles ask for."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits, Status
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckUnknown, worst
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import backup as kind

HOUR = 3600.0
GOOD = Status("postgresql", "main", age=HOUR, full_age=10 * HOUR, backups=3, limits=Limits(age=3 * HOUR))
OLD = Status("postgresql", "shop", age=5 * HOUR, full_age=40 * HOUR, backups=3, limits=Limits(age=3 * HOUR))


def check(monkeypatch, *statuses, **options):
    def survey(engines):
        assert engines == ["postgresql"]
        if not statuses:
            raise BackupError("this host makes no backups of postgresql")
        return list(statuses)

    monkeypatch.setattr(kind, "ask", survey)
    (defined,) = define([{"kind": "backup", **options}], KINDS)
    return worst(asyncio.run(defined.measure(HttpClient())))


def test_the_age_is_held_against_the_given_limit_or_the_roles(monkeypatch):
    found = check(monkeypatch, GOOD)
    assert (found.verdict, found.measured, found.unit, found.limit) == ("pass", 1, "h", "<= 3")
    found = check(monkeypatch, GOOD, age="< 30 min")
    assert found.verdict == "fail" and found.reason == "the age of the newest backup of main is 60 min, wanted < 30 min"
    assert check(monkeypatch, Status("postgresql", "main", age=9e9)).verdict == "pass"  # nobody set a limit


def test_every_backup_of_the_host_counts_unless_one_is_named(monkeypatch):
    assert "of shop is 5 h" in check(monkeypatch, GOOD, OLD).reason
    assert check(monkeypatch, GOOD, OLD, of="main").verdict == "pass"
    with pytest.raises(CheckUnknown, match="no backup of x; it makes those of main, shop"):
        check(monkeypatch, GOOD, OLD, of="x")
    with pytest.raises(CheckUnknown, match="makes no backups of postgresql"):
        check(monkeypatch)


@pytest.mark.parametrize(
    ("status", "options", "reason"),
    [
        (Status("postgresql", "main"), {}, "there is no backup of main yet"),
        (Status("postgresql", "main", trouble="wrong key"), {}, "wrong key"),
        (GOOD, {"full_age": "< 8 h"}, "the age of the newest full backup of main is 10 h, wanted < 8 h"),
        (GOOD, {"verified": "< 8 d"}, "the backups of main were never verified"),
        (GOOD, {"drill": "< 8 d"}, "no restore of main was ever drilled"),
        (replace(GOOD, verified_verdict="fail"), {}, "the last verification of main found damage"),
        (GOOD, {"rto": "< 4 h"}, "no drill has measured the RTO of main"),
        (Status("postgresql", "main", age=1.0, rto=5 * HOUR), {"rto": "< 4 h"}, "the RTO of main is 5 h, wanted < 4 h"),
    ],
)
def test_each_lapse_has_its_sentence(monkeypatch, status, options, reason):
    found = check(monkeypatch, status, **options)
    assert (found.verdict, found.reason) == ("fail", reason)


@pytest.mark.parametrize("role", ["redis", "mongodump", "restic"])
def test_a_role_with_an_engine_of_its_own_asks_for_its_own_backups(role):
    meta = Path(__file__).resolve().parents[2] / "roles" / role / "meta"
    engine = yaml.safe_load((meta / "card.yml").read_text())["engine"]
    asked = re.findall(r"kind: backup\n  engine: (\w+)\n", (meta / "checks.yml.j2").read_text())
    assert asked == [engine, engine]


WEEKLY = Limits(verified=8 * 24 * HOUR, drill=8 * 24 * HOUR)
PROVEN = replace(GOOD, verified_age=HOUR, verified_verdict="pass", drill_age=HOUR, drill_verdict="pass", limits=WEEKLY)


def test_a_backup_that_nobody_restored_lately_is_no_proof(monkeypatch):
    assert check(monkeypatch, PROVEN, proven=True).verdict == "pass"
    found = check(monkeypatch, replace(PROVEN, drill_age=None, drill_verdict=None), proven=True)
    assert found.verdict == "fail" and "last restore drill of main never happened" in found.reason
    assert "drill.yml" in found.reason and "-e engine=postgresql" in found.reason
    found = check(monkeypatch, replace(PROVEN, verified_age=9 * 24 * HOUR), proven=True)
    assert found.verdict == "fail" and "last verification of main was 9d ago" in found.reason
    assert check(monkeypatch, replace(PROVEN, drill_age=None, limits=Limits()), proven=True).verdict == "pass"
    none_yet = Status("postgresql", "main", limits=WEEKLY)  # of which its age is said to fail
    assert check(monkeypatch, none_yet, proven=True).verdict == "pass"
