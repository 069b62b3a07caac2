"""The page of how everything is: what it says of evidence, and what it never says without any."""

from __future__ import annotations

import datetime
import html
import re
from pathlib import Path
from typing import Any

import pytest
import readiness_sample as sample
from ansible_collections.slipway.ops.plugins.filter.readiness import FilterModule as Readiness
from ansible_collections.slipway.ops.plugins.filter.status import FilterModule as Status
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from ansible_collections.slipway.ops.plugins.module_utils.jobs.schedule import parse_schedule
from ansible_collections.slipway.ops.plugins.plugin_utils.status.page import hosts_of, lives
from pages import Reader
from playbook import play

GROUPS = {"all": ["app1", "db1", "edge1"], "app": ["app1"], "postgresql": ["db1"], "edge": ["edge1"]}
JOBS = [
    {"name": "drill", "playbook": "playbooks/drill.yml", "schedule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=7", "approval": "1h"}
]
ABOUT: dict[str, Any] = {
    "system": "kiwi",
    "command": "ansible-playbook slipway.ops.status",
    "groups": GROUPS,
    "services": {"app1": [{"name": "shop"}]},
    "jobs": JOBS,
    "timezone": "Asia/Seoul",
}
NOW = sample.NOW


def record(identifier: str, subject: str, verdict: str = "pass", hours: float = 0.1, **more: Any) -> dict[str, Any]:
    at = (NOW - datetime.timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
    area = identifier.partition(".")[0]
    fields = {"id": identifier, "area": area, "subject": subject, "claim": "A claim", "verdict": verdict, "at": at}
    return fields | {"source": "health_check/x", "measured": None, "reason": None} | more


def page(evidence: dict[str, Any], language: str = "en", **about: Any) -> str:
    at = NOW.isoformat().replace("+00:00", "Z")
    verdict = Readiness().filters()["readiness"](sample.policy(), evidence["records"], [], language, at)
    return Status().filters()["status_page"](verdict, evidence, ABOUT | about, language)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_is_whole_small_and_needs_nothing_else(language: str) -> None:
    text = page(sample.evidence(), language)
    read = Reader(text)
    assert read.open == [] and len(read.ids) == len(set(read.ids))
    assert not {"script", "link", "img", "iframe", "object"} & set(read.tags)
    assert not [name for name in read.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?://", text)
    assert all(link.startswith("#") and link[1:] in read.ids for link in read.links)
    assert len(text.encode()) <= 300_000 and f'lang="{language}"' in text


def test_what_is_live_is_what_the_last_good_release_or_rollback_left() -> None:
    past = [
        record("delivery.deploy.result", "shop", hours=9, measured="1.0.0"),
        record("delivery.deploy.result", "shop", hours=5, measured="2.0.0"),
        record("delivery.rollback.result", "shop", hours=4, measured="1.0.0"),
    ]
    bad = record("delivery.deploy.result", "shop", "fail", 1, measured="3.0.0", reason="3.0.0: never healthy")
    (one,) = lives({"shop": ["app1"]}, [bad], past)
    assert (one.version, one.failed) == ("1.0.0", bad)
    text = page({"records": [bad], "history": past})
    assert "1.0.0" in text and "3.0.0: never healthy" in text
    assert one.state == "warn", "the former one is live"
    (nothing,) = lives({"other": ["app1"]}, [bad], past)
    assert (nothing.version, nothing.hosts, nothing.state) == ("", {"app1": None}, "missing")


@pytest.mark.parametrize("went_back", [True, False])
def test_a_release_that_its_bake_found_bad_is_no_good_one(went_back: bool) -> None:
    past = [
        record("delivery.deploy.result", "shop", hours=9, measured="1.0.0"),
        record("delivery.bake.result", "shop on app1", hours=8, measured="1.0.0"),
        record("delivery.deploy.result", "shop", hours=5, measured="2.0.0"),
    ]
    told = "2.0.0 was rolled back to 1.0.0 by its bake: half fails"
    healthy = record("application.containers.healthy", "shop on app1")
    bad = [record("delivery.bake.result", "shop on app1", "fail", 4, measured="2.0.0", reason=told)]
    bad += [record("delivery.bake.rollback", "shop on edge1", hours=4)] * went_back
    (one,) = lives({"shop": ["app1"]}, [healthy, past[2], *bad], past)
    assert one.failed and one.failed["reason"] == told
    assert (one.version, one.state) == (("1.0.0", "warn") if went_back else ("2.0.0", "fail"))
    assert told in page({"records": [healthy, past[2], *bad], "history": past})
    again = record("delivery.deploy.result", "shop", hours=1, measured="2.0.0")
    (mended,) = lives({"shop": ["app1"]}, [healthy, again, *bad], past)
    assert (mended.version, mended.failed, mended.state) == ("2.0.0", None, "pass")


@pytest.mark.parametrize(("verdict", "state"), [("pass", "pass"), ("fail", "fail"), ("unknown", "unknown")])
def test_a_service_is_as_its_worst_host(verdict: str, state: str) -> None:
    released = record("delivery.deploy.result", "shop", measured="1.0.0")
    known = [
        record("application.containers.healthy", "shop on app1"),
        record("application.containers.healthy", "shop on app2", verdict),
    ]
    (one,) = lives({"shop": ["app1", "app2"]}, [released, *known], [])
    assert (one.version, one.state) == ("1.0.0", state)


def test_the_playbook_writes_it_of_the_store_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {kiwi1: {}}, children: {monitor: {hosts: {kiwi1: }}}}\n")
    Store(tmp_path / "store").append([record("infrastructure.disk.root", "kiwi1", "fail", reason="97 % full")], "run")
    given = {"evidence_store": str(tmp_path / "store"), "status_file": str(tmp_path / "wall/index.html")}
    local = {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_become": False}
    run = play("status", tmp_path / "hosts.yml", "-c", "local", **given, **local)
    assert run.code == 0 and run.changed == 0, run.output
    text = (tmp_path / "wall/index.html").read_text()
    assert "97 % full" in text and "NO-GO" in text and "kiwi1" in text
    shown = {"report_host": "kiwi1", "report_root": str(tmp_path / "shown")}
    run = play("status", tmp_path / "hosts.yml", "-c", "local", **given, **local, **shown)
    assert run.code == 0 and run.changed == 0, run.output
    served = tmp_path / "shown/status.html"
    assert "97 % full" in served.read_text() and served.stat().st_mode & 0o777 == 0o644
    nobody = play("status", tmp_path / "hosts.yml", "-c", "local", **given, **local, report_host="kiwi2")
    assert nobody.code != 0 and "report_host is kiwi2, which is no host of this inventory" in nobody.said
    misspelt = play("status", tmp_path / "hosts.yml", status_fil="x")
    assert misspelt.code != 0 and "did you mean status_file?" in misspelt.said


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ([], "missing"),
        ([record("a.b.c", "app1")], "pass"),
        ([record("a.b.c", "app1", hours=2)], "stale"),
        ([record("a.b.c", "shop on app1", "warn"), record("a.b.d", "app1")], "warn"),
        ([record("a.b.c", "app1", "unknown"), record("a.b.d", "app1", "warn")], "unknown"),
        ([record("a.b.c", "app1", "fail", 20), record("a.b.d", "app1", "unknown")], "fail"),
        ([record("a.b.c", "app1", "skip")], "missing"),
        ([record("a.b.c", "app10", "fail")], "missing"),
        ([record("a.b.c", "app1", source="drill/postgresql")], "missing"),
    ],
)
def test_a_host_is_as_its_worst_check_and_without_fresh_ones_not_well(records: list[Any], state: str) -> None:
    (host,) = hosts_of({"all": ["app1"]}, records, NOW)
    assert host.state == state


def test_troubles_are_told_and_escaped() -> None:
    bad = record("infrastructure.disk.root", "db1", "fail", reason="<script>alert(1)</script> 97 %")
    text = page({"records": [bad], "history": []})
    assert "<script>" not in text and html.escape("<script>alert(1)</script> 97 %") in text


def test_hosts_of_somebody_else_are_left_out() -> None:
    names = [host.name for host in hosts_of(GROUPS | {"slipway": ["app1"]}, [], NOW)]
    assert names == ["app1"]


def test_without_jobs_there_is_no_table_of_them() -> None:
    assert "2026-11-22 07:00 Asia/Seoul" in page(sample.evidence())
    assert 'id="jobs"' not in page(sample.evidence(), jobs=[])


@pytest.mark.parametrize(
    ("rule", "zone", "moment", "expected"),
    [
        ("FREQ=MINUTELY;INTERVAL=15", "Etc/UTC", "2026-11-21T12:00:00", "2026-11-21T12:15:00"),
        ("FREQ=HOURLY;INTERVAL=6;BYMINUTE=7", "Asia/Seoul", "2026-11-21T15:07:00", "2026-11-21T21:07:00"),
        ("FREQ=WEEKLY;BYDAY=SU;BYHOUR=7", "Asia/Seoul", "2026-11-21T22:00:00", "2026-11-28T22:00:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=28", "Etc/UTC", "2026-12-28T00:00:00", "2027-01-28T00:00:00"),
        ("FREQ=DAILY;BYHOUR=4,16", "Europe/Berlin", "2027-03-27T15:00:00", "2027-03-28T02:00:00"),
        # Berlin has no 02:30 on that day, and two of them on the other.
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin", "2027-03-27T12:00:00", "2027-03-29T00:30:00"),
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin", "2027-10-30T12:00:00", "2027-10-31T00:30:00"),
    ],
)
def test_the_next_time_of_a_schedule(rule: str, zone: str, moment: str, expected: str) -> None:
    at = datetime.datetime.fromisoformat(f"{moment}+00:00")
    found = parse_schedule(rule, zone).after(at).astimezone(datetime.timezone.utc)
    assert found.isoformat() == f"{expected}+00:00"
