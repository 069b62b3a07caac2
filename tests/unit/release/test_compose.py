from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.release import release_files
from ansible_collections.slipway.ops.plugins.filter.services import service, services_tree
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


def test_env_file_quotes() -> None:
    assert env_file({"B": "true", "A": "x y", "N": "", "C": "a\r\n$"}) == 'A="x y"\nB=true\nC="a\\r\\n\\$"\nN=\n'


def compose(**change: Any) -> dict[str, Any]:
    return yaml.safe_load(release_files(SHOP | change, "1.0", "blue", **PLACE)["compose.yml"])["services"]


def test_a_dollar_is_a_dollar_wherever_it_stands() -> None:
    app = compose(
        host_mounts=[{"source": "/etc/$x", "path": "/a$b"}],
        logging={"driver": "syslog", "options": {"tag": "$NAME", "compress": True}},
        tmpfs=["/t$1"],
        health={"command": ["probe", "$PORT"]},
    )["app-1"]
    assert (app["volumes"][-1]["source"], app["volumes"][-1]["target"]) == ("/etc/$$x", "/a$$b")
    assert app["logging"] == {"driver": "syslog", "options": {"tag": "$$NAME", "compress": "true"}}
    assert app["tmpfs"] == ["/t$$1"] and app["healthcheck"]["test"] == ["CMD", "probe", "$$PORT"]


def test_without_a_driver_the_engine_logs_as_it_does() -> None:
    assert "logging" not in compose()["app-1"]


def test_ports_on_an_ipv6_address_have_brackets() -> None:
    files = release_files(SHOP, "1.0", "blue", **PLACE | {"address": "fd00::5"})
    assert yaml.safe_load(files["compose.yml"])["services"]["app-2"]["ports"] == ["[fd00::5]:8001:80"]


# What the image may bring, as a program that tells what it was asked for.
PROBES = {"curl": 'printf "%s" "${*##*output /dev/null }"', "wget": 'printf "%s" "$4"', "python3": 'printf "%s" "$3"'}


@pytest.mark.parametrize("path", ["/health?full=1&deep=1", "/it's", "/$(id)`id`;id|id", "/[1-3]{a,b}"])
@pytest.mark.parametrize("program", PROBES)
def test_the_probe_asks_for_exactly_this_path(tmp_path: Path, path: str, program: str) -> None:
    tool = tmp_path / program
    tool.write_text(f"#!/bin/sh\n{PROBES[program]}\n", encoding="utf-8")
    tool.chmod(0o755)
    kind, shell, *rest = (
        word.replace("$$", "$") for word in compose(health={"path": path})["app-1"]["healthcheck"]["test"]
    )
    asked = subprocess.run(["/bin/sh", *rest], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (kind, shell, asked.stdout) == ("CMD", "sh", f"http://127.0.0.1:80{path}")


@pytest.mark.parametrize("program", PROBES)
def test_the_probe_fails_as_its_program_does(tmp_path: Path, program: str) -> None:
    tool = tmp_path / program
    tool.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    tool.chmod(0o755)
    test = compose(health={"path": "/health?full=1&deep=1"})["app-1"]["healthcheck"]["test"]
    rest = [word.replace("$$", "$") for word in test[2:]]
    assert subprocess.run(["/bin/sh", *rest], env={"PATH": str(tmp_path)}, check=False).returncode == 7
