from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, cluster
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.cluster import (
    Found,
    Source,
    Wanted,
    decide,
    look,
)

WANTED = Wanted(17, "main", "/data")
STANDBY = replace(WANTED, source=Source("db1", "host=db1", "db2"))
THERE = Found(entries=25, version="17", known=True, started=True)


@pytest.mark.parametrize(
    ("wanted", "found", "decision"),
    [
        (WANTED, Found(), "make"),
        (STANDBY, Found(), "make"),
        (WANTED, THERE, "keep"),
        (STANDBY, replace(THERE, standby=True), "keep"),
        (replace(WANTED, adopt=True), THERE, "keep"),
        (replace(WANTED, adopt=True), replace(THERE, known=False), "adopt"),
        # Killed while it was being made: begun anew, unless a server has run in it since.
        (WANTED, Found(entries=9, making=True), "make"),
        (WANTED, Found(entries=25, version="17", making=True), "make"),
        (WANTED, Found(entries=25, version="17", making=True, started=True), "adopt"),
    ],
)
def test_what_is_done_with_what_is_there(wanted, found, decision):
    assert decide(wanted, found) == decision


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (WANTED, Found(entries=1), "/data (17/main) is not empty (1 entries) and not known to this host"),
        (WANTED, Found(entries=25, version="17", started=True), "data of PostgreSQL 17"),
        (replace(WANTED, adopt=True), Found(entries=3), "holds no PostgreSQL data"),
        (WANTED, replace(THERE, version="16"), "Major versions are changed by upgrade.yml"),
        (
            WANTED,
            Found(known=True),
            "is its volume mounted? Nothing was changed. If the data is really gone, restore it",
        ),
        (STANDBY, Found(known=True), "set postgresql_rejoin: true for one run, which copies db1"),
        (WANTED, Found(others="15"), "has main with data of PostgreSQL 15, and the inventory says 17"),
        (WANTED, replace(THERE, elsewhere="/old"), "has its data in /old, the inventory says /data"),
        (WANTED, replace(THERE, standby=True), "is a standby, the inventory says that it is the primary"),
        (STANDBY, THERE, "the inventory says that it follows db1"),
    ],
)
def test_what_would_lose_data_is_refused_by_name(wanted, found, said):
    with pytest.raises(PostgresqlError) as caught:
        decide(wanted, found)
    assert said in str(caught.value)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "STATE", tmp_path / "state")
    monkeypatch.setattr(cluster, "CONFIGURATION", tmp_path / "etc")
    return replace(WANTED, directory=str(tmp_path / "data"))


def test_looking_at_nothing(place):
    assert look(place) == Found()


def test_a_directory_is_known_by_its_configuration_or_by_an_earlier_run(place, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    assert look(place) == Found(entries=1, version="17")
    cluster.adopt(place)
    assert look(place).known
    place.journal.unlink()
    configuration = tmp_path / "etc/17/main/postgresql.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f"#data_directory = '/x'\ndata_directory = '{data}'\n")
    assert look(place).known
    configuration.write_text("data_directory = '/elsewhere'\n")
    assert (look(place).known, look(place).elsewhere) == (False, "/elsewhere")


def test_another_version_beside_it_is_seen_while_it_has_data(place, tmp_path):
    configuration = tmp_path / "etc" / "15" / "main" / "postgresql.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f"data_directory = '{tmp_path}/15'\n")
    assert look(place).others == ""
    (tmp_path / "15").mkdir()
    (tmp_path / "15" / "PG_VERSION").write_text("15\n")
    assert look(place).others == "15"


def test_a_directory_for_a_restore_stays_empty_and_what_is_there_stays(place, monkeypatch):
    monkeypatch.setattr(cluster, "_own_directory", lambda directory: directory.mkdir())
    assert cluster.clear(place, check_mode=True) and not Path(place.directory).exists()
    assert cluster.clear(place, check_mode=False) and not list(Path(place.directory).iterdir())
    (Path(place.directory) / "somebody's").touch()
    assert not cluster.clear(place, check_mode=False) and (Path(place.directory) / "somebody's").exists()


def test_a_half_made_directory_is_recognised_as_that(place, tmp_path):
    cluster._write_journal(place, "making")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/base").mkdir()
    found = look(place)
    assert (found.making, found.known, decide(place, found)) == (True, False, "make")
    other = replace(place, directory=str(tmp_path / "other"))
    assert not look(other).making


def test_a_failure_leaves_nothing_behind(place, tmp_path, monkeypatch):
    data = tmp_path / "data"

    def fail(wanted):
        (data / "base").mkdir()
        (data / "base/1").write_text("x")
        raise PostgresqlError("No space left on device")

    monkeypatch.setattr(cluster, "_own_directory", lambda directory: directory.mkdir())
    monkeypatch.setattr(cluster, "_initialise", fail)
    with pytest.raises(PostgresqlError, match="No space left"):
        cluster.make(place)
    assert list(data.iterdir()) == [] and not place.journal.exists()


def test_a_missing_volume_is_told_before_anything_is_done(place, tmp_path):
    with pytest.raises(PostgresqlError, match="nothing is mounted on"):
        look(replace(place, mount=str(tmp_path)))
    with pytest.raises(PostgresqlError, match="is not on the volume /proc"):
        look(replace(place, mount="/proc"))


def test_a_damaged_journal_is_named(place):
    place.journal.parent.mkdir()
    place.journal.write_text("{")
    with pytest.raises(PostgresqlError, match=r"17-main\.json is damaged"):
        look(place)


def test_the_journal_says_what_is_being_made(place, monkeypatch):
    seen = []
    monkeypatch.setattr(cluster, "_own_directory", lambda directory: directory.mkdir())
    monkeypatch.setattr(cluster, "_initialise", lambda wanted: seen.append(json.loads(wanted.journal.read_text())))
    cluster.make(place)
    assert seen == [{"directory": place.directory, "phase": "making"}]
    assert json.loads(place.journal.read_text())["phase"] == "made"
