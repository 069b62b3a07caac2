"""The one shape of backups: against limits, as results, as a table, as metrics; and the engines of a host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, engine
from ansible_collections.slipway.ops.plugins.module_utils.data.metrics import exposition, publish
from ansible_collections.slipway.ops.plugins.module_utils.data.status import (
    Limits,
    Status,
    judge,
    moment,
    results,
    with_results,
    worst,
)
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import survey
from ansible_collections.slipway.ops.plugins.module_utils.data.table import table
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_795_000_000.0
HOUR, DAY = 3600.0, 86400.0
LIMITS = Limits(age=3 * HOUR, full_age=26 * HOUR, verified=8 * DAY, drill=8 * DAY, rto=4 * HOUR, rpo=DAY)
GOOD = Status(
    engine="postgresql",
    name="main",
    last_success=moment(NOW - 600),
    kind="incr",
    age=600.0,
    full_success=moment(NOW - 10 * HOUR),
    full_age=10 * HOUR,
    backups=34,
    size=2**30,
    stored=2**20,
    duration=7.0,
)


def record(identifier, verdict="pass", measured=None, age=DAY, subject="main"):
    return {"id": identifier, "subject": subject, "verdict": verdict, "measured": measured, "at": moment(NOW - age)}


PROVEN = [
    record("data.backup.verified", measured=12.0),
    record("data.drill.postgresql.result"),
    record("data.drill.postgresql.rto", measured=41.0),
    record("data.drill.postgresql.rpo", measured=61.0),
]


def judged(status=GOOD, records=PROVEN):
    return judge(with_results(status, records, NOW), LIMITS)


def test_what_was_proven_lately_passes():
    state = judged()
    assert (state.verdict, state.problems) == ("pass", ())
    assert (state.verified_age, state.drill_age, state.rto, state.rpo) == (DAY, DAY, 41.0, 61.0)


@pytest.mark.parametrize(
    ("state", "verdict", "words"),
    [
        (judged(replace(GOOD, age=4 * HOUR)), "fail", "the newest backup of main was 4h ago, more than 3h"),
        (judged(replace(GOOD, full_age=30 * HOUR)), "fail", "newest full backup of main was 1d6h ago, more than 1d2h"),
        (judged(replace(GOOD, full_age=None)), "fail", "newest full backup of main never happened"),
        (judged(Status("postgresql", "main")), "fail", "there is no backup of main yet"),
        (judged(Status("postgresql", "main", trouble="unreadable")), "fail", "unreadable"),
        (judged(records=PROVEN[1:]), "warn", "the last verification of main never happened"),
        (judged(records=PROVEN[:1]), "warn", "the last restore drill of main never happened"),
        (judged(records=[*PROVEN, record("data.backup.verified", "fail", age=60)]), "fail", "1m ago, found damage"),
        (judged(records=[*PROVEN, record("data.drill.postgresql.result", "fail", age=60)]), "fail", "1m ago, failed"),
        (
            judged(records=[*PROVEN, record("data.drill.postgresql.rto", "fail", 5 * HOUR, 60)]),
            "fail",
            "RTO of main is 5h",
        ),
    ],
)
def test_each_lapse_has_its_verdict_and_sentence(state, verdict, words):
    assert state.verdict == verdict and words in " ".join(state.problems), state.problems


def test_only_the_newest_of_this_backup_counts():
    records = [
        *PROVEN,
        record("data.backup.verified", "fail", age=2 * DAY),  # mended since
        record("data.backup.verified", "fail", age=60, subject="other"),
        record("data.backup.verified", "skip", age=60),
        record("data.drill.redis.result", "fail", age=60),
    ]
    assert judged(records=list(reversed(records))).verdict == "pass"
    assert worst([judged(), judged(records=[])]) == "warn" and worst([]) == "fail"


def test_results_are_evidence():
    for state in (judged(), judged(Status("postgresql", "main")), judged(replace(GOOD, age=4 * HOUR))):
        for result in results(state):
            assert validated(result.as_dict(), "run")
    # Age has one producer, the health check: what a backup leaves behind would be young for ever.
    assert [result.id for result in results(judged())] == ["data.backup.size"]
    assert results(judged(Status("postgresql", "main"))) == []


def test_the_table_says_what_is_wrong_beneath():
    lines = table([judged(), judged(Status("postgresql", "other"), [])])
    assert lines[1].split()[:3] == ["pass", "postgresql", "main"] and "10m (<= 3h)" in lines[1]
    assert "pass 1d ago" in lines[1] and "41s (<= 4h)" in lines[1] and "1m1s (<= 1d)" in lines[1]
    assert "never" in lines[2] and lines[3].strip() == "there is no backup of other yet"


def test_each_engine_has_a_textfile_that_no_other_writes(tmp_path):
    (tmp_path / "slipway_backup.prom").write_text("of a former version, with the same metrics")
    assert publish([judged(), judged(Status("redis", "cache"), [])], str(tmp_path))
    assert publish([judged(Status("redis", "cache", backups=1), [])], str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "slipway_backup_postgresql.prom",
        "slipway_backup_redis.prom",
    ]
    assert "redis" not in (tmp_path / "slipway_backup_postgresql.prom").read_text()


def test_metrics_leave_out_what_is_unknown(tmp_path):
    text = exposition([judged(), judged(Status("postgresql", "other"), [])])
    assert f'slipway_backup_last_success_timestamp_seconds{{engine="postgresql",name="main"}} {NOW - 600!r}' in text
    assert 'slipway_backup_last_success_timestamp_seconds{engine="postgresql",name="other"}' not in text
    assert 'slipway_backup_backups{engine="postgresql",name="other"} 0' in text
    assert text.count("# TYPE slipway_backup_rto_seconds gauge") == 1
    assert publish([judged()], str(tmp_path)) and not publish([judged()], str(tmp_path))
    assert not publish([judged()], str(tmp_path / "missing")) and not publish([judged()], "")
    assert (tmp_path / "slipway_backup_postgresql.prom").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("role", "of"), [("pgbackrest", "postgresql"), ("mongodump", "mongodb"), ("redis", "redis"), ("restic", "files")]
)
def test_a_host_whose_backups_are_gone_has_none_and_each_engine_alerts_of_that(role, of):
    text = exposition([judged(Status(of, "other", trouble="the repository is gone"), [])])
    assert f'slipway_backup_backups{{engine="{of}",name="other"}} 0' in text and "last_success" not in text
    groups = yaml.safe_load((ROOT / f"roles/{role}/meta/alerts.yml").read_text())["groups"]
    critical = [rule["expr"] for rule in groups[0]["rules"] if rule["labels"]["severity"] == "critical"]
    assert f'slipway_backup_backups{{engine="{of}"}} == 0' in critical


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host that makes backups; what pgBackRest would say is GOOD."""
    known = {"postgresql": SimpleNamespace(statuses=lambda settings, now: [GOOD])}
    monkeypatch.setattr(engine, "names", lambda: sorted(known))
    monkeypatch.setattr(engine, "load", known.__getitem__)
    (tmp_path / "postgresql.json").write_text(json.dumps({"limits": {"age": 60, "unknown": 1}}))
    return {"directory": str(tmp_path), "spool": str(tmp_path / "spool"), "now": NOW}


def test_a_survey_knows_the_hosts_limits_and_results(host):
    Spool(host["spool"]).leave([record("data.backup.verified", "fail", age=60)], "test")
    (state,) = survey(**host)
    assert state.limits == Limits(age=60) and len(state.problems) == 2
    (state,) = survey(["postgresql"], [record("data.backup.verified", age=30)], **host)
    assert state.verified_verdict == "pass"


def test_a_survey_says_what_it_lacks(host, tmp_path):
    with pytest.raises(BackupError, match="makes no backups of redis"):
        survey(["redis"], **host)
    (tmp_path / "postgresql.json").write_text("{")
    with pytest.raises(BackupError, match="run the engine's role again"):
        survey(**host)
    (tmp_path / "postgresql.json").unlink()
    with pytest.raises(BackupError, match="makes no backups of anything"):
        survey(**host)


def test_another_engines_file_known_or_not_stops_nobody(host, tmp_path, monkeypatch):
    (tmp_path / "oracle.json").write_text("{")
    assert [state.engine for state in survey(**host)] == ["postgresql"]
    redis = SimpleNamespace(statuses=lambda settings, now: [Status("redis", settings["name"])])
    known = {"postgresql": engine.load("postgresql"), "redis": redis}
    monkeypatch.setattr(engine, "names", lambda: sorted(known))
    monkeypatch.setattr(engine, "load", known.__getitem__)
    (tmp_path / "redis.json").write_text("{")
    assert [state.engine for state in survey(["postgresql"], **host)] == ["postgresql"]
    (one, other) = survey(**host)
    assert one.age == GOOD.age and other.verdict == "fail"
    assert "redis.json cannot be read" in other.problems[0] and "run the engine's role again" in other.problems[0]
    (tmp_path / "redis.json").write_text("{}")
    assert survey(**host)[1].problems[0] == "its configuration lacks 'name'; run the engine's role again"
