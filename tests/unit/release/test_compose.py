from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.release import (
    release_files,
    service,
    services_problems,
    services_tree,
)
from ansible_collections.slipway.ops.plugins.module_utils.release.compose import env_file

SHOP: dict[str, Any] = {
    "name": "shop",
    "image": "r:5000/shop",
    "port": 80,
    "ports": {"blue": 8000, "green": 8100},
    "instances": 2,
    "secrets": {"jwt": "very-secret"},
    "volumes": [{"name": "uploads", "path": "/data"}],
    "environment": {"LOG_LEVEL": "info"},
    "workers": [{"name": "mail", "command": ["work", "$HOME"], "environment": {"LOG_LEVEL": "debug"}}],
}
PLACE = {"host": "app1", "address": "10.0.0.5", "directory": "/srv/slipway/shop"}


@pytest.fixture
def files() -> dict[str, str]:
    return release_files(SHOP, "1.0", "green", **PLACE)


def test_instances_have_their_own_ports_and_ids(files: dict[str, str]) -> None:
    services = yaml.safe_load(files["compose.yml"])["services"]
    assert services["app-1"]["ports"] == ["10.0.0.5:8100:80"] and services["app-2"]["ports"] == ["10.0.0.5:8101:80"]
    assert services["app-2"]["container_name"] == "shop-green-2"
    assert "INSTANCE_ID=app1-2\n" in files["app-2.env"] and "PORT=80\n" in files["app-2.env"]


def test_workers_have_no_ports_and_stay_off_unless_asked_for(files: dict[str, str]) -> None:
    worker = yaml.safe_load(files["compose.yml"])["services"]["mail-1"]
    assert "ports" not in worker and worker["profiles"] == ["live"]
    assert worker["command"] == ["work", "$$HOME"]
    assert "LOG_LEVEL=debug\n" in files["mail-1.env"] and "PORT=" not in files["mail-1.env"]
    assert json.loads(files["release.json"])["workers"] == ["mail-1"]


def test_containers_are_shut_in(files: dict[str, str]) -> None:
    for definition in yaml.safe_load(files["compose.yml"])["services"].values():
        assert definition["read_only"] is True
        assert definition["cap_drop"] == ["ALL"] and definition["cap_add"] == []
        assert definition["security_opt"] == ["no-new-privileges:true"]
        assert definition["mem_limit"] == "512M" and definition["cpus"] == 1.0 and definition["pids_limit"] == 256


def test_a_secret_is_nowhere_in_a_release(files: dict[str, str]) -> None:
    assert "very-secret" not in "".join(files.values())
    assert "very-secret" not in str(service([SHOP], "shop"))
    mounts = yaml.safe_load(files["compose.yml"])["services"]["app-1"]["volumes"]
    assert {"target": "/run/secrets", "read_only": True}.items() <= mounts[-1].items()


def test_what_a_container_reads_of_its_host_it_cannot_change() -> None:
    mounts = [{"source": "/etc/ssl/certs", "path": "/trust"}]
    files = release_files(SHOP | {"host_mounts": mounts}, "1.0", "blue", **PLACE)
    volume = yaml.safe_load(files["compose.yml"])["services"]["mail-1"]["volumes"][-1]
    assert {"source": "/etc/ssl/certs", "target": "/trust", "read_only": True}.items() <= volume.items()


def test_a_version_that_looks_like_a_number_stays_text(files: dict[str, str]) -> None:
    labels = yaml.safe_load(files["compose.yml"])["services"]["app-1"]["labels"]
    assert labels["slipway.version"] == "1.0"


def test_secrets_belong_to_the_container_user_only() -> None:
    tree = services_tree([SHOP | {"user": "500:600"}], "/srv/slipway")
    (secret,) = tree["files"]
    assert secret["path"] == "/srv/slipway/shop/secrets/jwt" and secret["secret"] is True
    assert (secret["owner"], secret["group"], secret["mode"]) == ("500", "600", "0400")


def test_two_services_cannot_share_a_port() -> None:
    other = SHOP | {"name": "other", "ports": {"blue": 8101, "green": 8200}}
    assert services_problems([SHOP, other]) == ["Services shop and other would share port 8101."]


def test_env_file_quotes() -> None:
    assert env_file({"B": True, "A": "x y", "N": None}) == 'A="x y"\nB=true\nN=\n'
