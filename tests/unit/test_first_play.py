"""The first play of site.yml, on hosts that cannot be reached: facts come from a cache, so that it alone can run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.loader import cache_loader
from playbook import ROOT, SETTINGS

DEMO = ROOT / "inventories" / "demo"
FACTS = {
    "_ansible_facts_gathered": True,
    "ansible_distribution": "Debian",
    "ansible_distribution_release": "trixie",
    "ansible_distribution_major_version": "13",
    "ansible_processor_nproc": 2,
    "ansible_default_ipv4": {"address": "192.0.2.7"},
}
GROUPS = ["edge", "app", "postgresql", "pgbouncer", "backup", "monitor", "registry"]
Site = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Runs a playbook over hosts by group, with the demo's group variables and others; returns what it said."""
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))

    def run(
        groups: dict[str, list[str]],
        *options: str,
        playbook: str = "site",
        facts: dict[str, Any] | None = None,
        host_vars: dict[str, dict[str, Any]] | None = None,
        **variables: Any,
    ) -> str:
        inventory = tmp_path / "inventory"
        inventory.mkdir(exist_ok=True)
        if not (inventory / "group_vars").exists():
            (inventory / "group_vars").symlink_to(DEMO / "group_vars")
        hosts: dict[str, Any] = {name: {} for members in groups.values() for name in members}
        unreachable = {
            "ansible_host": "127.0.0.1",
            "ansible_port": 1,
            "ansible_connection": "ssh",
            "testbed_name": "test",
        }
        children = {group: {"hosts": dict.fromkeys(members)} for group, members in groups.items()}
        tree = {"all": {"hosts": hosts | (host_vars or {}), "vars": unreachable, "children": children}}
        (inventory / "hosts.yml").write_text(yaml.safe_dump(tree))
        for name in hosts:
            cache_loader.get("ansible.builtin.jsonfile").set(name, FACTS | (facts or {}))
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        done = subprocess.run(
            [
                "ansible-playbook",
                "-i",
                str(inventory / "hosts.yml"),
                str(ROOT / f"playbooks/{playbook}.yml"),
                *options,
                *extra,
            ],
            cwd=tmp_path,
            env=os.environ | SETTINGS | {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0  # it reaches nobody in any case
        return done.stdout + done.stderr

    return run


def test_one_host_that_is_everything_is_as_good_as_the_demo(site: Site) -> None:
    said = site({group: ["one"] for group in GROUPS})
    assert "TASK [Look at all hosts and their roles]" not in said
    assert "unreachable=1" in said


def test_everything_that_is_wrong_is_said_at_once_one_line_each(site: Site) -> None:
    wrong = {
        "app_services": "text",
        "baseline_admins": [{"name": "a", "sudo": "perhaps"}],
        "deploy_user": "x",
        "health_deadlin": "2m",
        "node_exporter_download_url": "https://example.test/node_exporter",
        "registry_address": "{{ nosuch }}",
        "nginx_user": "www-data",
    }
    said = site(
        {group: ["one"] for group in GROUPS} | {"edge": ["edge1"]},
        host_vars={"one": wrong | {"slipway_foreign_variables": ["nginx_user"]}},
    )
    lines = [line.strip() for line in said.splitlines()]
    for expected in (
        "one: app_services is 'text', wanted is a list of mappings",
        "one: baseline_admins[0].sudo is 'perhaps', wanted is true or false",
        "one: node_exporter_download_url needs node_exporter_download_checksum as sha256:<64 hexadecimal digits>.",
        "one: registry_address cannot be worked out: 'nosuch' is undefined",
    ):
        assert expected in lines
    assert "one: deploy_user: Slipway knows no such variable of deploy" in said
    assert "health_deadlin: Slipway knows no such variable of health; did you mean health_deadline?" in said
    assert "nginx_user:" not in said
    # Nobody goes on, not even the host that is right.
    assert "Nothing was changed." in lines
    assert "PLAY [Every host]" not in said


def test_a_database_without_a_repository_is_refused_before_it_is_made(site: Site) -> None:
    said = site({"postgresql": ["db1"], "backup": ["backup1"]}, pgbackrest_repositories=[])
    assert "pgbackrest_repositories" in said
    assert "PLAY [Every host]" not in said


def test_pools_make_no_edge_of_a_host_outside_the_group(site: Site) -> None:
    pools = [{"name": "a", "bind": "127.0.0.1:1800", "servers": [{"name": "b", "address": "192.0.2.1", "port": 80}]}]
    said = site({"edge": ["edge1"], "app": ["app1"]}, host_vars={"app1": {"haproxy_pools": pools}})
    assert "app1: haproxy_pools is set for a host that is not in group edge" in said
    assert "PLAY [Every host]" not in said


def test_hosts_outside_the_group_slipway_are_left_alone(site: Site) -> None:
    said = site(
        {"app": ["app1"], "slipway": ["app1"], "printers": ["printer1"]}, host_vars={"printer1": {"nginx_x": 1}}
    )
    assert "printer1" not in said
    assert "app1" in said


@pytest.mark.parametrize("playbook", ["site", "health", "drill", "backup", "readiness"])
def test_a_misspelt_variable_on_the_command_line_is_refused(site: Site, playbook: str) -> None:
    said = site({"postgresql": ["db1"], "monitor": ["monitor1"]}, playbook=playbook, health_deadlin="2m")
    assert "did you mean health_deadline?" in said
