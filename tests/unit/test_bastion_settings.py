from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.net.bastion import (
    Target,
    client_settings,
    permitted,
    problems,
    target_of,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1SRUoyA1V8W0yvZ0yqN8rO5gWcXfZ1m3bX0T7o5cY9"
FACTS = {
    "interfaces": ["lo", "eth0", "docker0"],
    "eth0": {"ipv4": {"address": "10.0.0.4"}, "ipv6": [{"address": "fd00::4", "scope": "global"}]},
    "docker0": {"ipv4": {"address": "172.17.0.1"}},
}


def test_a_host_is_opened_by_each_name_and_address_it_has() -> None:
    app1 = target_of("app1", {"ansible_host": "app1.example.com", "ansible_port": 2222, "ansible_facts": FACTS})
    db1 = target_of("db1", {"firewall_ssh_port": 2200, "ansible_user": "root"})
    assert permitted([app1, db1], ["10.9.9.9:22"]) == [
        "app1.example.com:2222",
        "app1:2222",
        "10.0.0.4:2222",
        "[fd00::4]:2222",
        "db1:2200",
        "10.9.9.9:22",
    ]


def test_with_nobody_behind_nothing_is_opened() -> None:
    """`PermitOpen` with nothing behind it would be refused by sshd, and one without it lets everything through."""
    assert permitted([]) == ["none"]


def test_what_could_end_the_line_opens_nothing() -> None:
    assert permitted([target_of("app1", {"ansible_host": "10.0.0.4\nPermitOpen any"})]) == ["app1:22"]


def test_clients_come_through_the_bastion_by_the_inventorys_names() -> None:
    gate = Target("gate1", ("203.0.113.7",), 2214, "")
    lines = client_settings(gate, [Target("app1", ("10.0.0.4", "app1"), 22, "root")])
    assert [line.strip() for line in lines] == [
        "Host gate1",
        "HostName 203.0.113.7",
        "Port 2214",
        "",
        "Host app1",
        "HostName 10.0.0.4",
        "Port 22",
        "User root",
        "ProxyJump gate1",
    ]


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([{"name": "anna", "keys": [f"{KEY} anna@home"]}], None),
        ([{"name": "anna", "keys": [KEY[:-8]]}], "is no public key"),
        ([{"name": "root", "keys": []}], "who administers the bastion itself"),
        ([{"name": "../anna", "keys": []}], "a login is of"),
        ([{"name": "anna", "keys": ["command=x ssh-ed25519 AAAA"]}], "is no public key"),
        ([{"name": "anna", "keys": ["ssh-ed25519 AAAA\nssh-rsa BBBB"]}], "is no public key"),
        ([{"name": "anna", "keys": []}] * 2, "has anna twice"),
    ],
)
def test_what_cannot_be_meant(users: list[dict[str, object]], said: str | None) -> None:
    found = list(problems(users, ["root", "ops"]))
    assert (said in found[0]) if said else not found
