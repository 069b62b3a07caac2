"""The database and the repository on its disk are lost: the object store has every row that was acknowledged."""

from __future__ import annotations

from machine import until
from playbook import play
from store_hosts import (
    DATA,
    DISK,
    INVENTORY,
    KEY,
    SECRET,
    archived,
    backup,
    configure,
    db1,
    sql,
    switch,
    verdicts,
)

testinfra_hosts = ["db1"]
ROWS = 500


def write(begin: int) -> set[int]:
    """Writes rows one by one; those that were acknowledged."""
    statement = "insert into orders values (&) returning number;"
    rows = f"seq {begin} {begin + ROWS - 1} | sed 's/.*/{statement}/' | runuser -u postgres -- psql -XAtq postgres"
    return {int(number) for number in db1.check_output(rows).split()}


def test_every_row_comes_back():
    sql("drop table if exists orders; create table orders (number bigint); create table if not exists words (it text)")
    acknowledged = write(1)
    assert backup("full").rc == 0
    acknowledged |= write(ROWS + 1)
    segment = switch()
    assert until(lambda: archived(segment, 2), 200)
    db1.check_output("systemctl kill --signal=SIGKILL postgresql@17-main; systemctl stop postgresql@17-main")
    db1.check_output(f"rm -rf {DISK} && find {DATA} -mindepth 1 -delete")

    refused = play("restore", INVENTORY, restore_backup="none")
    assert refused.code != 0 and "repository 1 cannot be read" in refused.said, refused.output
    run = play("restore", INVENTORY, restore_repository=2, restore_backup="none")
    assert run.code == 0 and KEY not in run.output and SECRET not in run.output, run.output
    there = {int(number) for number in sql("select number from orders").split()}
    assert len(acknowledged) == 2 * ROWS and there == acknowledged

    run = configure()  # begins the lost repository anew
    assert run.code == 0, run.output
    assert backup("full").rc == 0 and verdicts("data.backup.full") == ["pass", "pass"]
    segment = switch()
    assert until(lambda: archived(segment, 1) and archived(segment, 2), 200)
