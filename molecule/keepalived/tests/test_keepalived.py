"""One edge holds the address, whatever is broken; what users feel of it is printed."""

from __future__ import annotations

import pytest
from machine import crowding, until
from two_edges import (
    ALLOWED,
    BREAKS,
    DEAF,
    EDGES,
    FOUR,
    SIX,
    answers,
    broken,
    converge,
    health,
    holder,
    holders,
    hosts,
    note,
    other,
    serves,
    settled,
    users,
)

METRICS = "/var/lib/prometheus/node-exporter/slipway_keepalived.prom"
CONFIGURATION = "sha256sum /etc/keepalived/keepalived.conf"


def test_one_edge_serves_at_both_addresses() -> None:
    assert holder() in EDGES
    assert answers(FOUR)["version"] == answers(SIX)["version"] == "1.0.0"


@pytest.mark.parametrize("what", BREAKS)
def test_the_other_edge_takes_over_and_keeps_the_address(what: str) -> None:
    former = holder()
    with users() as seen:
        with broken(former, BREAKS[what]):
            taken = until(lambda: other(former) in holders(), 30 * crowding(), 0.2)
            answering = until(serves, 30 * crowding())
            if what != "edge cut off":  # who is cut off cannot know that another has it
                assert settled(other(former)), holders()
        assert taken and answering
        assert settled(other(former)) if what != "edge cut off" else settled(), holders()
    note(f"{what}, and back", seen)
    assert seen["longest_gap"] < ALLOWED * crowding(), seen


def test_what_systemd_brings_back_in_time_moves_nothing_for_long() -> None:
    former = holder()
    with users() as seen:
        hosts[former].check_output("systemctl kill --signal=KILL nginx")
        assert until(lambda: hosts[former].service("nginx").is_running, 30 * crowding())
        assert settled(), holders()
    note("nginx killed, and started again by systemd", seen)
    assert seen["longest_gap"] < ALLOWED * crowding(), seen


def test_an_edge_with_preempt_takes_the_address_back() -> None:
    assert converge(keepalived_preempt=True).code == 0
    assert settled("edge1"), holders()
    with broken("edge1", BREAKS["HAProxy killed for good"]):
        assert settled("edge2"), holders()
    assert settled("edge1"), holders()
    assert converge().code == 0
    with broken("edge1", BREAKS["HAProxy killed for good"]):
        assert settled("edge2"), holders()
    assert settled("edge2"), holders()


def test_health_and_metrics_know_who_holds() -> None:
    holds = holder()
    run = health()
    assert run.code == 0, run.output
    for edge in EDGES:
        wanted = f'slipway_keepalived_holds{{address="{FOUR}"}} {int(edge == holds)}\n'
        assert until(lambda edge=edge, wanted=wanted: wanted in hosts[edge].file(METRICS).content_string, 60)
    assert 'became_holder_total{address="10.77.10.100"} ' in hosts[holds].file(METRICS).content_string


def test_two_holders_are_a_failure_that_is_told_and_ends_with_its_cause() -> None:
    holder()
    with broken("edge1", DEAF), broken("edge2", DEAF):
        assert until(lambda: sorted(holders()) == sorted(EDGES), 30 * crowding())
        run = health()
    assert run.code != 0 and f"{FOUR} is held by" in run.said and "at once" in run.said, run.output
    assert settled(), holders()


def test_no_holder_is_a_failure_that_is_told() -> None:
    holder()
    with broken("edge1", BREAKS["nginx killed for good"]), broken("edge2", BREAKS["HAProxy killed for good"]):
        assert until(lambda: holders() == [], 30 * crowding()), holders()
        run = health()
    assert run.code != 0 and f"{FOUR} is held by nobody" in run.said, run.output
    assert settled(), holders()


def test_a_configuration_that_keepalived_refuses_changes_nothing() -> None:
    holds = holder()
    before = [hosts[edge].check_output(CONFIGURATION) for edge in EDGES]
    run = converge(keepalived_notify="/usr/local/sbin/nobody-wrote-this")
    assert run.code != 0 and "there is no program /usr/local/sbin/nobody-wrote-this" in run.said, run.output
    run = converge(keepalived_checks=[{"name": "two words", "url": "http://127.0.0.1/"}])
    assert run.code != 0 and "unknown track script option words" in run.said, run.output
    assert [hosts[edge].check_output(CONFIGURATION) for edge in EDGES] == before
    assert settled(holds)


def test_an_address_that_cannot_be_is_refused_before_anything_changes() -> None:
    run = converge(keepalived_addresses=["192.0.2.10"])
    assert run.code != 0 and run.changed == 0
    assert "edge1 has no interface in a network with 192.0.2.10: it has" in run.said, run.output
    run = converge(keepalived_addresses=["10.77.10.2"])
    assert run.code != 0 and "10.77.10.2, which is edge2's own" in run.said, run.output


def test_checks_and_notices_run_as_a_user_who_may_nothing() -> None:
    said = [line for edge in EDGES for line in hosts[edge].check_output("cat /run/told").splitlines()]
    assert {line.split()[0] for line in said} == {"keepalived_script"}
    assert {"MASTER", "BACKUP", "FAULT"} <= {line.split()[3] for line in said}
    assert hosts["edge1"].user("keepalived_script").shell == "/usr/sbin/nologin"


def test_only_the_edges_speak_vrrp_to_each_other() -> None:
    for edge in EDGES:
        rules = hosts[edge].check_output("nft list chain inet slipway declared")
        (rule,) = [line for line in rules.splitlines() if "keepalived.vrrp" in line and "ip saddr" in line]
        assert "10.77.10.1" in rule or "10.77.10.2" in rule
        assert FOUR not in rules and "l4proto vrrp" in rule
