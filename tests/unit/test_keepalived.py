"""Which interface a virtual address is for, who the peers are, what is refused; and who holds an address."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.keepalived import keepalived_instance, keepalived_problems
from ansible_collections.slipway.ops.plugins.module_utils.edge import holders
from ansible_collections.slipway.ops.plugins.module_utils.edge.keepalived import KeepalivedError, plan, problems

VIRTUAL = ["192.0.2.10", "2001:db8::10"]


def facts(four: str, six: str = "2001:db8::1", *, secondaries: tuple[str, ...] = ()) -> dict[str, Any]:
    """As Ansible tells them; a virtual address that the host holds is among its secondaries."""
    return {
        "interfaces": ["lo", "eth-1"],
        "lo": {"ipv4": {"address": "127.0.0.1", "netmask": "255.0.0.0"}},
        "eth_1": {
            "ipv4": {"address": four, "netmask": "255.255.255.0"},
            "ipv4_secondaries": [{"address": one, "netmask": "255.255.255.255"} for one in secondaries],
            "ipv6": [
                {"address": "fe80::1", "prefix": "64", "scope": "link"},
                {"address": six, "prefix": "64", "scope": "global"},
            ],
        },
    }


EDGES = {
    "edge1": facts("192.0.2.1"),
    "edge2": facts("192.0.2.2", "2001:db8::2", secondaries=("192.0.2.10",)),
}


def test_each_address_has_the_interface_of_its_network_and_vrrp_the_family_of_the_first() -> None:
    assert plan("edge2", VIRTUAL, EDGES) == {
        "interface": "eth-1",
        "own": "192.0.2.2",
        "peers": ["192.0.2.1"],
        "addresses": [{"address": "192.0.2.10", "interface": "eth-1"}],
        "along": [{"address": "2001:db8::10", "interface": "eth-1"}],
    }
    six = plan("edge1", VIRTUAL[::-1], EDGES)
    assert (six["own"], six["peers"], six["along"][0]["address"]) == ("2001:db8::1", ["2001:db8::2"], "192.0.2.10")


def test_who_holds_the_address_now_changes_nothing() -> None:
    moved = {"edge1": facts("192.0.2.1", secondaries=("192.0.2.10",)), "edge2": facts("192.0.2.2", "2001:db8::2")}
    assert [plan(host, VIRTUAL, moved) for host in EDGES] == [plan(host, VIRTUAL, EDGES) for host in EDGES]
    assert list(problems("edge1", VIRTUAL, moved)) == []


@pytest.mark.parametrize(
    ("virtual", "edges", "said"),
    [
        (["192.0.2.10/24"], EDGES, "'192.0.2.10/24', which is no address"),
        ([], EDGES, "keepalived_addresses is empty"),
        (["2001:db8::10", "2001:DB8:0::10"], EDGES, "names an address twice"),
        (["192.0.2.10"], {"edge1": EDGES["edge1"]}, "edge1 shares 192.0.2.10 with no other edge"),
        (["192.0.2.1"], EDGES, "192.0.2.1, which is edge1's own"),
        (["198.51.100.10"], EDGES, "edge2 has no interface in a network with 198.51.100.10: it has 192.0.2.0/24"),
        (["127.0.0.9"], EDGES, "edge1 has no interface in a network with 127.0.0.9"),
    ],
)
def test_what_cannot_be_meant_is_said(virtual: list[str], edges: dict[str, Any], said: str) -> None:
    assert said in " ".join(problems("edge1", virtual, edges))


def test_a_host_without_facts_is_not_judged_and_not_guessed() -> None:
    edges = {"edge1": facts("192.0.2.1"), "edge2": {}}
    assert list(problems("edge1", VIRTUAL, edges)) == []
    with pytest.raises(KeepalivedError, match=r"no interface of edge2 is known in a network with 192\.0\.2\.10"):
        plan("edge1", VIRTUAL, edges)


def test_peers_are_the_edges_with_the_same_addresses() -> None:
    hosts = {name: {"ansible_facts": its, "keepalived_addresses": VIRTUAL} for name, its in EDGES.items()}
    hosts["edge3"] = {"ansible_facts": facts("192.0.2.3"), "keepalived_addresses": ["192.0.2.11"]}
    assert keepalived_instance(VIRTUAL, "edge1", list(hosts), hosts)["peers"] == ["192.0.2.2"]
    (problem,) = keepalived_problems(["192.0.2.11"], "edge3", list(hosts), hosts)
    assert problem.startswith("edge3 shares 192.0.2.11 with no other edge.")


LISTED = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    {
        "ifname": "eth0",
        "addr_info": [
            {"local": "192.0.2.1", "prefixlen": 24, "scope": "global"},
            {"local": "192.0.2.10", "prefixlen": 32, "scope": "global"},
            {"local": "2001:db8::1", "prefixlen": 64, "scope": "global"},
            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    },
]
ARPING = """ARPING 192.0.2.10 from 0.0.0.0 eth0
Unicast reply from 192.0.2.10 [02:42:AC:14:00:03]  0.542ms
Unicast reply from 192.0.2.10 [02:42:AC:14:00:02]  0.611ms
Unicast reply from 192.0.2.10 [02:42:AC:14:00:03]  0.540ms
Sent 2 probes (2 broadcast(s))
Received 3 response(s)
"""


def test_an_address_is_here_or_asked_of_its_network() -> None:
    assert holders.here("192.0.2.10", LISTED) and not holders.here("2001:db8::10", LISTED)
    assert holders.interface_of("2001:db8::10", LISTED) == "eth0"
    assert holders.interface_of("198.51.100.1", LISTED) == ""
    assert holders.question("192.0.2.10", "eth0")[0] == "arping"
    assert holders.question("2001:db8::10", "eth0")[0] == "ndisc6"


def test_each_neighbour_that_answers_counts_once() -> None:
    assert holders.neighbours(ARPING) == ["02:42:ac:14:00:02", "02:42:ac:14:00:03"]
    assert holders.neighbours("ARPING 192.0.2.10 from 0.0.0.0 eth0\nReceived 0 response(s)\n") == []


@pytest.mark.parametrize(
    ("held_here", "others", "well", "said"),
    [
        (True, [], True, "192.0.2.10 is held by this host"),
        (False, ["02:42:ac:14:00:03"], True, "192.0.2.10 is held by 02:42:ac:14:00:03"),
        (False, [], False, "192.0.2.10 is held by nobody"),
        (True, ["02:42:ac:14:00:03"], False, "this host and by 02:42:ac:14:00:03 at once"),
        (False, ["02:42:ac:14:00:02", "02:42:ac:14:00:03"], False, "at once"),
    ],
)
def test_exactly_one_holder_is_well(held_here: bool, others: list[str], well: bool, said: str) -> None:
    verdict, told = holders.verdict("192.0.2.10", held_here, others)
    assert verdict is well and said in told


@pytest.mark.parametrize("dumped", [None, [], {"vrrp": []}, [{"stats": {}}], "half"])
def test_what_keepalived_does_not_say_is_no_number(dumped: Any) -> None:
    assert holders.became_holder(dumped) is None
    assert "became" not in "".join(holders.exposition({"192.0.2.10": False}, None))


def test_metrics_say_who_holds_and_how_often_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_output", lambda argv: json.dumps(LISTED))
    monkeypatch.setattr(holders, "_daemon", lambda: {"vrrp": [{"stats": {"become_master": 3}}]})
    monkeypatch.setattr(sys, "argv", ["holders", "publish", str(tmp_path), *VIRTUAL])
    assert holders.main() == 0
    lines = (tmp_path / holders.FILE).read_text().splitlines()
    assert 'slipway_keepalived_holds{address="192.0.2.10"} 1' in lines
    assert 'slipway_keepalived_holds{address="2001:db8::10"} 0' in lines
    assert 'slipway_keepalived_became_holder_total{address="192.0.2.10"} 3' in lines
