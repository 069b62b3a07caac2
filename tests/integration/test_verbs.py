"""No playbook ends as if all were well after it did nothing. No host is reached: each run has to end before that."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from playbook import ROOT, Run, play

VERBS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
GROUPS = {
    "edge": ["edge1"],
    "app": ["app1", "app2"],
    "postgresql": ["db1"],
    "patroni": ["db1"],
    "backup": ["backup1"],
    "registry": ["monitor1"],
    "monitor": ["monitor1"],
    "alertmanager": ["monitor1"],
    "logs": ["monitor1"],
    "swarm_managers": ["node1"],
}
FOR_ALL = ("site", "health", "drift", "unban", "scan", "patch")
SERVICE = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}, "edge_port": 18000}
ASKED = {
    "deploy": {"service": "shop", "version": "2.0.0"},
    "rollback": {"service": "shop"},
    "scale": {"service": "shop"},
    "swarm": {"service": "shop", "version": "2.0.0"},
    "load": {"service": "shop"},
    "retire": {"service": "gone"},
    "forget": {"host": "gone"},
}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hosts that nobody can reach, and one that no playbook is for."""
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "app_services": [SERVICE]}
    groups = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in GROUPS.items()}
    content = {"all": {"vars": nobody, "hosts": {"stranger": None}, "children": groups}}
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def refused(run: Run) -> str:
    assert run.code != 0, run.output
    assert "UNREACHABLE" not in run.output and "Traceback" not in run.output
    return run.said


@pytest.mark.parametrize("verb", VERBS)
def test_tags_that_no_task_has_are_refused(verb: str, inventory: Path) -> None:
    said = refused(play(verb, inventory, "--tags", "nosuch", **ASKED.get(verb, {})))
    assert "--tags nosuch would do nothing. Nothing was done" in said


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in FOR_ALL])
def test_a_limit_without_whom_it_is_for_is_refused(verb: str, inventory: Path) -> None:
    said = refused(play(verb, inventory, "--limit", "stranger", **ASKED.get(verb, {})))
    assert "--limit leaves out" in said and "Nothing was done" in said


@pytest.mark.parametrize("verb", ["deploy", "rollback", "scale"])
def test_a_release_of_some_of_a_services_hosts_is_refused(verb: str, inventory: Path) -> None:
    said = refused(play(verb, inventory, "--limit", "app1", **ASKED[verb]))
    assert "--limit leaves out edge1, app2, and this playbook is for all of edge1, app1, app2" in said


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("readiness", "status", "start")])
def test_an_inventory_without_hosts_for_it_is_refused(verb: str) -> None:
    """Not of those whose store may be here, nor of the one that writes the inventory."""
    said = refused(play(verb, "/dev/null", **ASKED.get(verb, {})))
    assert "Is it the right one (-i)?" in said or "is this the right inventory (-i)?" in said


@pytest.mark.parametrize(
    ("verb", "variable"),
    [("restore", "restore_host"), ("publish", "publish_host"), ("readiness", "evidence_host"), ("load", "load_host")],
)
def test_a_host_that_is_none_is_refused(verb: str, variable: str, inventory: Path) -> None:
    assert "db9 is no host of this inventory" in refused(
        play(verb, inventory, **ASKED.get(verb, {}), **{variable: "db9"})
    )


@pytest.mark.parametrize("verb", ["restore", "recover"])
def test_one_engine_of_several_is_named_and_known(verb: str, tmp_path: Path) -> None:
    hosts = {"hosts": {"db1": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}}}
    several = tmp_path / "hosts.yml"
    several.write_text(yaml.safe_dump({"all": {"children": {"postgresql": hosts, "mongodb": hosts}}}))
    said = refused(play(verb, several))
    assert "Name one of mongodb, postgresql with -e engine" in said and "Nothing was done" in said
    assert "engine=mongo is none of files, mongodb, postgresql" in refused(play(verb, several, engine="mongo"))


def test_publishing_nothing_is_refused(inventory: Path) -> None:
    said = refused(play("publish", inventory))
    assert "Say what to publish with publish_images" in said and "Nothing was published" in said
