"""The role's tasks with modules that answer as they are told: what follows when a host cannot be reached or asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
STUB = """#!/usr/bin/python
import json, pathlib, sys
from ansible.module_utils.basic import _load_params

given = _load_params()
params = {name: value for name, value in given.items() if not name.startswith("_ansible")}
place = pathlib.Path(PLACE)
with (place / "calls").open("a") as calls:
    calls.write(json.dumps([NAME, given["_ansible_check_mode"], params]) + "\\n")
answers = json.loads((place / "answers").read_text())
answer = answers.get(NAME + ":" + str(params.get("state")), answers.get(NAME, {}))
if NAME == "swarm_node":
    answer = answers.get("by_host", {}).get(params.get("address"), answer)
print(json.dumps({"changed": False} | answer))
sys.exit(0)
"""
MODULES = (
    *("config_tree", "deploy_lock", "evidence", "known_variables", "release", "release_watch", "swarm_cluster"),
    *("swarm_instances", "swarm_node", "swarm_release", "traffic", "units"),
)
SHOP = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}, "watch": {"path": "/v"}}
SEEN = {"node_state": "active", "manages": True, "id": "x", "address": "10.0.0.1"}
ANSWERS: dict[str, Any] = {
    "swarm_release:present": {"changes": ["shop-1"], "removed": ["shop-2"], "previous": "1", "changed": True},
    "swarm_release:restored": {"told": "1 is live again"},
    "deploy_lock": {"acquired": True, "holder": {"owner": "me"}},
    "traffic:stopped": {"traffic": {"total": {"requests": 5, "failed": 0}}},
}
away = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh to find nobody with")
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


class Play:
    """A playbook of its own on hosts that are this one, with stubs of the modules that would change them."""

    def __init__(self, place: Path) -> None:
        self.place, self.calls = place, list[tuple[str, bool, dict[str, Any]]]()
        self.output = ""
        ops = place / "collections" / "ansible_collections" / "slipway" / "ops"
        (ops / "plugins" / "modules").mkdir(parents=True)
        for name in ("roles", "galaxy.yml", "meta"):
            (ops / name).symlink_to(ROOT / name)
        for name in ("module_utils", "filter", "plugin_utils", "lookup"):
            (ops / "plugins" / name).symlink_to(ROOT / "plugins" / name)
        (ops / "plugins" / "action").mkdir()
        (ops / "plugins" / "action" / "say.py").symlink_to(ROOT / "plugins" / "action" / "say.py")
        (ops / "plugins" / "modules" / "say.py").symlink_to(ROOT / "plugins" / "modules" / "say.py")
        for name in MODULES:
            text = STUB.replace("PLACE", repr(str(place))).replace("NAME", repr(name))
            (ops / "plugins" / "modules" / f"{name}.py").write_text(text)

    def run(
        self, tasks_from: str, inventory: dict[str, Any], answers: dict[str, Any], hosts: str, *options: str
    ) -> int:
        role = {"name": "slipway.ops.swarm", "tasks_from": tasks_from}
        tasks = [{"ansible.builtin.import_role": role}]
        play = [{"hosts": hosts, "gather_facts": False, "tasks": tasks}]
        for name, content in (("play.yml", play), ("hosts.yml", inventory)):
            (self.place / name).write_text(yaml.safe_dump(content))
        (self.place / "answers").write_text(json.dumps(answers))
        (self.place / "calls").write_text("")
        (self.place / "ansible.cfg").write_text("")
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.place / "collections"),
            "ANSIBLE_CONFIG": str(self.place / "ansible.cfg"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_LOCAL_TEMP": str(self.place / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.place / "tmp"), "ANSIBLE_SSH_ARGS": "-o ConnectTimeout=2",
        }  # fmt: skip
        program = str(Path(sys.executable).parent / "ansible-playbook")
        argv = [program, "-i", str(self.place / "hosts.yml"), str(self.place / "play.yml"), *options]
        done = subprocess.run(argv, env=os.environ | settings, capture_output=True, text=True, check=False)
        self.output = done.stdout + done.stderr
        self.calls = [tuple(json.loads(line)) for line in (self.place / "calls").read_text().splitlines()]
        return done.returncode

    def called(self, name: str, state: str | None = None) -> list[dict[str, Any]]:
        """What a module was asked for, outside of check mode."""
        return [
            params
            for module, check, params in self.calls
            if module == name and not check and state in (None, params.get("state"))
        ]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def inventory(**hosts: dict[str, Any]) -> dict[str, Any]:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "docker_live_restore": False}
    groups = {"edge": ["edge1"], "swarm_managers": ["m1", "m2", "m3"], "swarm_workers": ["w1"], "monitor": ["mon1"]}
    children = {
        group: {"hosts": {name: local | {"swarm_address": name} | hosts.get(name, {}) for name in names}}
        for group, names in groups.items()
    }
    return {"all": {"vars": {"app_services": [SHOP]}, "children": children}}


def release(play: Play, answers: dict[str, Any] = ANSWERS, asked: str = "2", **gone: dict[str, Any]) -> int:
    """A release as prepare.yml leaves it to the manager m1."""
    hosts = inventory(**gone)
    managers = hosts["all"]["children"]["swarm_managers"]["hosts"]
    hosts["all"]["children"]["swarm_managers"]["hosts"] = {"m1": managers["m1"] | {"__swarm_node": SEEN}}
    hosts["all"]["children"]["swarm_workers"]["hosts"]["w1"].setdefault("__swarm_node", SEEN | {"manages": False})
    hosts["all"]["children"]["edge"]["hosts"]["edge1"]["__swarm_probe"] = {"url": "http://127.0.0.1:1/"}
    facts = {
        "version": asked, "service": "shop", "__swarm_version": "2", "__swarm_run": "run", "__swarm_began": 1.0,
        "__swarm_services": [{"name": "shop-1", "spec": {}}],
    }  # fmt: skip
    hosts["all"]["vars"] |= facts
    return play.run("release", hosts, answers, "m1")


def test_a_release_ends_with_what_is_no_more_taken_away(play: Play) -> None:
    assert release(play) == 0, play.output
    order = [(name, params.get("state")) for name, check, params in play.calls if not check]
    assert order.index(("swarm_release", "cleared")) > order.index(("swarm_instances", None))
    assert play.called("swarm_release", "restored") == [] and "shop 2 is live" in play.output


def test_a_failed_proof_takes_back_and_takes_nothing_away(play: Play) -> None:
    wrong = ANSWERS | {"swarm_instances": {"failed": True, "msg": "shop-1 runs another image"}}
    assert release(play, wrong) != 0 and "1 is live again" in play.output, play.output
    assert play.called("swarm_release", "restored") and not play.called("swarm_release", "cleared")


FELT = {"failed": True, "msg": "after 4 s: error_rate is 20 %, which is not <= 1 %"}


def test_each_edge_watches_what_the_nodes_run_before_anything_is_taken_away(play: Play) -> None:
    assert release(play, w1={"__swarm_node": {"failed": True}}) == 0, play.output
    (watched,) = play.called("release_watch")
    assert watched["version"] == "2" and watched["limits"]["error_rate"] == "<= 1.0 %"
    assert watched["away"] == ["w1"], "it was not there, so that the swarm brings it there later"
    order = [(name, params.get("state")) for name, check, params in play.calls if not check]
    at = order.index(("release_watch", None))
    assert order.index(("traffic", "started")) < order.index(("swarm_release", "present")) < at
    assert at < order.index(("swarm_release", "cleared")) and at < order.index(("traffic", "stopped"))


def test_a_first_release_is_watched_by_traffic_that_begins_once_it_answers(play: Play) -> None:
    first = ANSWERS | {"swarm_release:present": {"changes": ["shop-1"], "removed": [], "previous": "", "changed": True}}
    assert release(play, first) == 0, play.output
    order = [(name, params.get("state")) for name, check, params in play.calls if not check]
    assert order.index(("swarm_instances", None)) < order.index(("traffic", "started"))
    assert order.index(("traffic", "started")) < order.index(("release_watch", None))


def test_what_users_feel_takes_a_version_back(play: Play) -> None:
    assert release(play, ANSWERS | {"release_watch": FELT}) != 0
    assert "error_rate is 20 %" in play.output and "1 is live again" in play.output, play.output
    assert play.called("swarm_release", "restored") and not play.called("swarm_release", "cleared")
    ended(play)


def test_what_users_feel_fails_a_way_back_and_never_takes_it_back(play: Play) -> None:
    assert release(play, ANSWERS | {"release_watch": FELT}, asked="previous") != 0
    assert "error_rate is 20 %" in play.output and "1 is live again" not in play.output, play.output
    assert not play.called("swarm_release", "restored")
    ended(play)


def test_what_cannot_be_taken_away_is_said_and_nothing_is_taken_back(play: Play) -> None:
    wrong = ANSWERS | {"swarm_release:cleared": {"failed": True, "msg": "the engine answered 500"}}
    assert release(play, wrong) != 0 and "the engine answered 500" in play.output, play.output
    assert not play.called("swarm_release", "restored")


def ended(play: Play) -> None:
    """The lock is given back, and the history tells the end."""
    assert play.called("deploy_lock", "absent"), play.output
    (first, *_, last) = play.called("release", "recorded")
    assert first["events"][0]["event"] == "begun" and last["events"][0]["event"] in ("failed", "done")


@away
def test_a_node_that_cannot_be_reached_at_the_proof_has_all_of_it_taken_back(play: Play) -> None:
    assert release(play, w1=GONE) != 0
    assert "w1 could not be reached" in play.output and "1 is live again" in play.output, play.output
    assert play.called("swarm_release", "restored") and not play.called("swarm_release", "cleared")
    assert play.called("evidence") and play.called("traffic", "stopped")
    ended(play)


@away
def test_an_edge_that_cannot_be_reached_before_has_nothing_change(play: Play) -> None:
    assert release(play, edge1=GONE) != 0
    assert "edge1 could not be reached" in play.output and "Nothing was changed" in play.output, play.output
    assert not play.called("swarm_release", "present") and not play.called("swarm_release", "restored")
    assert play.called("evidence")
    ended(play)


@away
def test_a_monitor_that_cannot_be_reached_fails_the_run_and_takes_nothing_back(play: Play) -> None:
    assert release(play, mon1=GONE) != 0 and "The evidence of it was not kept" in play.output, play.output
    assert not play.called("swarm_release", "restored")
    ended(play)


def test_the_lock_and_the_traffic_last_as_long_as_the_release_may(play: Play) -> None:
    assert release(play, m1={"swarm_release_timeout": 5000}) == 0, play.output
    for seconds in (play.called("deploy_lock")[0]["expiry"], play.called("traffic", "started")[0]["max_duration"]):
        assert float(seconds) >= 3 * 5000


def site(play: Play, hosts: dict[str, Any], states: dict[str, str], *options: str) -> int:
    """Role swarm on hosts whose engines say these states; those of managers that are active manage."""
    inactive = {"node_state": "inactive", "manages": False, "id": "", "address": "10.0.0.1"}
    answers: dict[str, Any] = {
        "swarm_node:seen": inactive,
        "config_tree": {"changed_paths": []},
        "swarm_cluster": {"absent": [], "actions": [], "join": {"manager": "m", "worker": "w"}},
    }
    by_host = {
        host: inactive | {"node_state": state, "manages": state == "active" and host != "w1"}
        for host, state in states.items()
    }
    return play.run("main", hosts, answers | {"by_host": by_host}, "swarm_managers:swarm_workers", *options)


def test_no_second_swarm_begins_while_managers_know_of_one_that_they_do_not_manage_at_the_moment(play: Play) -> None:
    states = {"m1": "inactive", "m2": "pending", "m3": "error", "w1": "active"}
    assert site(play, inventory(), states) != 0
    assert "m2 is pending, m3 is error" in play.output and "Nothing was changed" in play.output, play.output
    assert play.called("swarm_node", "present") == []


def test_a_run_for_a_worker_of_the_swarm_begins_nothing_and_goes_on(play: Play) -> None:
    assert site(play, inventory(), {"w1": "active"}, "--limit", "w1") == 0, play.output
    assert play.called("units") and play.called("swarm_node", "present") == []


def test_a_run_for_a_worker_of_no_swarm_is_refused(play: Play) -> None:
    assert site(play, inventory(), {"w1": "inactive"}, "--limit", "w1") != 0
    assert "m1 took no part in this run" in play.output, play.output


def test_workers_alone_are_no_swarm_to_release_to(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {children: {swarm_workers: {hosts: {w1: {ansible_connection: local}}}}}")
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts.yml")]
    argv += ["playbooks/swarm.yml", "-e", "service=shop", "-e", "version=2"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "has no hosts in group swarm_managers" in " ".join(done.stdout.split()), done.stdout
