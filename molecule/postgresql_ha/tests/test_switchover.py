"""Planned switches, the settings that wait for one, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
from machine import crowding, until
from playbook import module, play
from three_hosts import (
    INVENTORY,
    MEASURED,
    MEMBERS,
    POOL,
    SCENARIO,
    cluster,
    hosts,
    leader,
    note,
    others,
    proxy,
    sql,
    wait_until_whole,
    writer,
)

POOL_OF_SHOP = f"host=127.0.0.1 port={POOL} dbname=shop user=shop password=writes-in-this-scenario sslmode=require"


def results() -> dict[str, dict[str, object]]:
    """What the last switch left on any of the members, by the end of its id."""
    found = []
    for host in hosts.values():
        latest = host.run("cat /var/lib/slipway/results/latest.json")
        found += json.loads(latest.stdout) if latest.rc == 0 else []
    newest = sorted((item for item in found if item["id"].startswith("data.switchover.")), key=lambda item: item["at"])
    return {item["id"].rpartition(".")[2]: item for item in newest}


def test_a_switch_under_load_loses_nothing():
    wait_until_whole()
    former = leader()
    with writer() as written:
        ran = play("switchover", INVENTORY)
        assert ran.code == 0, ran.output
        after = written.acknowledged()[-1][1]
        assert until(lambda: written.writes(after=after), 20 * crowding(), pause=0.3), written.errors()
    assert leader() not in ("", former)
    lost = written.lost()
    note("switchover", written, lost)
    told = results()
    MEASURED.append(f"switchover as the playbook measured it: {told['gap']['measured']} s without a leader")
    assert lost == set()
    assert written.gap() < 15 * crowding()
    assert told["result"]["measured"] == leader()
    assert told["gap"]["verdict"] == "pass"


def test_clients_of_paused_pools_wait_and_see_no_error():
    """Neither who is in a pool nor who comes meanwhile; how long all members take to follow is not theirs to wait."""
    wait_until_whole()
    former = leader()
    with writer(POOL) as stays, writer(POOL, anew=True) as come:
        ran = play("switchover", INVENTORY, switchover_pause=True)
        assert ran.code == 0, ran.output
        after = stays.acknowledged()[-1][1]
        assert until(lambda: stays.writes(after) and come.writes(after), 60 * crowding(), pause=0.3), stays.errors()
    assert leader() not in ("", former)
    for who, written in (("connected", stays), ("new ones", come)):
        lost = written.lost()
        note(f"switchover with pools that are paused, clients {who}", written, lost)
        assert written.errors() == ""
        assert lost == set()


def test_a_pause_that_a_transaction_prevents_switches_nothing():
    wait_until_whole()
    former = leader()
    with writer(POOL) as written:
        unit = "long-transaction"
        program = f"import psycopg2, time; c = psycopg2.connect({POOL_OF_SHOP!r}); c.cursor().execute('SELECT 1');"
        proxy.check_output(f"systemd-run --quiet --unit={unit} python3 -c %s", program + "time.sleep(600)")
        try:
            assert until(lambda: "idle in transaction" in states(), 20 * crowding())
            ran = play("switchover", INVENTORY, switchover_pause=True)
        finally:
            proxy.run(f"systemctl stop {unit}")
        assert ran.code != 0
        assert "shop could not be paused within 10 s" in ran.said
        after = written.acknowledged()[-1][1]
        assert until(lambda: written.writes(after), 20 * crowding(), pause=0.3), written.errors()
    assert leader() == former
    assert written.errors() == ""


def test_what_a_killed_run_left_waiting_gets_on_with_the_next():
    """Also when that has nothing to switch."""
    wait_until_whole()
    with writer(POOL) as written:
        module(INVENTORY, "proxy1", "slipway.ops.pgbouncer_pause", state="paused")
        assert paused()
        ran = play("switchover", INVENTORY, switchover_pause=True, switchover_to=leader())
        assert ran.code == 0, ran.output
        after = written.acknowledged()[-1][1]
        assert until(lambda: written.writes(after), 20 * crowding(), pause=0.3), ran.output
    assert not paused()
    assert written.errors() == ""
    assert written.lost() == set()


def states() -> str:
    """Of the connections to the leader's database."""
    return sql("SELECT string_agg(state, ' ') FROM pg_stat_activity WHERE datname = 'shop'", leader())


def paused() -> bool:
    """Whether clients of the pool wait."""
    program = "import psycopg2; c = psycopg2.connect('host=/run/pgbouncer port=6432 user=root dbname=pgbouncer');"
    program += "c.autocommit = True; k = c.cursor(); k.execute('SHOW DATABASES');"
    program += "names = [d[0] for d in k.description]; found = [dict(zip(names, row)) for row in k.fetchall()];"
    program += "print([row['paused'] for row in found if row['name'] == 'shop'])"
    return proxy.check_output("python3 -c %s", program) == "[1]"


def test_who_may_lack_rows_does_not_lead():
    wait_until_whole()
    entries = cluster()
    behind = next(name for name, entry in entries.items() if entry["role"] == "replica")
    ran = play("switchover", INVENTORY, switchover_to=behind)
    assert ran.code != 0
    assert f"{behind} is not synchronous, and may lack rows" in ran.said
    assert leader() == next(name for name, entry in entries.items() if entry["role"] == "leader")


def test_a_named_leader_stays():
    wait_until_whole()
    ran = play("switchover", INVENTORY, switchover_to=leader())
    assert ran.code == 0, ran.output
    assert ran.changed == 0


def test_what_needs_a_restart_waits_for_a_switch():
    wait_until_whole()
    former = leader()
    connections = int(sql("SHOW max_connections", former)) + 1
    starts = {name: sql("SELECT pg_postmaster_start_time()", name) for name in hosts}
    ran = play(SCENARIO / "converge.yml", INVENTORY, "--limit=patroni", postgresql_max_connections=connections)
    assert ran.code == 0, ran.output
    assert "only a restart applies max_connections" in ran.said
    assert {name: sql("SELECT pg_postmaster_start_time()", name) for name in hosts} == starts
    ran = play("switchover", INVENTORY, restart=True)
    assert ran.code == 0, ran.output
    wait_until_whole()
    assert leader() in others(former)
    assert {sql("SHOW max_connections", name) for name in hosts} == {str(connections)}
    ran = play("switchover", INVENTORY, upgrade=True)
    assert ran.code == 0, ran.output
    assert ran.changed == 0
    assert re.search("runs what is installed", ran.said)


def test_a_minor_upgrade_loses_nothing():
    """From the release before, which the distribution keeps as long as the newest one is an update of security."""
    wait_until_whole()
    listed = hosts["db1"].check_output("apt-get update --quiet=2 && apt-cache madison postgresql-17")
    # One version may come from several sources.
    newest, *older = dict.fromkeys(line.split("|")[1].strip() for line in listed.splitlines())
    if not older:
        pytest.skip(f"the distribution has no PostgreSQL 17 but {newest}")
    packages = " ".join(f"{package}={older[0]}" for package in ("postgresql-17", "postgresql-client-17"))
    former = leader()
    for member in [*others(former), former]:
        hosts[member].check_output(
            f"apt-get install --quiet=2 --allow-downgrades {packages} && systemctl restart patroni"
        )
        wait_until_whole(90)
    assert {server_version(member) for member in MEMBERS} == {older[0].partition("-")[0]}
    former = leader()
    with writer() as written:
        ran = play("switchover", INVENTORY, upgrade=True)
        assert ran.code == 0, ran.output
    wait_until_whole()
    lost = written.lost()
    note(f"minor upgrade {older[0]} to {newest}", written, lost)
    assert lost == set()
    assert leader() in others(former)
    assert {server_version(member) for member in MEMBERS} == {newest.partition("-")[0]}


def server_version(member: str) -> str:
    return sql("SHOW server_version", member).split()[0]


@pytest.fixture(scope="module", autouse=True)
def _settings_as_they_were():
    yield
    MEASURED.append(f"timeline at the end of the switches: {cluster()[leader()]['timeline']}")
