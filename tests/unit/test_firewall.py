"""Who talks to whom on which port becomes rules: nobody else gets in, and no misspelt name locks anybody out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import (
    Door,
    FirewallError,
    Inventory,
    addresses_of,
    doors_of,
    problems,
    ruleset,
    tcp_ports,
    ways_of,
)

ADDRESSES = {
    "edge1": ["10.0.0.1", "fd00::1"],
    "app1": ["10.0.0.2", "fd00::2"],
    "app2": ["10.0.0.3"],
    "db1": ["10.0.0.4"],
}
GROUPS = {"all": [*ADDRESSES, "new1"], "edge": ["edge1"], "app": ["app1", "app2"], "postgresql": ["db1"], "bastion": []}
INVENTORY = Inventory(GROUPS, lambda host: ADDRESSES.get(host, []))
POSTGRESQL = {"role": "postgresql", "name": "sql", "port": 5432, "from": ["app", "postgresql"]}
SSH = {"role": "firewall", "name": "ssh", "port": 22, "from": ["10.9.0.0/16"]}


def rules(host: str, *entries: dict[str, Any], chain: str = "declared", **options: Any) -> list[str]:
    ways = options.pop("ways", None)
    text = ruleset(host, doors_of(entries, **options), ways, INVENTORY, ["docker*", "br-*"])
    lines = [line.strip() for line in text.splitlines()]
    found = lines[lines.index(f"chain {chain} {{") + 1 :]
    return [line for line in found[: found.index("}")] if not line.startswith("#")]


def test_a_group_comes_by_its_hosts_addresses_of_both_families() -> None:
    assert rules("db1", POSTGRESQL) == [
        'meta l4proto tcp ct original proto-dst 5432 ip saddr { 10.0.0.2/31 } counter accept comment "postgresql.sql"',
        'meta l4proto tcp ct original proto-dst 5432 ip6 saddr { fd00::2 } counter accept comment "postgresql.sql"',
        'meta l4proto tcp ct original proto-dst 5432 iifname { "docker*", "br-*" } counter accept comment '
        '"postgresql.sql"',
    ]


def test_containers_of_a_host_that_does_not_come_do_not_come_either() -> None:
    assert [rule for rule in rules("edge1", POSTGRESQL) if "iifname" in rule] == []


def test_nobody_comes_where_a_group_has_no_hosts() -> None:
    assert rules("db1", {**POSTGRESQL, "from": ["bastion", "nosuchgroup"]}) == []


def test_a_protocol_without_ports_is_let_in_by_its_number() -> None:
    door = {"role": "keepalived", "name": "vrrp", "protocol": "ip", "port": 112, "from": ["app"]}
    assert rules("edge1", door)[0] == (
        'meta l4proto 112 ip saddr { 10.0.0.2/31 } counter accept comment "keepalived.vrrp"'
    )
    ways = ways_of("app1", {"edge1": doors_of([door])}, [], INVENTORY)
    assert rules("app1", ways=ways, chain="outbound")[0] == (
        'meta l4proto 112 ip daddr { 10.0.0.1 } counter accept comment "keepalived.vrrp"'
    )
    with pytest.raises(FirewallError, match=r"keepalived\.vrrp: 1-3 is no number of a protocol"):
        doors_of([{**door, "port": "1-3"}])


def test_anywhere_asks_for_no_source_and_containers_count() -> None:
    door = {"role": "nginx", "name": "https", "port": 443, "from": ["anywhere"]}
    assert rules("edge1", door) == ['meta l4proto tcp ct original proto-dst 443 counter accept comment "nginx.https"']


def test_the_inventory_says_who_comes_instead() -> None:
    door = {"role": "nginx", "name": "https", "port": 443, "from": ["anywhere"]}
    assert "ip saddr { 192.0.2.0/24 }" in rules("edge1", door, others={"nginx.https": ["192.0.2.0/24"]})[0]
    assert rules("edge1", door, others={"nginx.https": []}) == []


def test_networks_that_contain_one_another_are_one() -> None:
    """In a set nftables calls them conflicting."""
    rule = rules("db1", {**SSH, "from": ["10.0.0.0/8", "10.9.0.0/16", "app1", "2001:db8::/32"]})
    assert "{ 10.0.0.0/8 }" in rule[0] and "{ 2001:db8::/32, fd00::2 }" in rule[1]


def test_metrics_are_for_the_monitor_and_loopback_for_nobody() -> None:
    groups = {**GROUPS, "monitor": ["edge1"]}
    entries: list[dict[str, Any]] = [
        {"role": "docker", "job": "docker", "port": 9323, "address": "127.0.0.1"},
        {"role": "patroni", "job": "patroni", "port": 8008},
        {"role": "patroni", "name": "api", "port": 8008, "from": ["patroni", "monitor"]},
        {"role": "postgresql", "job": "postgresql", "port": 9187, "address": "::"},
        {"role": "haproxy", "name": "shop", "port": 8000, "address": "::1", "from": ["app"]},
    ]
    assert [(door.name, door.others) for door in doors_of(entries)] == [
        ("patroni.api", ("patroni", "monitor")),
        ("postgresql.metrics-postgresql", ("monitor",)),
    ]
    text = ruleset("db1", doors_of(entries), None, Inventory(groups, INVENTORY.addresses), [])
    assert 'proto-dst 9187 ip saddr { 10.0.0.1 } counter accept comment "postgresql.metrics-postgresql"' in text


def test_declared_ports_are_all_that_others_may_reach_by_tcp() -> None:
    entries: list[dict[str, Any]] = [
        POSTGRESQL,
        {"role": "firewall", "name": "app", "port": "8000-8002", "from": ["edge"]},
        {"role": "haproxy", "job": "haproxy", "port": 8404, "address": "10.0.0.1"},
        {"role": "nginx", "job": "nginx", "port": 9113, "address": "127.0.0.1"},
        {"role": "wireguard", "name": "tunnel", "port": 51820, "protocol": "udp", "from": ["anywhere"]},
        {"role": "keepalived", "name": "vrrp", "port": 112, "protocol": "ip", "from": ["edge"]},
    ]
    assert tcp_ports(doors_of(entries)) == [5432, 8000, 8001, 8002, 8404]


def test_a_host_whose_addresses_are_not_known_is_not_left_out_in_silence() -> None:
    with pytest.raises(
        FirewallError, match=r"addresses of new1 are not known.*would be locked out.*firewall_addresses"
    ):
        rules("db1", {**POSTGRESQL, "from": ["new1"]})


def test_what_may_leave_is_what_others_have_a_door_for() -> None:
    repository = {"role": "pgbackrest", "name": "server", "port": 8432, "from": ["postgresql"]}
    world = {"role": "nginx", "name": "https", "port": 443, "from": ["anywhere"]}
    doors = {
        host: doors_of(entries) for host, entries in {"edge1": [repository, world, SSH], "app1": [POSTGRESQL]}.items()
    }
    own = [{"name": "dns", "port": 53, "protocol": "udp", "to": ["192.0.2.53"]}]
    ways = ways_of("db1", doors, own, INVENTORY)
    assert ways == [
        Door("pgbackrest.server", "8432", "tcp", ("edge1",)),
        Door("postgresql.sql", "5432", "tcp", ("app1",)),
        Door("dns", "53", "udp", ("192.0.2.53",)),
    ]
    assert rules("db1", POSTGRESQL, chain="outbound", ways=ways)[-1] == (
        'meta l4proto udp th dport 53 ip daddr { 192.0.2.53 } counter accept comment "dns"'
    )
    assert rules("db1", POSTGRESQL, chain="output", ways=ways)[-2:] == [
        "jump outbound",
        'counter reject with icmpx type admin-prohibited comment "output"',
    ]
    assert 'iifname { "docker*", "br-*" } jump outbound' in rules("db1", POSTGRESQL, chain="forward", ways=ways)


def test_without_a_restriction_everything_leaves() -> None:
    text = ruleset("db1", doors_of([POSTGRESQL]), None, INVENTORY, [])
    assert "hook output" not in text and "outbound" not in text


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"port": 0}, "firewall.x: 0 is no port"),
        ({"port": "9-8"}, "firewall.x: 9-8 is no port"),
        ({"port": "ssh"}, "firewall.x: ssh is no port"),
        ({"port": 70000}, "firewall.x: 70000 is no port"),
        ({"protocol": "icmp"}, "firewall.x: icmp is no protocol that has ports; write tcp or udp"),
        ({"name": 'x" accept'}, "is no name of a rule"),
    ],
)
def test_what_is_no_rule_is_refused(entry: dict[str, Any], told: str) -> None:
    whole = {"role": "firewall", "name": "x", "port": 9, "from": ["app"]} | entry
    assert [problem for problem in problems([SSH, whole], [], {}, INVENTORY) if told in problem]
    with pytest.raises(FirewallError, match=r"no port|no protocol|no name"):
        doors_of([whole])


def test_names_that_nobody_has_are_refused_in_the_inventorys_own_rules_only() -> None:
    own = {"name": "x", "port": 9, "from": ["ap1", "10.0.0.0/33"]}
    found = list(problems([SSH, POSTGRESQL | {"from": ["pgbouncer"]}], [own], {"nginx.http": ["app"]}, INVENTORY))
    assert found == [
        "firewall_from names nginx.http, and no role of this host has such a port",
        "rule x names ap1, which is no group, no host, no network and not anywhere; did you mean app1?",
        "rule x names 10.0.0.0/33, which is no group, no host, no network and not anywhere",
    ]


@pytest.mark.parametrize("given", [["bastion"], [], ["postgres"]])
def test_a_map_by_which_nobody_has_ssh_is_refused(given: list[str]) -> None:
    assert [told for told in problems([SSH | {"from": given}], [], {}, INVENTORY) if "SSH would be closed" in told]
    assert list(problems([SSH], [], {}, INVENTORY)) == []


def test_addresses_are_the_hosts_own() -> None:
    facts = {
        "interfaces": ["lo", "eth0", "docker0", "br-1a2b", "eth0.5"],
        "lo": {"ipv4": {"address": "127.0.0.1"}},
        "eth0": {
            "ipv4": {"address": "10.0.0.2"},
            "ipv4_secondaries": [{"address": "10.0.0.9"}],
            "ipv6": [{"address": "fe80::1", "scope": "link"}, {"address": "fd00::2", "scope": "global"}],
        },
        "eth0_5": {"ipv4": {"address": "10.5.0.2"}},
        "docker0": {"ipv4": {"address": "172.17.0.1"}},
        "br_1a2b": {"ipv4": {"address": "172.18.0.1"}},
    }
    assert addresses_of(facts) == ["10.0.0.2", "10.0.0.9", "fd00::2", "10.5.0.2"]
    assert addresses_of({}) == []


@pytest.mark.skipif(not shutil.which("unshare"), reason="nft needs a network of its own")
@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.parametrize("ways", [None, [Door("dns", "53", "udp", ("anywhere",)), Door("x", "1-9", "tcp", ("app",))]])
def test_nft_takes_it_twice_and_leaves_other_tables_alone(tmp_path: Path, ways: list[Door] | None) -> None:
    file = tmp_path / "rules.nft"
    file.write_text(ruleset("db1", doors_of([SSH, POSTGRESQL]), ways, INVENTORY, ["docker*"]))
    script = f"nft add table ip other && nft -f {file} && nft -f {file} && nft list tables"
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("not root")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["table ip other", "table inet slipway"]
