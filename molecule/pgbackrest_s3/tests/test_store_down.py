"""The object store goes away: PostgreSQL and the other repository go on, WAL waits, and nothing is lost."""

from __future__ import annotations

import pytest
from machine import until
from playbook import module
from store_hosts import (
    INVENTORY,
    STORE,
    archived,
    backup,
    objects1,
    results,
    sql,
    switch,
    verdicts,
    waiting,
)

testinfra_hosts = ["db1"]


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    sql("create table if not exists words (it text)")
    assert backup("full").rc == 0


def test_it_is_said_and_made_up_for():
    objects1.check_output(f"systemctl stop {STORE}")
    try:
        missed = [switch() for _ in range(3)]
        made = backup("incr")
        told = results("data.backup.incr")
        assert made.rc == 3 and verdicts("data.backup.incr") == ["pass", "fail"], made.stdout
        assert "unable to connect to 'objects1:7070" in told[2]["reason"] and "\n" not in told[2]["reason"], told
        disk, store = module(INVENTORY, "db1", "slipway.ops.backup_info", engines=["postgresql"])["db1"]["backups"]
        assert (disk["kind"], disk["trouble"], store["verdict"]) == ("incr", None, "fail")
        assert store["trouble"].startswith("the repository of main/repo2 cannot be read: "), store
        assert "unable to connect to 'objects1:7070" in store["trouble"], store
        # What only one of them has is not given up.
        assert archived(missed[-1], 1) and not archived(missed[0], 2) and waiting() > 0
        assert sql("insert into words values ('PostgreSQL goes on') returning 1") == "1"
    finally:
        objects1.check_output(f"systemctl start {STORE}")
    last = switch()  # PostgreSQL would try again a minute after the last of three failures; a new segment wakes it
    assert until(lambda: waiting() == 0, 300)
    assert all(archived(segment, 2) for segment in (*missed, last))
    assert backup("incr").rc == 0
    assert backup("verify").rc == 0 and verdicts("data.backup.verified") == ["pass", "pass"]
