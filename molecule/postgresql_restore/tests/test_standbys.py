"""A primary goes back to a point, and its standby goes with it: what one has given up, the other does not keep."""

from __future__ import annotations

import subprocess
import time

import pytest
from four_hosts import CONTAINER, INVENTORY, SCENARIO, backup, db1, db2, follows, newest_backup, numbers, restore
from playbook import play

testinfra_hosts = ["backup1"]


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    db1.sql("drop table if exists orders; create table orders (number bigint, words text)")
    assert follows()
    backup("full")


def given_up() -> tuple[str, set[int], set[int]]:
    """A moment under load, what was there before it, and what came after it."""
    with db1.writer() as log:
        time.sleep(2)
        moment = float(db1.sql("select extract(epoch from clock_timestamp())"))
        time.sleep(2)
        rows = db1.acknowledged(log)
    early = {number for number, _, end in rows if end < moment}
    late = {number for number, begin, _ in rows if begin > moment}
    assert early and late
    return time.strftime("%F %T", time.gmtime(moment)) + f".{round(moment % 1 * 1e6):06d}+00", early, late


def test_a_standby_goes_back_with_its_primary_before_the_backup():
    moment, early, late = given_up()
    assert follows() and late <= numbers(db2)
    run = restore(restore_type="time", restore_target=moment)
    assert run.code == 0, run.output
    assert "3/5 Standbys" in run.output
    assert follows()
    for server in (db1, db2):
        there = numbers(server)
        assert early <= there and not late & there, (early - there, late & there)
    # pgBackRest makes it from the standby, and waits for one that lags.
    assert newest_backup()["type"] == "full"
    assert newest_backup()["archive"]["start"].startswith(f"{db1.timeline():08X}")


def test_it_goes_back_with_what_is_put_back_too():
    db1.sql("insert into orders values (-1, 'after the restore')")
    assert follows()
    run = restore(restore_undo=True, restore_backup="incr")
    assert run.code == 0, run.output
    assert follows()
    assert numbers(db1) == numbers(db2) and -1 not in numbers(db2)


def test_one_that_was_away_is_told_and_follows_when_it_is_back():
    db1.sql("truncate orders")
    backup("incr")
    moment, _, late = given_up()
    subprocess.run(["docker", "stop", f"{CONTAINER}db2"], check=True, capture_output=True)
    try:
        run = restore(restore_type="time", restore_target=moment)
        assert run.code != 0 and "is restored and served, but db2 did not follow" in run.said, run.output
        assert not late & numbers(db1)  # the primary is not held up by it
        assert newest_backup()["archive"]["start"].startswith(f"{db1.timeline():08X}"), run.output
    finally:
        subprocess.run(["docker", "start", f"{CONTAINER}db2"], check=True, capture_output=True)
    run = play(SCENARIO / "converge.yml", INVENTORY, "--limit=db2", postgresql_rejoin=True)
    assert run.code == 0, run.output
    assert follows()
    assert numbers(db1) == numbers(db2)
