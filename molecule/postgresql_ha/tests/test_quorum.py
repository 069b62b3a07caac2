"""Any one of the replicas confirms a commit, once the inventory says so."""

from __future__ import annotations

import pytest
from machine import crowding, until
from playbook import play
from three_hosts import INVENTORY, MEMBERS, SCENARIO, SYNCHRONOUS, cluster, hosts, leader, sql, wait_until_whole


@pytest.fixture(autouse=True)
def _as_before():
    yield
    hosts[leader()].check_output("patronictl edit-config --force --quiet --set synchronous_mode=true")
    wait_until_whole(90)


@pytest.mark.skipif(SYNCHRONOUS != "on", reason="the scenario runs in another mode")
def test_the_role_changes_a_running_cluster():
    wait_until_whole()
    ran = play(SCENARIO / "converge.yml", INVENTORY, "--limit", MEMBERS[0], patroni_synchronous="quorum")
    assert ran.code == 0, ran.output
    roles = ["leader", "quorum_standby", "quorum_standby"]
    assert until(lambda: sorted(it["role"] for it in cluster().values()) == roles, 40 * crowding(), 0.5), cluster()
    assert sql("SHOW synchronous_standby_names", leader()).startswith("ANY 1 (")
