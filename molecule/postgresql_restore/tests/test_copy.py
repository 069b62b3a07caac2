"""Another host gets the data as it was at a point, again and again; the original and its archive do not notice."""

from __future__ import annotations

import pytest
from four_hosts import archived_timelines, backup, copy1, db1, follows, numbers, restore

testinfra_hosts = ["backup1"]


@pytest.fixture(scope="module")
def points() -> dict[str, str]:
    """Transaction and LSN of one row each, in the WAL after a backup."""
    db1.sql("drop table if exists orders; create table orders (number bigint, words text)")
    backup("incr")
    xid = db1.sql("insert into orders values (1, 'one') returning pg_current_xact_id()")
    db1.sql("insert into orders values (2, 'two')")
    lsn = db1.sql("select pg_current_wal_insert_lsn()")
    db1.sql("insert into orders values (3, 'three'); select pg_switch_wal()")
    return {"xid": xid, "lsn": lsn}


@pytest.mark.parametrize(("kind", "rows"), [("xid", {1}), ("lsn", {1, 2})])
def test_a_point_is_looked_at_elsewhere(points, kind, rows):
    before, started = archived_timelines(), db1.sql("select pg_postmaster_start_time()")
    run = restore("copy1", restore_type=kind, restore_target=points[kind], restore_keep=False)
    assert run.code == 0, run.output
    assert numbers(copy1) == rows and numbers(db1) == {1, 2, 3}
    # It is a server of its own that takes writes, and nothing of it reaches the repository.
    copy1.sql("insert into orders values (4, 'only here'); select pg_switch_wal(); checkpoint")
    assert copy1.sql("show archive_mode") == "off"
    assert archived_timelines() == before
    assert db1.sql("select pg_postmaster_start_time()") == started
    assert follows()


def test_backups_of_the_original_go_on():
    made = backup("incr")
    assert made["type"] == "incr" and not made["error"]
