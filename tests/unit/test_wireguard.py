"""A host's end of the tunnels: who is in it, what is refused, and that nobody is cut off by what is not known."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.wireguard import wireguard_configuration, wireguard_problems

KEYS = {
    name: base64.b64encode(bytes([number]) * 32).decode()
    for number, name in enumerate(("gate", "db", "anna", "ben"), 1)
}
HOSTS: dict[str, dict[str, Any]] = {
    "gate": {"wireguard_addresses": ["10.99.0.1/24", "fd99::1/64"], "wireguard_endpoint": "2001:db8::1"},
    "db": {"wireguard_addresses": ["10.99.0.2/24"], "wireguard_networks": ["10.50.0.0/16"]},
}
ANNA = {"name": "anna laptop", "public_key": KEYS["anna"], "addresses": ["10.99.0.7"], "preshared_key": KEYS["ben"]}


def lines(host: str, *peers: dict[str, Any], **hosts: Any) -> list[str]:
    known = {**HOSTS, **hosts}
    return wireguard_configuration(peers, host, list(known), known, KEYS).splitlines()


def refused(*peers: dict[str, Any], **hosts: Any) -> str:
    known = {**HOSTS, **hosts}
    return " ".join(wireguard_problems(peers, "gate", list(known), known))


def test_hosts_are_each_others_peers_and_devices_come_by_their_keys() -> None:
    found = lines("gate", ANNA)
    assert "Address = fd99::1/64" in found and "ListenPort = 51820" in found
    assert found[found.index(f"PublicKey = {KEYS['db']}") :][2] == "AllowedIPs = 10.99.0.2/32, 10.50.0.0/16"
    at = found.index(f"PublicKey = {KEYS['anna']}")
    assert found[at + 1 : at + 3] == [f"PresharedKey = {KEYS['ben']}", "AllowedIPs = 10.99.0.7/32"]
    assert not any(KEYS["gate"] in line or line.startswith("PrivateKey") for line in found)


def test_who_cannot_be_called_calls_and_keeps_the_way_open() -> None:
    found = lines("db")
    assert "Endpoint = [2001:db8::1]:51820" in found and "PersistentKeepalive = 25" in found
    assert not any(line.startswith("Endpoint") for line in lines("gate"))


def test_what_a_peer_does_not_have_is_said_or_it_would_keep_it() -> None:
    """`wg syncconf` leaves a preshared key and a keepalive alone that the file does not name."""
    found = lines("gate")
    assert "PersistentKeepalive = 0" in found and f"PresharedKey = {'A' * 43}=" in found


def test_only_addresses_and_routes_ask_for_a_restart() -> None:
    """A device within the tunnel's own network changes neither."""

    def at_start(*peers: dict[str, Any]) -> str:
        return next(line for line in lines("gate", *peers) if line.startswith("# Addresses and routes"))

    assert at_start() == at_start(ANNA) == "# Addresses and routes: 10.99.0.1/24 fd99::1/64 10.50.0.0/16"
    assert at_start({**ANNA, "networks": ["10.60.0.0/16"]}).endswith("10.50.0.0/16 10.60.0.0/16")


def test_a_host_whose_key_is_not_known_is_not_left_out() -> None:
    with pytest.raises(
        AnsibleFilterError, match="public key of new is not known, and to leave new out would cut it off"
    ):
        lines("gate", new={"wireguard_addresses": ["10.99.0.3/24"]})


def test_what_can_be_meant_is_not_refused() -> None:
    assert refused(ANNA) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"public_key": "abc"}, "'abc' is no public key"),
        ({"preshared_key": "abc"}, "its preshared_key is none"),
        ({"addresses": ["10.99.0"]}, "'10.99.0' is neither an address nor a network"),
        ({"addresses": []}, "it needs addresses"),
        ({"name": "anna\n[Peer]"}, "a name has letters"),
        ({"endpoint": "laptop"}, "endpoint 'laptop' has no port"),
        ({"addresses": ["10.99.0.2"]}, "db and anna laptop both have 10.99.0.2/32"),
        ({"addresses": ["10.99.0.1"]}, "gate and anna laptop both have 10.99.0.1/32"),
    ],
)
def test_what_cannot_be_meant_is_said(change: dict[str, Any], said: str) -> None:
    assert said in refused({**ANNA, **change})


def test_two_devices_share_nothing() -> None:
    ben = {**ANNA, "name": "ben"}
    found = refused(ANNA, ben)
    assert "anna laptop and ben of wireguard_peers have the same public key" in found
    assert "anna laptop and ben both have 10.99.0.7/32" in found
    assert refused(ANNA, {**ben, "public_key": KEYS["ben"], "addresses": ["10.99.0.8"]}) == ""


@pytest.mark.parametrize("addresses", [[], ["10.99.0.1"], ["10.99.0.1/33"]])
def test_a_host_needs_an_address_with_the_tunnels_network(addresses: list[str]) -> None:
    assert "wireguard_addresses" in refused(gate={"wireguard_addresses": addresses})
