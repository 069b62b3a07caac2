"""A service that nobody releases any more: what it left, and that all of it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release import engine, retire
from ansible_collections.slipway.ops.plugins.module_utils.release.host import Host
from ansible_collections.slipway.ops.plugins.module_utils.release.request import retire_problem


class Engine:
    """Docker as far as a service is taken away by it."""

    def __init__(self) -> None:
        labels: dict[str, str] = {"slipway.service": "shop", "slipway.colour": "blue"}
        self.found: list[dict[str, Any]] = [{"Names": ["/shop-blue-1"], "Labels": labels}]
        self.found.append({"Names": ["/stray"], "Labels": labels | {"slipway.colour": "grey"}})
        migration = {"slipway.service": "", "slipway.migration": "shop", "slipway.version": "2.0"}
        self.migration = {"Names": ["/shop-migration"], "Labels": migration, "State": "exited"}
        self.images = {"r:5000/shop:1.0"}

    def containers(self, labels: list[str]) -> list[dict[str, Any]]:
        wanted = [label.partition("=") for label in labels]
        return [
            c for c in self.found if all(c["Labels"].get(k) in ((v,) if s else (c["Labels"][k],)) for k, s, v in wanted)
        ]

    def image_id(self, name: str) -> str | None:
        return name if name in self.images else None

    def run(self, command: list[str], *_: object) -> str:
        if command[:3] == ["docker", "image", "rm"]:
            self.images.remove(command[3])
        elif command[:2] == ["docker", "rm"]:
            self.found = [c for c in self.found if c["Names"][0].lstrip("/") not in command]
        elif "down" in command:
            self.found = [
                c for c in self.found if f"shop-{c['Labels'].get('slipway.colour', 'migration')}" not in command
            ]
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    for name in ("containers", "image_id", "run"):
        monkeypatch.setattr(engine, name, getattr(made, name))
    return made


@pytest.fixture
def host(tmp_path: Path, docker: Engine) -> Host:
    release = tmp_path / "shop/releases/1.0/blue"
    release.mkdir(parents=True)
    (release / "release.json").write_text(json.dumps({"image": "r:5000/shop:1.0"}), encoding="utf-8")
    for name in ("secrets/jwt", "volumes/items/row", "history.jsonl"):
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
    return Host("shop", tmp_path / "shop")


def test_everything_goes_but_the_data_and_the_second_time_there_is_nothing(host: Host, docker: Engine) -> None:
    gone, kept = retire.retire(host, volumes=False, dry=False)
    assert gone[:4] == ["containers shop-blue-1, stray", "image r:5000/shop:1.0", "secret jwt", "release 1.0"]
    assert kept == [f"{host.directory}/volumes/items"]
    assert docker.found == [] and docker.images == set()
    assert {path.name for path in host.directory.iterdir()} <= {"volumes", ".lock"}
    assert (host.directory / "volumes/items/row").exists()
    assert retire.retire(host, volumes=False, dry=False) == ([], kept)
    assert retire.retire(host, volumes=True, dry=False)[0] == [f"the data in {host.directory}/volumes/items"]
    assert not host.directory.exists()
    assert retire.retire(host, volumes=True, dry=False) == ([], [])


def test_who_removes_them_too_may_be_first(host: Host, docker: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of a swarm's service that has just been taken away is removed by its node as well."""
    done = docker.run

    def refuses(command: list[str], *others: object) -> str:
        if command[:2] == ["docker", "rm"]:
            docker.found = []
            raise engine.EngineError("removal of container stray is already in progress")
        return done(command, *others)

    monkeypatch.setattr(engine, "run", refuses)
    retire.retire(host, volumes=True, dry=False)
    assert not host.directory.exists()


def test_a_container_that_nobody_removes_is_told(host: Host, docker: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(command: list[str], *_: object) -> str:
        if command[:2] == ["docker", "rm"]:
            raise engine.EngineError("device or resource busy")
        return ""

    monkeypatch.setattr(engine, "run", refuses)
    monkeypatch.setattr(retire, "PATIENCE", 0.0)
    with pytest.raises(engine.EngineError, match="busy"):
        retire.retire(host, volumes=True, dry=False)
    assert host.directory.exists()


def test_check_mode_tells_the_same_and_takes_nothing(host: Host, docker: Engine) -> None:
    before = sorted(host.directory.rglob("*"))
    told = retire.retire(host, volumes=True, dry=True)
    assert sorted(host.directory.rglob("*")) == before and docker.found
    assert retire.retire(host, volumes=True, dry=False) == told


def test_what_a_service_left_is_told_until_it_is_retired(host: Host) -> None:
    root = host.directory.parent
    assert retire.leftovers(root, ["shop"]) == {}
    assert retire.leftovers(root, ["other"]) == {"shop": ["2 containers", "1 release", "1 secret"]}
    retire.retire(host, volumes=False, dry=False)
    assert retire.leftovers(root, []) == {}


@pytest.mark.parametrize("state", ["exited", "running"])
def test_a_migration_that_failed_is_its_services(host: Host, docker: Engine, state: str) -> None:
    """It has the service's label without a value, so that no release takes it for one of its containers."""
    docker.found.append(docker.migration | {"State": state})
    assert retire.leftovers(host.directory.parent, ["shop"]) == {}
    assert retire.leftovers(host.directory.parent, []) == {"shop": ["3 containers", "1 release", "1 secret"]}
    gone, _kept = retire.retire(host, volumes=False, dry=False)
    assert gone[0] == "containers shop-blue-1, shop-migration, stray" and docker.found == []


def test_a_migration_that_goes_on_keeps_its_version(host: Host, docker: Engine) -> None:
    docker.found.append(docker.migration | {"State": "running"})
    assert host.forget_migration() == {"2.0"} and docker.found[-1]["Names"] == ["/shop-migration"]
    docker.found[-1]["State"] = "exited"
    assert host.forget_migration() == set() and "/shop-migration" not in [c["Names"][0] for c in docker.found]


SHOP: dict[str, Any] = {"name": "shop"}


@pytest.mark.parametrize(
    ("service", "force", "problem"),
    [
        ("old", False, ""),
        ("shop", True, ""),
        ("shop", False, "shop is still in app_services of a1: take it out of the inventory first"),
        ("", False, "Say which service"),
        ("../../etc", False, "a DNS label"),
    ],
)
def test_only_what_the_inventory_has_not_is_retired(service: str, force: bool, problem: str) -> None:
    hosts: dict[str, Any] = {"a1": {"app_services": [SHOP]}, "a2": {}}
    told = retire_problem(hosts, {"app": ["a1", "a2"]}, service, force)
    assert problem in told and bool(told) == bool(problem)


def test_the_wrong_inventory_is_said() -> None:
    assert "right inventory" in retire_problem({}, {}, "shop", False)


def test_an_image_that_another_service_has_too_stays(host: Host, docker: Engine, tmp_path: Path) -> None:
    release = tmp_path / "mail/releases/1.0/blue"
    release.mkdir(parents=True)
    (release / "release.json").write_text(json.dumps({"image": "r:5000/shop:1.0"}), encoding="utf-8")
    retire.retire(host, volumes=False, dry=False)
    assert docker.images == {"r:5000/shop:1.0"} and not (tmp_path / "shop/releases").exists()


def test_old_releases_go_without_the_image_that_another_services_container_has(host: Host, docker: Engine) -> None:
    (host.directory / "history.jsonl").unlink()
    docker.found = [{"Names": ["/mail-blue-1"], "Image": "r:5000/shop:1.0", "Labels": {"slipway.service": "mail"}}]
    assert host.clear(1) == ["1.0"] and docker.images == {"r:5000/shop:1.0"}
    (host.directory / "releases/1.0/blue").mkdir(parents=True)
    (host.directory / "releases/1.0/blue/release.json").write_text('{"image": "r:5000/shop:1.0"}', encoding="utf-8")
    docker.found = []
    assert host.clear(1) == ["1.0"] and docker.images == set()
