from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.services import services, services_problems, services_tree
from ansible_collections.slipway.ops.plugins.module_utils.haproxy_plan import pools_of
from ansible_collections.slipway.ops.plugins.module_utils.release.request import gate_checks
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import (
    ServiceError,
    find_service,
    parse_service,
)

ROOT = Path(__file__).resolve().parents[3]
LEAST: dict[str, Any] = {"name": "shop", "image": "r:5000/shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}

UNTAGGED = "an image without a tag, like registry1:5000/shop (the version is the tag)"


def promised(options: dict[str, Any]) -> dict[str, Any]:
    """What the role's specs say of each option, at any depth: its default, or that it has to be given."""
    return {
        name: promised(option["options"])
        if option.get("options")
        else "required"
        if option.get("required")
        else option.get("default")
        for name, option in options.items()
    }


def kept(kind: Any) -> dict[str, Any]:
    """The same as the reader has it."""
    hints, found = get_type_hints(kind), {}
    for item in fields(kind):
        nested = next((hint for hint in (hints[item.name], *get_args(hints[item.name])) if is_dataclass(hint)), None)
        default = item.default_factory() if callable(item.default_factory) else item.default
        required = not callable(item.default_factory) and not isinstance(default, (str, int, float, type(None)))
        found[item.name] = kept(nested) if nested else "required" if required else default
    return found


def test_options_and_defaults_are_those_of_the_role_specs() -> None:
    specs = yaml.safe_load((ROOT / "roles/app/meta/argument_specs.yml").read_text(encoding="utf-8"))
    assert kept(Service) == promised(specs["argument_specs"]["main"]["options"]["app_services"]["options"])


@pytest.mark.parametrize("ready", [{}, {"ready": None}, {"ready": {"path": ""}}, {"ready": {"timeout": None}}])
def test_who_says_nothing_of_readiness_is_asked_for_health_by_everybody(ready: dict[str, Any]) -> None:
    data = LEAST | {"health": {"path": "/up"}, "edge_port": 18000} | ready
    (pool,) = pools_of([parse_service(data)], ["app1"], {})
    assert pool["health"] == {"path": "/up"}
    assert [check["url"] for check in gate_checks(parse_service(data), "blue", "10.0.0.5", "app1")] == [
        "http://10.0.0.5:8000/up"
    ] * 2
    (complete,) = services([data])
    assert complete["ready"] == {"path": "/up", "interval": None, "timeout": None}
    assert parse_service(complete) == parse_service(data)


def test_nothing_means_the_default_and_a_number_may_come_as_text() -> None:
    found = parse_service(
        LEAST | {"instances": None, "stop_timeout": "5", "read_only": "no", "resources": {"cpus": "2"}}
    )
    assert (found.instances, found.stop_timeout, found.read_only, found.resources.cpus) == (1, 5, False, 2.0)


def refusals() -> Iterator[tuple[dict[str, Any], str]]:
    """A change of a service that is right, and the line that refuses it."""
    yield {"instanses": 2}, "[shop].instanses: there is no such option; did you mean instances?"
    yield {"health": {"paht": "/"}}, "[shop].health.paht: there is no such option; did you mean path?"
    yield {"workers": [{"name": "w"}]}, "[shop].workers[0].command: it is missing."
    yield {"volumes": [{"name": "v", "path": "/v", "mode": "x"}]}, "[shop].volumes[0].mode: there is no such option"
    yield {"image": None}, "[shop].image: it is missing."
    yield (
        {"name": "Shop_1"},
        "[Shop_1].name: a DNS label (lower-case letters, digits and dashes, a letter first) is wanted",
    )
    yield {"strategy": "yolo"}, "[shop].strategy: blue_green is wanted, not 'yolo'."
    yield {"instances": 101}, "[shop].ports: blue and green would share port 8100; leave 101 ports between"
    yield {"instances": 0}, "[shop].instances: a whole number of at least 1 is wanted, not 0."
    yield {"instances": True}, "[shop].instances: a whole number of at least 1 is wanted, not true."
    yield {"instances": 1.5}, "[shop].instances: a whole number of at least 1 is wanted, not 1.5."
    yield {"port": "http"}, "[shop].port: a whole number from 1 to 65535 is wanted, not 'http'."
    yield {"ports": {"blue": 8000}}, "[shop].ports.green: it is missing."
    yield {"ports": [8000, 8100]}, "[shop].ports: a mapping is wanted, not a list."
    yield {"ports": {"blue": 8000, "green": 65535}, "instances": 2}, "[shop].ports.green: 2 instances would need ports"
    yield {"edge_port": 70000}, "[shop].edge_port: a whole number from 1 to 65535 is wanted, not 70000."
    yield {"health": "/up"}, "[shop].health: a mapping is wanted, not '/up'."
    yield {"health": {"path": "up"}}, "[shop].health.path: a path that begins with /, as it stands in a URL is wanted"
    yield {"health": {"path": "/a b"}}, "[shop].health.path: "
    yield (
        {"health": {"interval": "often"}},
        "[shop].health.interval: a whole number of at least 1 is wanted, not 'often'.",
    )
    yield {"ready": {"timeout": "1s"}}, "[shop].ready.timeout: a number of at least 0 is wanted, not '1s'."
    yield {"command": "run --fast"}, "[shop].command: a list is wanted, not 'run --fast'."
    yield {"user": "www-data"}, "[shop].user: uid:gid in numbers is wanted, not 'www-data'."
    yield {"restart": "sometimes"}, "[shop].restart: no or always or on-failure or unless-stopped is wanted"
    yield {"read_only": "perhaps"}, "[shop].read_only: true or false is wanted, not 'perhaps'."
    yield {"resources": {"memory": "much"}}, "[shop].resources.memory: a size like 512M is wanted, not 'much'."
    yield {"networks": ["default"]}, "[shop].networks[0]: a network of the host's own is wanted, not 'default'."
    yield {"environment": {"A B": 1}}, "[shop].environment: a name of an environment variable is wanted, not 'A B'."
    yield {"environment": ["A=1"]}, "[shop].environment: a mapping is wanted, not a list."
    yield {"host_mounts": [{"source": "etc", "path": "/e"}]}, "[shop].host_mounts[0].source: an absolute path is wanted"
    for image in ("r:5000/shop:1.0", "shop:latest", "r/shop@sha256:00", "r/Shop", "r/shop ", ""):
        yield {"image": image}, f"[shop].image: {UNTAGGED} is wanted, not {image!r}."
    for name in ("../../x", "a/b", ".", ""):
        yield {"secrets": {name: "hush"}}, f"[shop].secrets: a plain file name is wanted, not {name!r}."
        yield {"volumes": [{"name": name, "path": "/v"}]}, "[shop].volumes[0].name: a plain file name is wanted"
    for name in ("my worker", "Mail", "a/b", "-x"):
        yield {"workers": [worker(name)]}, "[shop].workers[0].name: a DNS label"
    yield (
        {"workers": [worker("app")]},
        "[shop].workers: app is what the instances are called; name the worker after its work.",
    )
    yield {"workers": [worker("mail"), worker("mail")]}, "[shop].workers: two of them are called mail."
    yield {"tmpfs": ["/data:size=1m"], "volumes": [{"name": "v", "path": "/data/"}]}, "[shop]: two of volumes,"
    yield {"secrets": {"a": "b"}, "tmpfs": ["/run/secrets"]}, "are at /run/secrets in the container."


def worker(name: str) -> dict[str, Any]:
    return {"name": name, "command": ["work"]}


@pytest.mark.parametrize(("change", "line"), list(refusals()))
def test_what_cannot_be_meant_is_refused_in_one_line(change: dict[str, Any], line: str) -> None:
    (told,) = services_problems([LEAST | change])
    assert told.startswith("app_services[") and line in told and "\n" not in told


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("shop", "app_services: a list of services is wanted, not 'shop'."),
        ({"shop": LEAST}, "app_services: a list of services is wanted, not a mapping."),
        (None, "app_services: a list of services is wanted, not nothing."),
        (["shop"], "app_services[0]: a mapping is wanted, not 'shop'."),
        ([LEAST | {"name": ["x"]}], "app_services[0].name: a DNS label"),
    ],
)
def test_a_variable_of_another_type_is_refused_in_one_line(value: Any, line: str) -> None:
    (told,) = services_problems(value)
    assert told.startswith(line)


def test_everything_that_is_wrong_is_told_at_once_and_no_secret_with_it() -> None:
    wrong = LEAST | {"port": 0, "instances": 0, "secrets": "hush-hush"}
    lines = services_problems([wrong, LEAST | {"name": "b", "image": "b:1"}])
    assert [line.partition(":")[0] for line in lines] == [
        "app_services[shop].port",
        "app_services[shop].instances",
        "app_services[shop].secrets",
        "app_services[b].image",
    ]
    assert "hush" not in "".join(lines)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"ports": {"blue": 8100, "green": 8200}, "edge_port": 18001}, "services shop and other would share port 8100"),
        ({"ports": {"blue": 9000, "green": 9100}}, "services shop and other would share edge_port 18000"),
        ({"name": "shop", "ports": {"blue": 9000, "green": 9100}}, "two services are called shop"),
        (
            {"name": "shop-blue", "ports": {"blue": 9000, "green": 9100}, "edge_port": 18001},
            "services shop and shop-blue would share the container name shop-blue-green-1",
        ),
    ],
)
def test_what_two_services_cannot_share(other: dict[str, Any], line: str) -> None:
    shop = LEAST | {"edge_port": 18000, "workers": [worker("green")]}
    assert services_problems([shop, LEAST | {"name": "other", "edge_port": 18000} | other]) == [
        f"app_services: {line}."
    ]


def test_lists_and_mappings_arrive_as_json() -> None:
    values = {"MAP": {"a": [1, None, True]}, "LIST": ["é"], "YES": True, "NONE": None, "NUMBER": 1.5}
    found = parse_service(LEAST | {"environment": values, "secrets": {"key.json": {"id": "x"}}})
    assert found.environment == {
        "MAP": '{"a":[1,null,true]}',
        "LIST": '["é"]',
        "YES": "true",
        "NONE": "",
        "NUMBER": "1.5",
    }
    (secret,) = services_tree([LEAST | {"secrets": {"key.json": {"id": "x"}}}], "/srv")["files"]
    assert json.loads(secret["content"]) == {"id": "x"}


def test_unknown_service_is_answered_with_the_nearest() -> None:
    with pytest.raises(ServiceError, match=r"no service shp in app_services; did you mean shop\?"):
        find_service([LEAST], "shp")
    with pytest.raises(ServiceError, match=r"\(known: shop\)"):
        find_service([LEAST], "zzz")
    with pytest.raises(ServiceError, match=r"\(known: none\)"):
        find_service([], "shop")


def test_a_service_is_found_beside_one_that_is_wrong() -> None:
    assert find_service([{"name": "other"}, LEAST], "shop") == parse_service(LEAST)


def test_ports_of_instances() -> None:
    assert parse_service(LEAST | {"instances": 3}).host_ports("green") == [8100, 8101, 8102]
