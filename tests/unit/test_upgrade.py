"""Upgrades: what the gate lets through, what is refused before anything changes, what initdb and operators are told."""

from __future__ import annotations

import datetime
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import control
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import (
    Untouched,
    UpgradeError,
    gate,
    journal,
    postgresql,
    programs,
    report,
    way_back,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended

NOON = 1795262400.0  # 2026-11-21 12:00:00 UTC
DAY = 86400.0


def drilled(age, verdict="pass", subject="main", reason=None):
    at = datetime.datetime.fromtimestamp(NOON - age, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"id": "data.drill.postgresql.result", "subject": subject, "verdict": verdict, "at": at, "reason": reason}


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no restore drill of main is on record"),
        ([drilled(DAY, subject="other"), {**drilled(DAY), "id": "data.drill.postgresql.rto"}], "no restore drill"),
        ([drilled(8.5 * DAY)], "was 8d12h ago, more than 8d"),
        ([drilled(2 * DAY), drilled(DAY, "fail", reason="WAL is missing")], "failed: WAL is missing"),
        ([drilled(DAY, "skip")], "no restore drill"),
    ],
    ids=["none", "another's", "old", "the last one failed", "skipped"],
)
def test_the_gate_is_closed(records, words):
    assert words in gate.obstacle(records, "main", NOON)


@pytest.mark.parametrize(
    "records",
    [
        [drilled(7.9 * DAY)],
        [drilled(3 * DAY, "fail"), drilled(DAY)],
        [drilled(DAY), drilled(60, "skip")],
        [drilled(DAY, subject="main/repo2")],
    ],
)
def test_the_gate_is_open(records):
    assert gate.obstacle(records, "main", NOON) == ""


SHAPE = {"encoding": "UTF8", "datcollate": "C.UTF-8", "datctype": "C.UTF-8", "segment": 16 * 2**20, "checksums": True}


def test_a_new_cluster_has_the_old_ones_shape():
    options = programs.initdb_options({**SHAPE, "datlocprovider": "c"}, 17)
    assert {"--lc-collate=C.UTF-8", "--wal-segsize=16", "--data-checksums"} <= set(options)
    icu = programs.initdb_options({**SHAPE, "datlocprovider": "i", "daticulocale": "und", "checksums": False}, 18)
    assert {"--locale-provider=icu", "--icu-locale=und", "--no-data-checksums"} <= set(icu)
    assert not any("checksums" in option for option in programs.initdb_options({**SHAPE, "checksums": False}, 17))


def test_pg_upgrades_reason_is_one_line_with_what_its_files_say(tmp_path):
    listed = tmp_path / "tables_using_reg.txt"
    listed.write_text("In database: shop\n  public.odd.number\n")
    said = (
        "Performing Consistency Checks\n-----------------------------\n"
        "Checking cluster versions                                     ok\n"
        "Checking for reg* data types in user tables                   fatal\n\n"
        "Your installation contains one of the reg* data types in user tables.\n"
        f"A list of the problem columns is in the file:\n    {listed}\nFailure, exiting\n"
    )
    told = programs.words(said, tmp_path)
    assert "\n" not in told and "Checking cluster versions" not in told
    assert "one of the reg* data types" in told and "(public.odd.number)" in told


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "STATE", tmp_path / "state")
    monkeypatch.setattr(way_back, "CONFIGURATION", tmp_path / "etc")
    monkeypatch.setattr(postgresql.clusters, "__defaults__", (tmp_path / "etc",))
    return postgresql.Wanted(17, "main", tmp_path / "data" / "17", 5432, "db1", "run", drills=[drilled(DAY)])


def cluster(tmp_path, version):
    (tmp_path / "etc" / str(version) / "main").mkdir(parents=True)
    (tmp_path / "data" / str(version)).mkdir(parents=True)
    (tmp_path / "data" / str(version) / "PG_VERSION").write_text(f"{version}\n")
    configuration = tmp_path / "etc" / str(version) / "main" / "postgresql.conf"
    configuration.write_text(f"data_directory = '{tmp_path}/data/{version}'\n")


def upgrade(tmp_path, phase="serving", mode="copy"):
    entry = journal.Upgrade(
        "first", 15, 17, str(tmp_path / "data/15"), str(tmp_path / "data/17"), mode, NOON, phase=phase
    )
    served = NOON + 14.5 if entry.reached("serving") else 0.0
    return journal.keep("main", entry, phase, stopped=NOON + 10, served=served)


def test_what_has_the_version_is_left_alone(wanted, tmp_path):
    cluster(tmp_path, 17)
    made = postgresql.plan(wanted, NOON)
    assert made.entry is None and "has PostgreSQL 17 already" in made.lines[0]


def test_what_nobody_made_is_not_overwritten(wanted, tmp_path):
    cluster(tmp_path, 15)
    wanted.directory.mkdir(parents=True)
    (wanted.directory / "somebody's").touch()
    with pytest.raises(Untouched, match=r"is not empty, and no upgrade made it"):
        postgresql.plan(wanted, NOON)


def test_one_old_cluster_is_needed(wanted, tmp_path):
    with pytest.raises(Untouched, match=r"has no cluster named main before 17"):
        postgresql.plan(wanted, NOON)
    cluster(tmp_path, 15)
    cluster(tmp_path, 16)
    with pytest.raises(UpgradeError, match=r"has clusters of 15 and 16 named main"):
        postgresql.plan(wanted, NOON)


def test_an_upgrade_under_way_goes_on_and_no_other_begins(wanted, tmp_path):
    entry = upgrade(tmp_path, "upgrading")
    assert postgresql.plan(wanted, NOON).entry == entry
    other = postgresql.Wanted(18, "main", tmp_path / "18", 5432, "db1", "run")
    with pytest.raises(UpgradeError, match=r"an upgrade from 15 to 17 is under way") as refused:
        postgresql.plan(other, NOON)
    assert not isinstance(refused.value, Untouched)  # its members are stopped, and it does not serve as before


@pytest.mark.parametrize(
    ("phase", "mode", "version", "confirm", "words"),
    [
        ("upgrading", "copy", 15, "db1/main", "has no upgrade of main that could be taken back"),
        ("done", "copy", 17, "db1/main", "set postgresql_version back to 15"),
        ("done", "link", 15, "db1/main", "were linked and not copied"),
        ("done", "copy", 15, "db1", "type -e upgrade_confirm=db1/main"),
    ],
)
def test_a_way_back_is_refused(wanted, tmp_path, phase, mode, version, confirm, words):
    cluster(tmp_path, 15)
    upgrade(tmp_path, phase, mode)
    asked = postgresql.Wanted(version, "main", tmp_path / "x", 5432, "db1", "run", confirm=confirm)
    with pytest.raises(Untouched, match=words):
        way_back.check_revert(asked, NOON)


def test_there_is_a_way_back(wanted, tmp_path):
    cluster(tmp_path, 15)
    for phase, mode in (("done", "copy"), ("serving", "copy"), ("upgraded", "link")):
        entry = upgrade(tmp_path, phase, mode)
        asked = postgresql.Wanted(15, "main", tmp_path / "x", 5432, "db1", "run", confirm="db1/main")
        assert way_back.check_revert(asked, NOON) == entry


def test_a_pg_upgrade_that_outlived_its_run_is_left_alone(wanted, tmp_path, monkeypatch):
    """It may write into the old files: the old server must not start meanwhile."""
    entry = upgrade(tmp_path, "upgrading", "link")

    def refuse(_):
        raise UpgradeError("pg_upgrade of a run that was killed still runs")

    monkeypatch.setattr(programs, "refuse_running", refuse)
    monkeypatch.setattr(postgresql, "_give_up", lambda *_: pytest.fail("the old server was started"))
    with pytest.raises(UpgradeError, match=r"still runs$"):
        postgresql.prepare(wanted, entry)
    assert journal.load("main") == entry


def test_a_way_back_that_was_killed_goes_on_and_nothing_else_begins(wanted, tmp_path):
    cluster(tmp_path, 15)
    entry = upgrade(tmp_path, "reverting")
    with pytest.raises(UpgradeError, match=r"going back from 17 to 15 was not finished: .*rollback=true"):
        postgresql.plan(wanted, NOON)
    asked = postgresql.Wanted(15, "main", tmp_path / "x", 5432, "db1", "run", confirm="db1/main")
    assert way_back.check_revert(asked, NOON) == entry
    with pytest.raises(UpgradeError, match=r"is not finished; everything stays"):
        way_back.discard(asked)


def test_a_member_of_patroni_is_what_its_configuration_says(wanted, tmp_path, monkeypatch):
    cluster(tmp_path, 15)
    (tmp_path / "etc/15/main/postgresql.conf").write_text("# Patroni names no directory\n")
    own = tmp_path / "data/15"
    monkeypatch.setattr(postgresql.Client, "of_this_host", lambda: SimpleNamespace(directory=own))
    monkeypatch.setattr(postgresql, "_look", lambda *_: [])
    made = postgresql.plan(replace(wanted, scope="main"), NOON)
    assert made.entry and (made.entry.old, made.entry.source) == (15, str(own))
    # What an upgrade kept counts too: the next one would lose sight of it.
    upgrade(tmp_path, "done")
    cluster(tmp_path, 17)
    own = tmp_path / "data/17"
    later = replace(wanted, scope="main", version=18, directory=tmp_path / "data/18")
    with pytest.raises(UpgradeError, match=r"has clusters of 15 and 17 .*upgrade_discard=true"):
        postgresql.plan(later, NOON)


def test_pg_upgrades_servers_have_what_the_old_one_preloads(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "CONFIGURATION", tmp_path)
    side = programs.Side(17, "main", tmp_path / "data", "pg_stat_statements, pg_cron")
    assert "-c shared_preload_libraries=pg_stat_statements,pg_cron -c ssl=off" in side.options
    (tmp_path / "17/main").mkdir(parents=True)
    (tmp_path / "17/main/postgresql.conf").touch()
    assert f"-c config_file={tmp_path}/17/main/postgresql.conf" in side.options
    assert "shared_preload_libraries" not in side.options


def test_the_control_file_tells_whose_data_it_is(tmp_path, monkeypatch):
    said = "pg_control version number:            1300\nDatabase system identifier:           7710813115109036615\n"
    monkeypatch.setattr(control, "run", lambda *_: Ended(0, said, ""))
    side = programs.Side(17, "main", tmp_path)
    assert programs.identifier(side) == "7710813115109036615"
    monkeypatch.setattr(control, "run", lambda *_: Ended(1, "", "pg_controldata: error: could not open file"))
    with pytest.raises(UpgradeError, match=r"says no system identifier: pg_controldata: error: could not open file"):
        programs.identifier(side)


def test_what_is_recorded(wanted, tmp_path):
    entry = upgrade(tmp_path)
    result, downtime = report.upgraded(wanted, entry, NOON + 60)
    assert (result.verdict, result.measured, downtime.measured) == ("pass", 60.0, 4.5)
    entry = journal.keep("main", entry, "serving", reason="no drill; went on because: an emergency")
    assert report.upgraded(wanted, entry, NOON + 60)[0].verdict == "warn"
    assert report.failed(wanted, entry, "no room", NOON + 1)[0].reason == "no room"


def test_what_is_kept_goes_only_when_it_is_over(wanted, tmp_path):
    cluster(tmp_path, 15)
    upgrade(tmp_path, "serving")
    with pytest.raises(UpgradeError, match=r"is not finished; everything stays"):
        way_back.discard(wanted)
    upgrade(tmp_path, "done")
    assert "data/15 was removed" in way_back.discard(wanted)
    assert not (tmp_path / "data/15").exists() and not (tmp_path / "etc/15/main").exists()
    assert way_back.discard(wanted) == ""
