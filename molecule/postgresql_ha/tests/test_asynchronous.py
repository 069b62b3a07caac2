"""Without a synchronous replica a failover loses what none had received, and no member leads that lacks more."""

from __future__ import annotations

import time

import pytest
from machine import crowding, until
from three_hosts import FAST, cluster, cut_off, hosts, leader, note, others, sql, wait_until_whole, writer


@pytest.fixture(scope="module", autouse=True)
def _asynchronous():
    """A commit is acknowledged when the leader has it."""
    wait_until_whole()
    _set_synchronous(False)
    yield
    _set_synchronous(True)
    wait_until_whole(90)


def _set_synchronous(wanted: bool) -> None:
    host = hosts[leader()]
    host.check_output(f"patronictl edit-config --force --quiet --set synchronous_mode={str(wanted).lower()}")
    assert until(lambda: (sql("SHOW synchronous_standby_names", leader()) != "") == wanted, 30 * crowding())


def test_only_what_no_replica_had_received_is_lost():
    former = leader()
    with writer() as written:
        _replicas(former, "STOP")
        stalled = time.time()
        time.sleep(2)
        with cut_off(former):
            _replicas(former, "CONT")
            assert until(lambda: leader(*others(former)) not in ("", former), FAST * 2 * crowding(), pause=0.1)
            assert until(lambda: written.writes(after=stalled + 5), FAST * crowding(), pause=0.3), written.errors()
        lost = written.lost()
    note("leader cut off while its replicas were 2 s behind, asynchronous", written, lost)
    unsafe = {number for number, moment in written.acknowledged() if moment > stalled}
    assert lost
    assert lost <= unsafe
    assert until(lambda: {entry["state"] for entry in cluster().values()} == {"running", "streaming"}, 60 * crowding())


def test_who_lacks_more_than_the_limit_does_not_lead():
    former = leader()
    _replicas(former, "STOP")
    try:
        # Far more than fits into what the kernels keep for a receiver that does not read.
        sql("CREATE TABLE ballast AS SELECT repeat(md5(n::text), 9) FROM generate_series(1, 60000) n", former)
        time.sleep(7)  # Patroni tells etcd how far the leader is once in each loop
        with cut_off(former):
            _replicas(former, "CONT")
            time.sleep(FAST)
            assert leader(*others(former)) in ("", former)
    finally:
        _replicas(former, "CONT")
    wait = 60 * crowding()
    assert until(lambda: leader() == former and sql("SELECT count(*) FROM ballast", former) == "60000", wait)
    sql("DROP TABLE ballast", former)


def _replicas(former: str, signal: str) -> None:
    """Stops or continues what receives the leader's log."""
    for replica in others(former):
        hosts[replica].run(f"pkill -{signal} -f 'walreceive[r]'")  # the brackets: not this command itself
