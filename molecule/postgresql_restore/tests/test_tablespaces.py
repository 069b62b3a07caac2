"""What lies in a tablespace is backed up, drilled and restored like the rest."""

from __future__ import annotations

import json

import pytest
from four_hosts import DATA, backup, copy1, db1, db2, follows, numbers, restore

testinfra_hosts = ["backup1"]
SPACE = "/srv/space"


@pytest.fixture(scope="module", autouse=True)
def _a_tablespace():
    for server in (db1, db2, copy1):
        server.host.check_output(f"install -d -o postgres -g postgres -m 0700 {SPACE}")
    db1.sql(f"create tablespace space location '{SPACE}'")
    db1.sql("drop table if exists orders; create table orders (number bigint, words text) tablespace space")
    db1.sql("insert into orders select n, md5(n::text) from generate_series(1, 1000) n")
    assert follows()
    backup("full")
    yield
    for statement in ("drop table orders", "checkpoint", "drop tablespace space"):
        db1.sql(statement)


def files() -> str:
    return db1.host.check_output(f"find {SPACE} | sort")


def test_a_drill_leaves_it_alone():
    before = files()
    ran = db1.host.run("slipway-drill postgresql")
    latest = json.loads(db1.host.file("/var/lib/slipway/results/latest.json").content_string)
    (result,) = (record for record in latest if record["id"] == "data.drill.postgresql.result")
    assert ran.rc == 0 and result["verdict"] == "pass", ran.stdout
    assert files() == before and len(numbers(db1)) == 1000


def test_the_former_cannot_be_kept_beside_it():
    run = restore()
    assert run.code != 0 and f"has tablespaces in {SPACE}" in run.said and run.changed == 0, run.output
    assert len(numbers(db1)) == 1000


def test_it_comes_back_on_primary_and_standby():
    db1.sql("insert into orders values (-1, 'the last'); select pg_switch_wal()")
    here = db1.sql("select pg_current_wal_insert_lsn()")
    db1.sql("drop table orders")
    run = restore(restore_type="lsn", restore_target=here, restore_keep=False)
    assert run.code == 0, run.output
    assert follows()
    assert len(numbers(db1)) == 1001 and numbers(db1) == numbers(db2)
    where = "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'space'"
    assert db1.sql(where) == db2.sql(where) == SPACE
    assert db2.host.check_output(f"readlink {DATA}/pg_tblspc/*") == SPACE


def test_a_copy_has_it_too():
    run = restore("copy1", restore_keep=False)
    assert run.code == 0, run.output
    assert len(numbers(copy1)) == 1001
