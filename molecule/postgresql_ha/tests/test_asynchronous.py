"""Without a synchronous replica a failover loses what none had received, and no member leads that lacks more."""

from __future__ import annotations

import time

import pytest
from machine import crowding, until
from three_hosts import PROMISE, cut_off, hosts, is_writable, leader, note, others, sql, wait_until_whole, whole, writer


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
    wait_until_whole(synchronous=False)
    former = leader()
    with writer() as written:
        _replicas(former, "STOP")
        stalled = time.time()
        time.sleep(2)
        with cut_off(former):
            _replicas(former, "CONT")
            assert until(lambda: leader(*others(former)) not in ("", former), PROMISE * 2 * crowding(), pause=0.1)
            assert until(lambda: written.writes(after=stalled + 5), PROMISE * crowding(), pause=0.3), written.errors()
        lost = written.lost()
    note("leader cut off while its replicas were 2 s behind, asynchronous", written, lost)
    unsafe = {number for number, moment in written.acknowledged() if moment > stalled}
    assert lost
    assert lost <= unsafe


def test_who_lacks_more_than_the_limit_does_not_lead():
    """Not until it got that out of the archive, which the former leader fills as soon as it is back."""
    wait_until_whole(90, synchronous=False)
    former = leader()
    _replicas(former, "STOP")
    try:
        # Far more than fits into what the kernels keep for a receiver that does not read.
        sql("CREATE TABLE ballast AS SELECT sha512(n::text::bytea) FROM generate_series(1, 300000) n", former)
        # Patroni tells etcd how far the leader is once in each loop; one in the middle of that is not enough.
        time.sleep(15)
        with cut_off(former):
            _replicas(former, "CONT")
            time.sleep(PROMISE)
            assert leader(*others(former)) in ("", former)
    finally:
        _replicas(former, "CONT")
    # What etcd tells just after that is of before.
    assert until(lambda: whole(synchronous=False) and _rows_of_ballast() == "300000", 120 * crowding(), pause=1)
    sql("DROP TABLE ballast", leader())


def _rows_of_ballast() -> str:
    count = "runuser -u postgres -- psql -XAtqc 'SELECT count(*) FROM ballast' shop"
    leads = leader()  # asked once: a moment later it may be nobody
    return hosts[leads].run(count).stdout.strip() if leads and is_writable(leads) else ""


def _replicas(former: str, signal: str) -> None:
    """Stops or continues what receives the leader's log."""
    for replica in others(former):
        hosts[replica].run(f"pkill -{signal} -f 'walreceive[r]'")  # the brackets: not this command itself
