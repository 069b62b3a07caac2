"""Recoveries: begun in an empty directory alone, gone on with when they were killed, ended once."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import (
    RestoreError,
    journal,
    recovery,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import Cluster

NOON = 1795262400.0  # 2026-11-21 12:00:00 UTC


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "STATE", tmp_path / "state")
    return Cluster(17, "main", tmp_path / "data", 0, "main", 1)


def restore(cluster, run, phase):
    last = journal.Journal(run, str(cluster.directory), "", "label", "the latest state")
    journal.keep(journal.path(17, "main"), last, phase)


def test_it_begins_in_an_empty_directory_and_goes_on(cluster):
    begun = recovery.begin(cluster, "db1", "first", NOON)
    cluster.directory.mkdir()
    (cluster.directory / "half").touch()
    assert recovery.begin(cluster, "db1", "second", NOON + 60) == begun and begun.run == "first"
    assert "1m ago" in recovery.line(begun, "db1", False, NOON + 60)


def test_data_is_never_overwritten(cluster):
    cluster.directory.mkdir()
    (cluster.directory / "PG_VERSION").touch()
    with pytest.raises(
        RestoreError, match=r"has the data of a stopped server.*restore_confirm=db1/main.*Nothing was changed"
    ):
        recovery.begin(cluster, "db1", "first", NOON)
    assert recovery.load(cluster) is None


def test_check_mode_notes_nothing(cluster):
    recovery.begin(cluster, "db1", "first", NOON, check_mode=True)
    assert recovery.load(cluster) is None


def test_only_its_own_finished_restore_counts(cluster):
    begun = recovery.begin(cluster, "db1", "first", NOON)
    for run, phase, restored in (("first", "recovering", False), ("other", "done", False), ("first", "done", True)):
        restore(cluster, run, phase)
        assert recovery.is_restored(cluster, begun) is restored


def test_it_is_measured_from_its_first_run_and_ends_once(cluster):
    recovery.begin(cluster, "db1", "first", NOON)
    with pytest.raises(RestoreError, match=r"run recover[.]yml again"):
        recovery.end(cluster, "db1", NOON + 90)
    restore(cluster, "first", "done")
    (result,) = recovery.end(cluster, "db1", NOON + 90)
    assert (result.id, result.measured, result.verdict) == ("data.recover.postgresql.result", 90.0, "pass")
    recovery.forget(cluster)
    assert recovery.end(cluster, "db1", NOON + 91) == []


def test_a_damaged_note_stops_it(cluster):
    recovery.begin(cluster, "db1", "first", NOON)
    recovery.path(cluster).write_text("{")
    with pytest.raises(RestoreError, match="is damaged"):
        recovery.begin(cluster, "db1", "second", NOON)
