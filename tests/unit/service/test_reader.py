from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.services import services, services_problems, services_tree
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.plan import pools_of
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
    yield {"instanses": 2}, "[shop].instanses is no option; did you mean instances?"
    yield {"health": {"paht": "/"}}, "[shop].health.paht is no option; did you mean path?"
    yield {"workers": [{"name": "w"}]}, "[shop].workers[0].command is missing."
    yield {"volumes": [{"name": "v", "path": "/v", "mode": "x"}]}, "[shop].volumes[0].mode is no option"
    yield {"image": None}, "[shop].image is missing."
    yield (
        {"name": "Shop_1"},
        "[Shop_1].name is 'Shop_1', wanted is a DNS label (lower-case letters, digits and dashes, a letter first).",
    )
    yield {"strategy": "yolo"}, "[shop].strategy is 'yolo', wanted is blue_green or rolling or canary or recreate."
    yield {"instances": 101}, "[shop].ports: blue and green would share port 8100; leave 101 ports between"
    yield {"instances": 0}, "[shop].instances is 0, wanted is a whole number of at least 1."
    yield {"instances": True}, "[shop].instances is true, wanted is a whole number of at least 1."
    yield {"instances": 1.5}, "[shop].instances is 1.5, wanted is a whole number of at least 1."
    yield {"port": "http"}, "[shop].port is 'http', wanted is a whole number from 1 to 65535."
    yield {"ports": {"blue": 8000}}, "[shop].ports.green is missing."
    yield {"ports": [8000, 8100]}, "[shop].ports is a list, wanted is a mapping."
    yield {"ports": {"blue": 8000, "green": 65535}, "instances": 2}, "[shop].ports.green: 2 instances would need ports"
    yield (
        {"strategy": "canary", "watch": {"version": False}},
        "[shop].watch.version: a canary is told from the live release by the version in its answers.",
    )
    yield {"edge_port": 70000}, "[shop].edge_port is 70000, wanted is a whole number from 1 to 65535."
    yield {"health": "/up"}, "[shop].health is '/up', wanted is a mapping."
    yield (
        {"health": {"path": "up"}},
        "[shop].health.path is 'up', wanted is a path that begins with /, as it stands in a URL.",
    )
    yield {"health": {"path": "/a b"}}, "[shop].health.path is '/a b'"
    yield (
        {"health": {"interval": "often"}},
        "[shop].health.interval is 'often', wanted is a whole number of at least 1.",
    )
    yield {"ready": {"timeout": "1s"}}, "[shop].ready.timeout is '1s', wanted is a number of at least 0."
    yield {"command": "run --fast"}, "[shop].command is 'run --fast', wanted is a list."
    yield {"user": 2013}, "[shop].user is 2013, wanted is uid:gid in numbers, in quotes."
    yield {"user": "www-data"}, "[shop].user is 'www-data', wanted is uid:gid in numbers."
    yield (
        {"restart": "sometimes"},
        "[shop].restart is 'sometimes', wanted is no or always or on-failure or unless-stopped.",
    )
    yield {"read_only": "perhaps"}, "[shop].read_only is 'perhaps', wanted is true or false."
    yield {"resources": {"memory": "much"}}, "[shop].resources.memory is 'much', wanted is a size like 512M."
    yield {"networks": ["default"]}, "[shop].networks[0] is 'default', wanted is a network of the host's own."
    yield (
        {"environment": {"A B": 1}},
        "[shop].environment: a name is 'A B', wanted is a name of an environment variable.",
    )
    yield {"environment": ["A=1"]}, "[shop].environment is a list, wanted is a mapping."
    yield (
        {"host_mounts": [{"source": "etc", "path": "/e"}]},
        "[shop].host_mounts[0].source is 'etc', wanted is an absolute path.",
    )
    for image in ("r:5000/shop:1.0", "shop:latest", "r/shop@sha256:00", "r/Shop", "r/shop ", ""):
        yield {"image": image}, f"[shop].image is {image!r}, wanted is {UNTAGGED}."
    for name in ("../../x", "a/b", ".", ""):
        yield {"secrets": {name: "hush"}}, f"[shop].secrets: a name is {name!r}, wanted is a plain file name."
        yield (
            {"volumes": [{"name": name, "path": "/v"}]},
            f"[shop].volumes[0].name is {name!r}, wanted is a plain file name.",
        )
    for name in ("my worker", "Mail", "a/b", "-x"):
        yield {"workers": [worker(name)]}, f"[shop].workers[0].name is {name!r}, wanted is a DNS label"
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
        ("shop", "app_services is 'shop', wanted is a list of services."),
        ({"shop": LEAST}, "app_services is a mapping, wanted is a list of services."),
        (None, "app_services is nothing, wanted is a list of services."),
        (["shop"], "app_services[0] is 'shop', wanted is a mapping."),
        ([LEAST | {"name": ["x"]}], "app_services[0].name is a list, wanted is a DNS label"),
    ],
)
def test_a_variable_of_another_type_is_refused_in_one_line(value: Any, line: str) -> None:
    (told,) = services_problems(value)
    assert told.startswith(line)


def test_everything_that_is_wrong_is_told_at_once_and_no_secret_with_it() -> None:
    wrong = LEAST | {"port": 0, "instances": 0, "secrets": "hush-hush"}
    lines = services_problems([wrong, LEAST | {"name": "b", "image": "b:1"}, LEAST | {"name": "b"}])
    assert [re.split(" |:", line)[0] for line in lines] == [
        "app_services[shop].port",
        "app_services[shop].instances",
        "app_services[shop].secrets",
        "app_services[b].image",
        "app_services",
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
