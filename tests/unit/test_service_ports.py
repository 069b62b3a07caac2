"""The ports of services, which the firewall opens for the edges."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.filter.services import service_ports

SERVICE = {"name": "shop", "image": "registry1:5000/shop", "port": 8000, "ports": {"blue": 8000, "green": 8100}}


def test_those_of_both_colours_and_of_the_bake_are_for_who_comes() -> None:
    found = service_ports([SERVICE | {"instances": 2, "bake": {"seconds": 60, "port": 8900}}], ["edge"])
    assert {one["name"]: one["port"] for one in found} == {
        "shop-blue-1": 8000,
        "shop-blue-2": 8001,
        "shop-green-1": 8100,
        "shop-green-2": 8101,
        "shop-bake": 8900,
    }
    assert all(one["from"] == ["edge"] for one in found)


def test_an_instance_that_scaling_adds_finds_its_port_open() -> None:
    found = service_ports([SERVICE | {"instances": 1, "scaling": {"max": 2}}], ["edge"])
    assert [one["port"] for one in found] == [8000, 8001, 8100, 8101]
