"""A release switches both edges or none, while people come by the address that one of them holds."""

from __future__ import annotations

import json

from playbook import Run, play
from two_edges import EDGES, INVENTORY, broken, holder, hosts, note, other, users

PORTS = {"blue": 8000, "green": 8100}


def deploy(version: str) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, deploy_watch_seconds=4)


def versions() -> dict[str, str]:
    """What each edge would answer with, whether or not it holds the address."""
    asked = {edge: hosts[edge].check_output("curl -sS --max-time 5 http://127.0.0.1:18000/version") for edge in EDGES}
    return {edge: json.loads(said)["version"] for edge, said in asked.items()}


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


def test_when_one_edge_refuses_both_stay_where_they_are() -> None:
    """The one that does not hold the address cannot reach the new instances, so the other must not have them."""
    refuses = other(holder())
    before = versions()
    colours = {edge: live(edge) for edge in EDGES}
    idle = PORTS["green" if colours[refuses] == "blue" else "blue"]
    rules = (
        "nft 'add table inet blind; add chain inet blind out { type filter hook output priority -300; };"
        f" add rule inet blind out tcp dport {idle} reject'",
        "nft delete table inet blind",
    )
    with users() as seen, broken(refuses, rules):
        run = deploy("1.0.0")
    note(f"release that {refuses} refused", seen)
    assert run.code != 0 and refuses in run.said, run.output
    assert versions() == before
    assert {edge: live(edge) for edge in EDGES} == colours
    assert seen["failed"] == 0 and seen["versions"] == {"2.0.0"}, seen
