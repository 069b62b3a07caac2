"""The cluster is drilled, and goes back to the second before a table was dropped; every member follows."""

from __future__ import annotations

import time

from playbook import play
from three_hosts import INVENTORY, MEASURED, MEMBERS, hosts, leader, others, proxy, sql, wait_until_whole, writer

FORMER = "ls -d /var/lib/postgresql/17/main.before-*"


def test_the_leader_is_drilled_and_the_others_are_passed_over():
    wait_until_whole()
    proxy.check_output("slipway-backup full")
    ran = play("drill", INVENTORY)
    assert ran.code == 0, ran.output
    assert f"{leader()}: The drill of postgresql main passed" in ran.output
    for replica in others(leader()):
        assert f"{replica}: skip" in ran.output
    assert all(host.run("ls /var/lib/postgresql/slipway-drill").stdout == "" for host in hosts.values())


def test_the_second_before_a_table_was_dropped():
    wait_until_whole()
    former = leader()
    configuration = hosts[former].check_output("patronictl show-config")
    with writer() as written:
        time.sleep(1)
        dropped = float(sql("SELECT extract(epoch FROM clock_timestamp())", former))
        time.sleep(1)
        sql("DROP TABLE rows", former)
    point = {
        "restore_type": "time",
        "restore_target": time.strftime("%F %T", time.gmtime(dropped)) + _fraction(dropped),
    }
    refused = play("restore", INVENTORY, **point)
    assert refused.code != 0
    assert f"the live cluster main of Patroni on {former} would be replaced" in refused.said
    wait_until_whole()
    began = time.monotonic()
    ran = play("restore", INVENTORY, **point, restore_confirm=f"{former}/main")
    assert ran.code == 0, ran.output
    MEASURED.append(f"restore of the cluster, backup and members that follow: {time.monotonic() - began:.0f} s")
    wait_until_whole()
    assert leader() == former
    assert hosts[former].check_output("patronictl show-config") == configuration
    early = {number for number, moment in written.acknowledged() if moment < dropped}
    late = [number for number, moment in written.acknowledged() if moment > dropped][1:]  # the first was on its way
    there = {int(number) for number in sql("SELECT number FROM rows", former).split()}
    assert early
    assert late
    assert early <= there
    assert not there & set(late)
    for replica in others(former):
        assert sql("SELECT count(*) FROM rows", replica) == str(len(there))


def test_the_former_data_is_put_back_on_all_members():
    wait_until_whole()
    member = leader()
    assert hosts[member].check_output(FORMER)
    ran = play("restore", INVENTORY, restore_undo=True, restore_confirm=f"{member}/main")
    assert ran.code == 0, ran.output
    wait_until_whole()
    assert leader() == member
    assert hosts[member].run(FORMER).stdout == ""
    assert [sql("SELECT to_regclass('rows')", name) for name in MEMBERS] == [""] * 3
    with writer() as written:
        assert written.writes()


def _fraction(moment: float) -> str:
    return f".{round(moment % 1 * 1e6):06d}+00"
