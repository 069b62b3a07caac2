"""A host and its disk are gone: inventory, vault and repository are all that is left, and what was archived is back."""

from __future__ import annotations

import subprocess

import pytest
from playbook import ROOT, Run, module, play
from two_hosts import (
    CONTAINER,
    INVENTORY,
    KEY,
    SCENARIO,
    acknowledged,
    archived,
    backup,
    db1,
    drill,
    info,
    interrupt,
    sql,
    timeline,
    until,
    writer,
)

testinfra_hosts = ["backup1"]


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    sql("drop table if exists orders; create table orders (number bigint, words text)")
    backup("incr")


def recover(**variables):
    return play("recover", INVENTORY, evidence_host="backup1", **variables)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "/var/lib/postgresql/17/main on db1 has the live server postgresql@17-main.service"),
        ({"pgbackrest_stanza": "other"}, "backup1 has no backup of other that could be restored"),
        ({"recover_host": "db7"}, "db7 is no host of this inventory"),
    ],
    ids=["live server", "no backup", "no such host"],
)
def test_what_cannot_be_is_refused_before_anything_changes(variables, words):
    started = sql("select pg_postmaster_start_time()")
    run = recover(**variables)
    assert run.code != 0 and words in run.said and run.changed == 0, run.output
    assert sql("select pg_postmaster_start_time()") == started


def test_a_lost_host_is_rebuilt_from_the_repository_alone():
    before = timeline()
    with writer() as log:
        assert until(lambda: len(acknowledged(log)) > 50)
        safe = {number for number, _, _ in acknowledged(log)}
        archived(sql("select pg_walfile_name(pg_switch_wal())"))
    subprocess.run(["docker", "rm", "--force", "--volumes", f"{CONTAINER}db1"], check=True, capture_output=True)
    made = play(ROOT / "testbed/create.yml", INVENTORY)
    assert made.code == 0 and db1.run("command -v psql pgbackrest").stdout == "", made.output

    first = Run("recover", INVENTORY)
    assert first.until("3/5 Restore")
    assert until(lambda: db1.run("pgrep -u postgres -f 'pgbackrest.*restore$'").rc == 0, 200, 0.02)
    interrupt(first)
    run = recover()  # the same again
    assert run.code == 0 and "on db1, begun " in run.output, run.output
    assert "was rebuilt on the new host db1" in run.output and KEY not in run.output

    there = {int(number) for number in sql("select number from orders").split()}
    assert safe and safe <= there, safe - there
    assert timeline() == before + 1
    # The archive goes on, with the history of the new timeline; a backup followed.
    archived(sql("insert into orders values (0, 'after'); select pg_walfile_name(pg_switch_wal())"))
    newest = info()["backup"][-1]
    assert newest["type"] == "full" and newest["archive"]["start"].startswith(f"{before + 1:08X}")
    assert drill()[0] == 0


def test_a_recovered_host_is_as_the_roles_have_it():
    again = play(SCENARIO / "converge.yml", INVENTORY)
    assert again.code == 0 and again.changed == 0, again.output
    found = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.recover.*"])["backup1"]["records"]
    assert [(record["id"], record["verdict"]) for record in found] == [("data.recover.postgresql.result", "pass")]
    assert 0 < found[0]["measured"] < 900
    assert "has the live server" in recover().said
