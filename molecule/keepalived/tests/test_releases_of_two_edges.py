"""A release switches two edges for five hosts, or none, while people come by the address that one edge holds."""

from __future__ import annotations

import json
from collections.abc import Callable

from playbook import Run, play
from two_edges import APPS, EDGES, INVENTORY, broken, holder, hosts, note, other, users

PORTS = {"blue": 8000, "green": 8100}


def deploy(version: str) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, deploy_watch_seconds=4)


def answering(edge: str) -> dict[str, set[str]]:
    """The instances that an edge sends requests to, by version, whether or not it holds the address."""
    ask = "for turn in $(seq 40); do curl -sS --max-time 5 http://127.0.0.1:18000/version; echo; done"
    found: dict[str, set[str]] = {}
    for line in hosts[edge].check_output(ask).splitlines():
        said = json.loads(line)
        found.setdefault(said["version"], set()).add(said["instance"])
    return found


def versions() -> dict[str, str]:
    """The one version that each edge sends requests to, on every host of the service."""
    whole: dict[str, str] = {}
    for edge in EDGES:
        ((version, instances),) = answering(edge).items()
        assert len(instances) == len(APPS), (edge, version, instances)
        whole[edge] = version
    return whole


def live(edge: str) -> str:
    """The colour that an edge's HAProxy sends requests to."""
    colour: str = hosts[edge].check_output("sed -n 's/^sample //p' /var/lib/slipway/haproxy/live.map")
    return colour


def test_a_release_through_the_address_loses_no_request_on_either_edge() -> None:
    holder()
    assert versions() == dict.fromkeys(EDGES, "1.0.0")
    with users() as seen:
        run = deploy("2.0.0")
    note("release of both edges", seen)
    assert run.code == 0, run.output
    assert versions() == dict.fromkeys(EDGES, "2.0.0")
    assert seen["failed"] == 0 and seen["versions"] == {"1.0.0", "2.0.0"}, seen


def blind(port: int) -> tuple[str, str]:
    """The commands that keep an edge from a port of all others, and that let it there again."""
    return (
        "nft 'add table inet blind; add chain inet blind out { type filter hook output priority -300; };"
        f" add rule inet blind out tcp dport {port} reject'",
        "nft delete table inet blind",
    )


def cut_off(port: int) -> tuple[str, str]:
    """The same of what comes to a port of an application's host, which has no nft; the host itself gets there."""
    rule = f"PREROUTING ! --in-interface lo --protocol tcp --dport {port} --jump DROP"
    return f"iptables --table raw --insert {rule}", f"iptables --table raw --delete {rule}"


def test_when_one_edge_refuses_both_stay_where_they_are() -> None:
    """The one that does not hold the address cannot reach the new instances, so the other must not have them."""
    assert_nothing_moves(other(holder()), blind)


def test_when_one_host_of_five_cannot_be_reached_no_edge_has_the_new_release() -> None:
    """Its new instance is ready, by what it says itself; no edge gets there."""
    holder()
    assert_nothing_moves("app3", cut_off)


def assert_nothing_moves(where: str, keeps_from: Callable[[int], tuple[str, str]]) -> None:
    """A release to new instances that one host is kept from is refused, and everybody stays with the old ones."""
    before, colours = versions(), {edge: live(edge) for edge in EDGES}
    assert len(set(colours.values())) == 1, colours
    idle = PORTS["green" if "blue" in colours.values() else "blue"]
    with users() as seen, broken(where, keeps_from(idle)):
        run = deploy("1.0.0")
    note(f"release that {where} refused", seen)
    assert run.code != 0 and where in run.said, run.output
    assert versions() == before
    assert {edge: live(edge) for edge in EDGES} == colours
    assert seen["failed"] == 0 and seen["versions"] == {"2.0.0"}, seen
