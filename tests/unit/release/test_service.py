from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.release.service import (
    Service,
    ServiceError,
    check_version,
    find_service,
    parse_service,
)

ROOT = Path(__file__).resolve().parents[3]
LEAST: dict[str, Any] = {"name": "shop", "image": "r:5000/shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}


def specified() -> dict[str, Any]:
    specs = yaml.safe_load((ROOT / "roles/app/meta/argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"]["main"]["options"]["app_services"]["options"]


def expected(options: dict[str, Any]) -> dict[str, Any]:
    """The defaults that the role's specs promise, as data."""
    return {
        name: expected(option["options"])
        if option["type"] == "dict" and option.get("options")
        else option.get("default")
        for name, option in options.items()
        if not option.get("required")
    }


def test_defaults_are_those_of_the_role_specs() -> None:
    service = parse_service(LEAST)
    for name, value in expected(specified()).items():
        actual = getattr(service, name)
        assert (vars(actual) if isinstance(value, dict) and value else actual) == value, name


def test_the_specs_describe_every_option() -> None:
    assert set(specified()) == set(Service.__dataclass_fields__)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instanses": 2}, "did you mean instances?"),
        ({"health": {"paht": "/"}}, "health of service shop has no option paht; did you mean path?"),
        ({"workers": [{"name": "w"}]}, "an item of workers of service shop needs the option command"),
        (
            {"volumes": [{"name": "v", "path": "/v", "mode": "x"}]},
            "an item of volumes of service shop has no option mode",
        ),
        ({"name": "Shop_1"}, "not a DNS label"),
        ({"strategy": "yolo"}, "use blue_green"),
        ({"instances": 101}, "would share port 8100"),
    ],
)
def test_a_mistake_is_answered_with_what_was_meant(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_service(LEAST | change)
    assert message in str(caught.value)


def test_missing_option() -> None:
    with pytest.raises(ServiceError, match="service shop needs the option image"):
        parse_service({name: value for name, value in LEAST.items() if name != "image"})


def test_unknown_service_is_answered_with_the_nearest() -> None:
    with pytest.raises(ServiceError, match=r"no service shp in app_services; did you mean shop\?"):
        find_service([LEAST], "shp")
    with pytest.raises(ServiceError, match=r"\(known: shop\)"):
        find_service([LEAST], "zzz")
    with pytest.raises(ServiceError, match=r"\(known: none\)"):
        find_service([], "shop")


@pytest.mark.parametrize("version", ["", "..", "a/b", "../../etc", "1 0", "-x", "v" * 129, "1.0;rm"])
def test_versions_that_are_no_tag(version: str) -> None:
    with pytest.raises(ServiceError):
        check_version(version)


def test_ports_of_instances() -> None:
    assert parse_service(LEAST | {"instances": 3}).host_ports("green") == [8100, 8101, 8102]
