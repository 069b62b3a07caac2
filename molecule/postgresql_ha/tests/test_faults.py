"""The leader is killed, cut off, and filled up, while somebody writes: how long nobody may write, and what is lost."""

from __future__ import annotations

import time

from machine import crowding, until
from three_hosts import PROMISE, cut_off, hosts, is_writable, leader, note, others, sql, wait_until_whole, writer

DATA = "/var/lib/postgresql"


def test_killed_with_its_server_it_comes_back_as_a_replica():
    wait_until_whole()
    former = leader()
    with writer() as written:
        began = time.time()
        hosts[former].check_output("pkill -KILL -u postgres")  # Patroni, the server, and every connection at once
        assert until(lambda: written.writes(after=began + 2), PROMISE * 2 * crowding(), pause=0.3), written.errors()
        wait_until_whole()
        assert leader() != former
        time.sleep(1)
    lost = written.lost()
    note("Patroni and server killed", written, lost)
    assert lost == set()
    assert written.gap() < PROMISE * crowding()


def test_cut_off_it_stops_writing_before_another_begins_and_rejoins():
    wait_until_whole()
    former = leader()
    with writer() as written:
        began = time.time()
        with cut_off(former):
            assert until(lambda: leader(*others(former)) not in ("", former), PROMISE * 2 * crowding(), pause=0.1)
            both = is_writable(former)
            assert until(lambda: written.writes(after=began + 5), PROMISE * crowding(), pause=0.3), written.errors()
        assert not both, f"{former} took writes when {leader()} led already"
        wait_until_whole()
    lost = written.lost()
    note("leader cut off", written, lost)
    assert lost == set()
    assert written.gap() < PROMISE * crowding()
    assert sql("SELECT pg_is_in_recovery()", former) == "t"


def test_a_full_disk_is_told_and_loses_nothing():
    wait_until_whole()
    former = leader()
    with writer() as written:
        hosts[former].run(f"dd if=/dev/zero of={DATA}/filler bs=64k")
        try:
            # What is left in the server's own files is used up sooner when it begins a new one.
            for _ in range(8):
                hosts[former].run("runuser -u postgres -- psql -XAtq -c 'SELECT pg_switch_wal()' postgres")
            assert until(lambda: "No space left" in told(former, written.errors()), 60 * crowding(), pause=1)
        finally:
            hosts[former].check_output(f"rm {DATA}/filler")
        freed = time.time()
        assert until(lambda: written.writes(after=freed), 60 * crowding(), pause=0.5), written.errors()
        wait_until_whole(90)
    lost = written.lost()
    note(
        f"data volume of the leader full, {'another took over' if leader() != former else 'it came back'}",
        written,
        lost,
    )
    assert lost == set()


def told(member: str, errors: str) -> str:
    """What its clients, Patroni's journal and the server's log say."""
    host = hosts[member]
    journal = host.run("journalctl -u patroni --no-pager -n 60 -o cat").stdout
    return errors + journal + host.run("tail -n 60 /var/log/postgresql/postgresql-17-main.log").stdout
