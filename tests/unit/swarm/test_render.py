"""A service in a swarm: what its engine takes, what the edges and the firewall get, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.swarm import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.swarm.render import size

FILTERS = FilterModule().filters()
SECRET = "correct horse battery staple"
LEAST: dict[str, Any] = {"name": "shop", "image": "r:5000/shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}
WHOLE: dict[str, Any] = LEAST | {
    "instances": 2,
    "edge_port": 18000,
    "scaling": {"max": 5},
    "user": "10001:10002",
    "command": ["shop", "serve"],
    "environment": {"PRICE": "5$ ${X} {{.Node.ID}}", "PORT": "1", "SERVICE_VERSION": "1"},
    "secrets": {"jwt_secret": SECRET},
    "volumes": [{"name": "uploads", "path": "/data"}],
    "host_mounts": [{"source": "/etc/ssl", "path": "/etc/ssl"}],
    "tmpfs": ["/tmp:size=64m,mode=1777", "/var/cache"],
    "capabilities": ["net_bind_service"],
    "resources": {"cpus": 0.5, "memory": "256M", "pids": -1},
    "health": {"command": ["shop", "check"], "start_period": 35, "interval": 10, "timeout": 5, "retries": 3},
    "ready": {"path": "/ready", "interval": 0.5},
    "logging": {"driver": "journald"},
    "workers": [{"name": "mail", "command": ["shop", "mail"], "environment": {"QUEUE": "mail"}}],
    "stop_timeout": 20,
}
GROUPS = {"swarm_managers": ["a", "b", "c"], "swarm_workers": ["d"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "a": {"swarm_availability": "drain"},
    "b": {"swarm_address": "fd00::5", "swarm_labels": {"rack": "2"}},
    "c": {"swarm_availability": "pause"},
    "d": {},
}
SECOND = 1_000_000_000


def services(description: dict[str, Any], version: str = "2.0.0") -> dict[str, dict[str, Any]]:
    return {one["name"]: one["spec"] for one in FILTERS["swarm_services"](description, version)}


def test_each_instance_of_a_node_is_a_service_with_the_port_of_each_node() -> None:
    made = services(WHOLE)
    assert list(made) == ["shop-1", "shop-2", "shop-mail-1"]
    endpoints = [one["EndpointSpec"] for one in made.values()]
    assert all(one["Mode"] == {"Global": {}} for one in made.values())
    assert [[port["PublishedPort"] for port in one["Ports"]] for one in endpoints] == [[8000], [8001], []]
    assert all(one["Mode"] == "dnsrr" for one in endpoints)
    assert endpoints[0]["Ports"][0] == {
        "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8000, "PublishMode": "host",
    }  # fmt: skip


def test_a_container_has_what_it_has_on_hosts() -> None:
    task = services(WHOLE)["shop-2"]["TaskTemplate"]
    container = task["ContainerSpec"]
    assert container["Image"] == "r:5000/shop:2.0.0" and container["Args"] == ["shop", "serve"]
    assert container["User"] == "10001:10002" and container["ReadOnly"] is True
    assert (container["CapabilityDrop"], container["CapabilityAdd"]) == (["ALL"], ["CAP_NET_BIND_SERVICE"])
    assert container["StopGracePeriod"] == 20 * SECOND
    assert container["Healthcheck"] == {
        "Test": ["CMD", "shop", "check"], "Interval": 10 * SECOND, "Timeout": 5 * SECOND, "Retries": 3,
        "StartPeriod": 35 * SECOND,
    }  # fmt: skip
    assert container["Mounts"] == [
        {"Type": "bind", "Source": "/srv/slipway/shop/volumes/uploads", "Target": "/data"},
        {"Type": "bind", "Source": "/etc/ssl", "Target": "/etc/ssl", "ReadOnly": True},
        {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 64 * 1024**2, "Mode": 0o1777}},
        {"Type": "tmpfs", "Target": "/var/cache"},
    ]
    assert task["Resources"]["Limits"] == {"NanoCPUs": SECOND // 2, "MemoryBytes": 256 * 1024**2, "Pids": 0}
    assert task["LogDriver"] == {"Name": "journald", "Options": {}}
    assert services(LEAST)["shop-1"]["TaskTemplate"]["LogDriver"] is None


def test_variables_arrive_as_they_stand_and_none_of_the_services_own_hides_the_engines() -> None:
    variables = services(WHOLE)["shop-2"]["TaskTemplate"]["ContainerSpec"]["Env"]
    assert variables == [
        "INSTANCE_ID={{.Node.Hostname}}-2",
        "PORT=80",
        'PRICE=5$ ${X} {{"{{"}}.Node.ID}}',
        "SERVICE_VERSION=2.0.0",
    ]


def test_a_worker_has_its_own_command_no_check_and_no_port() -> None:
    container = services(WHOLE)["shop-mail-1"]["TaskTemplate"]["ContainerSpec"]
    assert container["Args"] == ["shop", "mail"] and container["Healthcheck"] == {"Test": ["NONE"]}
    assert "QUEUE=mail" in container["Env"] and not any(one.startswith("PORT=80") for one in container["Env"])
    assert services(WHOLE)["shop-mail-1"]["UpdateConfig"]["Delay"] == 0, "no edge waits for it"


def test_without_a_command_the_image_is_asked_by_what_it_brings() -> None:
    test = services(LEAST)["shop-1"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["Test"]
    assert test[:3] == ["CMD", "sh", "-c"] and '"$1"' in test[3] and test[-1] == "http://127.0.0.1:80/health"


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, 3),
        ({"ready": {"interval": 0.5}}, 3),
        ({"pool": {"health": {"interval": "2s", "rise": 3}}}, 8),
        ({"ready": {"interval": 1.5}, "pool": {"health": {"rise": 2}}}, 5),
    ],
)
def test_the_next_node_waits_until_the_edges_know_that_the_one_before_is_back(
    more: dict[str, Any], seconds: int
) -> None:
    spec = services(LEAST | more)["shop-1"]
    assert spec["UpdateConfig"]["Delay"] == seconds * SECOND and spec["UpdateConfig"]["Order"] == "stop-first"
    assert (spec["UpdateConfig"]["Parallelism"], spec["UpdateConfig"]["MaxFailureRatio"]) == (1, 0)


def test_a_failed_change_is_taken_back_and_that_is_not() -> None:
    spec = services(LEAST)["shop-1"]
    assert (spec["UpdateConfig"]["FailureAction"], spec["RollbackConfig"]["FailureAction"]) == ("rollback", "pause")
    assert services(LEAST | {"strategy": "recreate"})["shop-1"]["UpdateConfig"]["Parallelism"] == 0


@pytest.mark.parametrize(
    ("restart", "condition"),
    [("no", "none"), ("on-failure", "on-failure"), ("always", "any"), ("unless-stopped", "any")],
)
def test_restarts(restart: str, condition: str) -> None:
    assert services(LEAST | {"restart": restart})["shop-1"]["TaskTemplate"]["RestartPolicy"]["Condition"] == condition


def test_no_value_of_a_secret_is_in_it() -> None:
    assert SECRET not in json.dumps(services(WHOLE))
    assert FILTERS["swarm_secrets"]([WHOLE], "shop") == {"jwt_secret": SECRET}


@pytest.mark.parametrize(
    ("more", "version", "told"),
    [
        ({"migrate": {"command": ["shop", "migrate"]}}, "2.0.0", "migrate"),
        ({"tmpfs": ["/tmp:uid=5"]}, "2.0.0", "tmpfs /tmp:uid=5"),
        ({}, "2 0", "cannot be a version"),
        ({"instances": 0}, "2.0.0", "instances"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], version: str, told: str) -> None:
    with pytest.raises(AnsibleFilterError, match=told):
        services(LEAST | more, version)


def test_the_edges_ask_every_node_that_runs_tasks_at_its_address() -> None:
    (pool,) = FILTERS["swarm_pools"](
        [WHOLE, LEAST | {"name": "inner", "ports": {"blue": 9000, "green": 9100}}], GROUPS, HOSTVARS
    )
    assert "sets" not in pool and pool["bind"] == "127.0.0.1:18000" and pool["health"]["path"] == "/ready"
    assert pool["servers"] == [
        {"name": "b-1", "address": "[fd00::5]:8000"},
        {"name": "b-2", "address": "[fd00::5]:8001"},
        {"name": "d-1", "address": "d:8000"},
        {"name": "d-2", "address": "d:8001"},
    ]


def test_the_firewall_lets_the_edges_alone_come_to_them() -> None:
    assert FILTERS["swarm_ports"]([WHOLE]) == [
        {"name": "shop-1", "port": 8000, "from": ["edge"]},
        {"name": "shop-2", "port": 8001, "from": ["edge"]},
    ]


def test_nodes_are_those_that_were_seen_with_what_the_inventory_says() -> None:
    seen = {name: values | {"__swarm_node": {"id": f"id-{name}"}} for name, values in HOSTVARS.items()}
    seen["d"] = {"__swarm_node": {"id": ""}, "__swarm_joined": {"id": "new"}}
    seen["c"] = {"__swarm_node": {"unreachable": True}, "__swarm_joined": {"skipped": True}}
    assert FILTERS["swarm_nodes"](GROUPS, seen) == [
        {"host": "a", "id": "id-a", "role": "manager", "availability": "drain", "labels": {}},
        {"host": "b", "id": "id-b", "role": "manager", "availability": "active", "labels": {"rack": "2"}},
        {"host": "d", "id": "new", "role": "worker", "availability": "active", "labels": {}},
    ]


@pytest.mark.parametrize(("text", "found"), [("512M", 512 * 1024**2), ("1.5gb", 1610612736), ("7", 7), ("2KiB", 2048)])
def test_sizes_are_dockers(text: str, found: int) -> None:
    assert size(text) == found


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(RequestError, match="no size"):
        size("much")
