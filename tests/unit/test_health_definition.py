from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.health import kinds
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import DefinitionError, define, secrets
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import VERSION
from ansible_collections.slipway.ops.plugins.module_utils.health.json_path import JsonPathError, look_up, parse_path
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.modules import health_check

ROOT = Path(__file__).resolve().parents[2]


def one(**definition):
    (check,) = define([definition], KINDS)
    return check


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("http://shop/", "is not a mapping"),
        ({"url": "http://shop/"}, "it has no kind; kinds are backed_up, backup, command,"),
        ({"kind": "htpp", "url": "http://shop/"}, "'htpp' is no kind; did you mean 'http'?"),
        ({"kind": "http"}, "http needs url"),
        (
            {"kind": "http", "url": "http://shop/", "staus": 200},
            "no option of http; did you mean 'status'? its options",
        ),
        ({"kind": "http", "url": "shop.test/health"}, "url: 'shop.test/health' is not a URL such as"),
        ({"kind": "http", "url": "ftp://shop/"}, "is not a URL"),
        ({"kind": "http", "url": "http://ann:pw@shop/"}, "use username and password"),
        (
            {"kind": "http", "url": "http://shop:99999/"},
            "url: 'http://shop:99999/' is not a URL: 'shop:99999': '99999' is no port",
        ),
        ({"kind": "http", "url": "http://shop/a b"}, "is not a URL"),
        ({"kind": "http", "url": "http://shop/", "latency": "500"}, "latency: '500' is not a limit; write an operator"),
        ({"kind": "http", "url": "http://shop/", "latency": "< 5 GiB"}, "'ms' cannot be compared with one in 'GiB'"),
        ({"kind": "http", "url": "http://shop/", "status": "ok"}, "status: 'ok' is not a status such as 200 or 2xx"),
        ({"kind": "http", "url": "http://shop/", "matches": "("}, "matches: '(' is not a regular expression"),
        ({"kind": "http", "url": "http://shop/", "json": {"a..b": 1}}, "json: 'a..b' is not a path"),
        ({"kind": "http", "url": "http://shop/", "json": {"a": "< x"}}, "json: '< x' is not a limit"),
        ({"kind": "http", "url": "http://shop/", "headers": {"A": "b\r\nC: d"}}, "line breaks are not allowed"),
        ({"kind": "http", "url": "http://shop/", "username": "ann"}, "username and password go together"),
        ({"kind": "http", "url": "http://shop/", "requests": 5}, "say which: latency"),
        ({"kind": "http", "url": "http://shop/", "method": "get"}, "method: 'get' is not one of GET"),
        ({"kind": "tcp", "host": "shop"}, "tcp needs port"),
        ({"kind": "tcp", "host": "shop", "port": 0}, "port: 0 is not a whole number from 1 to 65535"),
        ({"kind": "tcp", "host": "shop", "port": "https"}, "port: 'https' is not a whole number"),
        ({"kind": "tcp", "host": "shop:80", "port": 80}, "host: 'shop:80' is no host; write a name or an address"),
        ({"kind": "dns", "host": "shop", "addresses": ["shop"]}, "addresses: 'shop' does not appear to be an IPv4 or"),
        ({"kind": "dns", "host": "shop\0"}, "host: 'shop\\x00' has a character that cannot be sent"),
        ({"kind": "systemd", "unit": "\ud800"}, "unit: '\\ud800' has a character that cannot be sent"),
        ({"kind": "command", "argv": ["a\0"]}, "argv: 'a\\x00' has a character that cannot be sent"),
        ({"kind": "http", "url": "http://shop/", "percentile": 10**400}, "is not a number from 0 to 100"),
        ({"kind": "http", "url": "http://shop/", "timeout": "9" * 400}, "is not a duration"),
        ({"kind": [], "url": "http://shop/"}, "'[]' is no kind; kinds are"),
        ({"kind": "dns", "host": "http://shop"}, "host: 'http://shop' is no host"),
        ({"kind": "postgresql", "host": "db1:5432"}, "host: 'db1:5432' is no host"),
        ({"kind": "tls", "host": "shop", "address": "10.0.0.5:https"}, "address: '10.0.0.5:https': 'https' is no port"),
        ({"kind": "http", "url": "http://shop/", "address": ":80"}, "address: ':80' has no host"),
        ({"kind": "tcp", "host": "shop", "port": 1, "timeout": 0}, "timeout: 0 is too short"),
        ({"kind": "tcp", "host": "shop", "port": 1, "deadline": "soon"}, "deadline: 'soon' is not a duration"),
        ({"kind": "tcp", "host": "shop", "port": 1, "area": "sales"}, "area: 'sales' is not one of infrastructure"),
        ({"kind": "command", "argv": "ls -l"}, "argv: 'ls -l' is not a list of the program and its arguments"),
        ({"kind": "container"}, "exactly one of container and labels"),
        ({"kind": "container", "container": "a", "labels": {"b": "c"}}, "exactly one of container and labels"),
        ({"kind": "disk", "path": "srv"}, "path: 'srv' is not an absolute path"),
        ({"kind": "disk", "used": "= full"}, "used: '= full' is not a limit on a number"),
        ({"kind": "file", "path": "/x", "exists": False, "age": "< 1 d"}, "age and size need a file"),
        ({"kind": "tls", "host": "shop", "minimum_protocol": "1.1"}, "minimum_protocol: '1.1' is not one of 1.2, 1.3"),
        ({"kind": "prometheus", "query": "up", "limit": "= up"}, "'= up' is not a limit on a number"),
        ({"kind": "prometheus", "query": "up", "limit": "< 1 s", "unit": "By"}, "cannot be compared"),
    ],
)
def test_nonsense_is_refused_in_words(definition, said):
    with pytest.raises(DefinitionError) as caught:
        define([definition], KINDS)
    assert str(caught.value).startswith("check 1")
    assert said in str(caught.value)


def test_all_mistakes_are_told_at_once_with_their_place():
    with pytest.raises(DefinitionError) as caught:
        define([{"kind": "disk"}, {"kind": "disc", "name": "data"}, {"kind": "tcp"}], KINDS)
    first, second = str(caught.value).splitlines()
    assert first.startswith("check 2 (data): 'disc' is no kind")
    assert second == "check 3: tcp needs host and port"
    with pytest.raises(DefinitionError, match="and 30 more"):
        define([{"kind": "tcp"}] * 50, KINDS)


def test_texts_from_templates_are_read_as_what_they_mean():
    check = one(kind="tcp", host="shop", port="443", timeout="1", deadline=None)
    assert (check.port, check.timeout, check.deadline) == (443, 1, None)
    assert one(kind="file", path="/x", exists="no").exists is False
    assert one(kind="http", url="http://shop/", status=["2xx", 401]).status[-2:] == (299, 401)
    assert str(one(kind="http", url="http://shop/", latency="< 500").latency) == "< 500 ms"


def test_identity():
    assert one(kind="http", url="http://shop/").identity == "application.http.answers"
    assert one(kind="http", url="http://shop/", name="Shop front").identity == "application.http.shop-front"
    assert one(kind="disk").identity == "infrastructure.disk.root"
    assert one(kind="disk", path="/srv/data", area="data").identity == "data.disk.srv-data"
    assert one(kind="disk", id="data.volume.room").identity == "data.volume.room"


@pytest.mark.parametrize(
    ("definition", "endpoint"),
    [
        ({"kind": "tcp", "host": "fd00::5", "port": 22}, "[fd00::5]:22"),
        ({"kind": "tcp", "host": "[fd00::5]", "port": 22}, "[fd00::5]:22"),
        ({"kind": "tls", "host": "fd00::5"}, "[fd00::5]:443"),
        ({"kind": "postgresql", "host": "fd00::5"}, "[fd00::5]:5432/postgres"),
        ({"kind": "postgresql"}, None),
    ],
)
def test_an_ipv6_address_stands_in_brackets_before_a_port(definition, endpoint):
    assert one(**definition).endpoint == endpoint


def test_secrets_are_known_to_the_module():
    headers = {"Authorization": "Bearer x", "X-Api-Key": "k", "Accept": "text/html"}
    definition = {"kind": "htpp", "username": "ann", "password": "pass", "body": 12345, "headers": headers}
    assert secrets([definition, {"kind": "disk"}, "nonsense"], KINDS) == {"pass", "12345", "Bearer x", "k"}


def test_every_file_of_kinds_is_registered():
    files = {path.stem for path in Path(kinds.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(KINDS)
    assert all(KINDS[name].__module__.endswith(f".{name}") for name in files)


def test_the_module_documents_every_kind_with_every_option_and_default():
    paragraphs = yaml.safe_load(health_check.DOCUMENTATION)["options"]["checks"]["description"]
    common = {item.name for item in fields(next(iter(KINDS.values())).__mro__[1])}
    every = next(text for text in paragraphs if text.startswith("B(every kind)"))
    assert [name for name in common if f"C({name})" not in every] == []
    for name, kind in KINDS.items():
        paragraph = next(text for text in paragraphs if text.startswith(f"B({name})"))
        for item in fields(kind):
            assert item.name in common or f"C({item.name})" in paragraph, (name, item.name)
            default = item.metadata["default"]
            if item.name not in common and default not in (MISSING, None, {}):
                shown = str(default).lower() if isinstance(default, bool) else default
                assert f"V({shown})" in paragraph, (name, item.name, shown)


def test_documented_defaults_of_the_module_are_those_of_the_engine():
    options = yaml.safe_load(health_check.DOCUMENTATION)["options"]
    pace = health_check.read_pace(
        {name: options[name]["default"] for name in ("deadline", "interval", "timeout", "concurrency")}
    )
    assert pace == type(pace)()


def test_the_examples_are_valid_definitions():
    for task in yaml.safe_load(health_check.EXAMPLES):
        checks = task["slipway.ops.health_check"]["checks"]
        assert isinstance(checks, str) or define(checks, KINDS)


def test_the_version_in_results_is_the_collections():
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == VERSION


@pytest.mark.parametrize(
    ("path", "found"),
    [("a", {"b": [10, {"c d": 1}]}), ("a.b[0]", 10), ('a.b[1]["c d"]', 1), ('["x.y"]', 2), ("a.b[1].c d", 1)],
)
def test_json_paths(path, found):
    assert look_up({"a": {"b": [10, {"c d": 1}]}, "x.y": 2}, parse_path(path)) == found


@pytest.mark.parametrize("path", ["a.c", "a[0]", "a.b.c", "a.b[7]", "x"])
def test_json_paths_to_nothing(path):
    with pytest.raises(KeyError):
        look_up({"a": {"b": [10]}}, parse_path(path))


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "a[x]", "a]"])
def test_what_is_no_json_path(path):
    with pytest.raises(JsonPathError, match="is not a path"):
        parse_path(path)
