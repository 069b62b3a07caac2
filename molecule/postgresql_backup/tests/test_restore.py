"""A server goes back to a point: what was acknowledged before is there, what came after is not."""

from __future__ import annotations

import time

import pytest
from playbook import Run, module, play
from two_hosts import (
    DATA,
    INVENTORY,
    acknowledged,
    archived,
    backup,
    db1,
    info,
    interrupt,
    labels,
    sql,
    timeline,
    until,
    writer,
)

testinfra_hosts = ["backup1"]
CONFIRM = "db1/main"


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    sql("drop table if exists orders; create table orders (number bigint, words text)")
    backup("full")


def restore(**variables):
    return play("restore", INVENTORY, evidence_host="backup1", **variables)


def kept() -> str:
    return db1.check_output(f"ls -d {DATA}.before-* 2>/dev/null || true")


# Other points that make no sense are in the unit tests.
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "the live server postgresql@17-main.service on db1 would be replaced by the latest state"),
        (
            {"restore_type": "time", "restore_target": "2020-01-01 00:00:00Z", "restore_confirm": CONFIRM},
            "is before the end of the oldest backup",
        ),
        ({"restore_set": "20200101-000000F", "restore_confirm": CONFIRM}, "there is no backup 20200101-000000F"),
    ],
    ids=["nothing typed", "before the oldest", "no such backup"],
)
def test_what_cannot_be_is_refused_before_anything_changes(variables, words):
    started = sql("select pg_postmaster_start_time()")
    run = restore(**variables)
    assert run.code != 0 and words in run.said, run.output
    assert sql("select pg_postmaster_start_time()") == started and kept() == ""


def test_the_second_before_a_table_was_dropped():
    before = timeline()
    with writer() as log:
        time.sleep(3)
        dropped = float(sql("select extract(epoch from clock_timestamp())"))
        time.sleep(1)
        sql("drop table orders")
        time.sleep(1)
        rows = acknowledged(log)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(dropped)) + f".{round(dropped % 1 * 1e6):06d}+00"
    run = restore(restore_type="time", restore_target=moment, restore_confirm=CONFIRM)
    assert run.code == 0, run.output
    for words in ("2/5 Restore: to time ", "A full backup of main begins", "the former data is in "):
        assert words in run.output, (words, run.output)
    there = {int(number) for number in sql("select number from orders").split()}
    early = {number for number, _, end in rows if end < dropped}
    late = {number for number, begin, _ in rows if begin > dropped}
    assert early and late and early <= there and not late & there, (early - there, late & there)
    assert timeline() == before + 1
    # The recovery's settings are gone, the archive goes on, the backup that followed is on the new timeline.
    assert sql("select count(*) from pg_settings where pending_restart and name !~ '^recovery_target'") == "0"
    assert db1.check_output(f"grep -c recovery {DATA}/postgresql.auto.conf || true") == "0"
    archived(sql("insert into orders values (0, 'after'); select pg_walfile_name(pg_switch_wal())"))
    assert info()["backup"][-1]["archive"]["start"].startswith(f"{before + 1:08X}")
    latest = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.restore.*"])["backup1"]["records"]
    assert {record["id"]: record["verdict"] for record in latest} == {
        "data.restore.postgresql.result": "pass",
        "data.restore.postgresql.last_change": "pass",
    }


def test_the_former_data_is_put_back_or_away():
    assert kept() != ""
    refused = restore(restore_undo=True)
    assert refused.code != 0 and "restore_confirm=db1/main" in refused.said
    run = restore(restore_discard=True)
    assert run.code == 0 and kept() == "", run.output
    assert "there is no former data" in restore(restore_discard=True).output


def test_a_killed_restore_is_finished_by_the_next():
    sql("insert into orders values (-5, 'last words')")
    first = Run("restore", INVENTORY, restore_confirm=CONFIRM, restore_backup="none")
    assert first.until("2/5 Restore")
    assert until(lambda: db1.run("pgrep -u postgres -f 'pgbackrest.*restore$'").rc == 0, 200, 0.02)
    interrupt(first)
    assert db1.run("pg_isready -q").rc != 0 and kept() != ""
    second = restore(restore_backup="none")  # what stands in the way is known to be half a restore: nothing to type
    assert second.code == 0 and "goes on with the restore" in second.output, second.output
    assert sql("select words from orders where number = -5") == "last words"
    undone = restore(restore_undo=True, restore_confirm=CONFIRM, restore_backup="none")
    assert undone.code == 0 and kept() == "", undone.output
    assert sql("select words from orders where number = -5") == "last words"


def test_a_point_that_is_never_reached_says_so_and_can_be_undone():
    before = timeline()
    sql("insert into orders values (-7, 'still here')")
    run = restore(restore_type="name", restore_target="no such point", restore_confirm=CONFIRM, restore_backup="none")
    assert run.code != 0 and "recovery ended before configured recovery target was reached" in run.said, run.output
    assert "-e restore_undo=true puts it back" in run.said and "Traceback" not in run.output
    undone = restore(restore_undo=True, restore_confirm=CONFIRM)
    assert undone.code == 0, undone.output
    assert sql("select words from orders where number = -7") == "still here"
    assert timeline() > before  # what is newest in the archive is what is here


def test_wal_that_was_not_archived_is_taken_from_the_disk():
    sql("insert into orders values (-6, 'not archived')")
    db1.check_output("systemctl kill --signal=SIGKILL postgresql@17-main; systemctl stop postgresql@17-main")
    run = restore(restore_confirm=CONFIRM, restore_backup="none")
    assert run.code == 0 and "came from the former server's disk" in run.output, run.output
    assert sql("select words from orders where number = -6") == "not archived"
    assert labels()
