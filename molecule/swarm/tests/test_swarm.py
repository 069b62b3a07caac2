"""A service on a swarm behind an edge: it changes node by node under traffic, comes back from a bad version, and
outlives a manager; in this order."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import have_sample, shell
from machine import crowding, until
from playbook import Run, attempt, module, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
NODES = ("node1", "node2", "node3")


def on(host: str, command: str) -> str:
    return shell(f"slipway-swarm-{host}", command)


@pytest.fixture(autouse=True)
def images() -> None:
    have_sample([f"slipway-swarm-{node}" for node in NODES if is_up(node)], ("1.0.0", "2.0.0"))


def is_up(node: str) -> bool:
    argv = ["docker", "inspect", "--format", "{{.State.Running}}", f"slipway-swarm-{node}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "true"


def release(version: str, *options: str, **variables: Any) -> Run:
    return play("swarm", INVENTORY, *options, service="sample", version=version, **variables)


def answers() -> dict[str, str]:
    """By node, the version that answers at its published port."""
    ask = "curl -s -m 5 -o /dev/null -D - http://{}:8000/version | sed -n 's/^x-service-version: *//p' | tr -d '\\r\\n'"
    return {node: on("edge1", ask.format(node)) for node in NODES}


def ask_the_program(words: str) -> str:
    """As health asks it."""
    program = "ansible_collections.slipway.ops.plugins.module_utils.swarm.watch"
    return f"PYTHONPATH=/usr/local/lib/slipway/slipway_swarm python3 -m {program} {words}"


HOOKS = ("before_start", "before_watch", "before_record", "done", "failed")


@pytest.fixture
def hooks(tmp_path: Path) -> dict[str, str]:
    """Files of tasks that write their names, and why a release failed, on the manager that they run on."""
    for name in HOOKS:
        line = name + " {{ deploy_failed | default('') }}"
        task = {"name": "Write it", "ansible.builtin.lineinfile": {"path": "/root/hooks", "line": line, "create": True}}
        (tmp_path / f"{name}.yml").write_text(json.dumps([task]))
    for node in NODES:
        on(node, "rm -f /root/hooks")
    return {name: str(tmp_path / f"{name}.yml") for name in HOOKS}


def hooked() -> list[str]:
    return [line for node in NODES for line in on(node, "cat /root/hooks 2>/dev/null || true").splitlines()]


def everywhere(version: str) -> dict[str, str]:
    return dict.fromkeys(NODES, version)


def containers() -> dict[str, str]:
    return {node: on(node, "docker ps --quiet --no-trunc") for node in NODES}


def records() -> dict[str, dict[str, Any]]:
    """The newest record of each id."""
    lines = on("edge1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Clients of the edge that know nothing of releases; afterwards, what they felt."""
    options = {"url": "http://127.0.0.1:18000/version", "rates": {"keep_alive": 20, "fresh": 5, "post": 0}}
    started = {"state": "started", "replace": True, "max_duration": 900}
    module(INVENTORY, "edge", "slipway.ops.traffic", name="users", **started, **options)
    seen: dict[str, Any] = {}
    try:
        yield seen
    finally:
        stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")["edge1"]["traffic"]
        seen |= {name: stopped["total"][name] for name in ("requests", "failed")}
        seen |= {"versions": {entry["version"] for entry in stopped["versions"]}, "reasons": stopped["reasons"]}


def test_every_host_is_a_manager_with_what_the_inventory_says() -> None:
    nodes = on("node2", "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'").splitlines()
    assert sorted(line.split()[:2] for line in nodes) == [[node, "Ready"] for node in NODES]
    assert sorted(line.split()[2] for line in nodes) == ["Leader", "Reachable", "Reachable"]
    assert on("node2", "docker node inspect node1 --format '{{.Spec.Labels}}'") == "map[rack:1]\n"


def test_tokens_are_in_no_file_and_no_log_of_the_hosts() -> None:
    for node in NODES:
        assert on(node, "journalctl --no-pager | grep -c SWMTKN- || true").strip() == "0"
        assert on(node, "grep -rl SWMTKN- /etc /root /tmp /run 2>/dev/null || true") == ""


def test_the_first_release_starts_everywhere_and_the_second_run_changes_nothing() -> None:
    run = release("1.0.0")
    assert run.code == 0, run.output
    assert answers() == everywhere("1.0.0")
    before = containers()
    again = release("1.0.0")
    assert (again.code, again.changed) == (0, 0) and containers() == before, again.output


def test_the_container_has_what_the_service_says() -> None:
    inside = "docker exec $(docker ps --quiet --filter name=sample-1) sh -c"
    assert on("node3", f"{inside} 'echo $PRICE'") == "5$ or ${5} {{.Node.ID}}\n"
    assert on("node3", f"{inside} 'cat /run/secrets/greeting; stat -c \" %a %u\" /run/secrets/greeting'") == (
        "only-for-this-scenario 400 10001\n"
    )
    state = on("node3", "docker inspect $(docker ps --quiet --filter name=sample-1)")
    assert "only-for-this-scenario" not in state
    settings = json.loads(state)[0]["HostConfig"]
    assert settings["ReadonlyRootfs"] and settings["CapDrop"] == ["ALL"] and settings["Memory"] == 128 * 1024**2


def test_nodes_change_one_after_the_other_and_no_request_is_lost(hooks: dict[str, str]) -> None:
    with users() as seen:
        run = Run("swarm", INVENTORY, service="sample", version="2.0.0", deploy_hooks=hooks)
        assert run.until("Node by node"), run.output
        shown = play("unlock", INVENTORY)
        run.end()
    assert "node1: sample" in shown.said and "swarm 2.0.0" in shown.said, shown.output
    assert "node1: nothing is locked" in play("unlock", INVENTORY).said
    assert run.code == 0 and answers() == everywhere("2.0.0"), run.output
    assert [line.strip() for line in hooked()] == ["before_start", "before_watch", "before_record", "done"]
    assert on("node2", ask_the_program("service sample")) == "sample runs as it was released\n"
    assert seen["failed"] == 0 and seen["versions"] == {"1.0.0", "2.0.0"}, seen
    found = records()
    assert (found["delivery.deploy.result"]["verdict"], found["delivery.deploy.result"]["measured"]) == (
        "pass",
        "2.0.0",
    )
    assert found["delivery.deploy.failed_requests"]["measured"] == 0
    history = on("node3", "tail -n 1 /srv/slipway/sample/history.jsonl")
    assert {"event": "done", "version": "2.0.0"}.items() <= json.loads(history).items()


def test_a_version_that_is_never_healthy_goes_back_by_itself_and_the_run_says_why() -> None:
    before = containers()
    with users() as seen:
        run = release("1.0.0", fail_health="true")
    assert run.code != 0 and "sample 1.0.0 was not accepted" in run.said, run.output
    assert "it said:" in run.said and "2.0.0 is live again" in run.said, run.output
    assert answers() == everywhere("2.0.0") and seen["failed"] == 0, seen
    after = containers()
    assert sum(after[node] != before[node] for node in NODES) == 1, "the other nodes never changed"
    assert records()["delivery.deploy.result"]["verdict"] == "fail"


def test_a_version_that_is_healthy_but_fails_its_users_is_taken_back(hooks: dict[str, str]) -> None:
    run = release("1.0.0", error_rate="0.2", deploy_hooks=hooks)
    assert run.code != 0 and "error_rate" in run.said and "2.0.0 is live again" in run.said, run.output
    first, second, failed = hooked()
    assert (first.strip(), second.strip()) == ("before_start", "before_watch")
    assert failed.startswith("failed ") and "error_rate" in failed
    assert answers() == everywhere("2.0.0")
    assert records()["delivery.deploy.result"]["verdict"] == "fail"
    assert "nothing is locked" in play("unlock", INVENTORY).said


def test_a_hook_that_fails_takes_the_release_back_and_leaves_no_lock(hooks: dict[str, str]) -> None:
    Path(hooks["before_record"]).write_text(json.dumps([{"name": "Warm it", "ansible.builtin.fail": {"msg": "cold"}}]))
    run = release("1.0.0", deploy_hooks={"before_record": hooks["before_record"]})
    assert run.code != 0 and "cold" in run.said and "2.0.0 is live again" in run.said, run.output
    assert answers() == everywhere("2.0.0") and "nothing is locked" in play("unlock", INVENTORY).said
    refused = release("1.0.0", deploy_hooks={"before_switch": hooks["done"]})
    assert refused.code != 0 and "before_switch would never run" in refused.said and refused.changed == 0


def test_back_to_the_version_before() -> None:
    with users() as seen:
        run = release("previous")
    assert run.code == 0 and answers() == everywhere("1.0.0"), run.output
    assert seen["failed"] == 0 and records()["delivery.rollback.result"]["measured"] == "1.0.0", seen
    refused = release("previous")
    assert refused.code != 0 and "No version of sample was live before 1.0.0" in refused.said, refused.output


def test_an_image_that_no_node_has_changes_nothing() -> None:
    before = containers()
    run = release("9.9.9", swarm_pull=False)
    assert run.code != 0 and "is not on this host" in run.said and "Nothing was changed" in run.said, run.output
    assert containers() == before


def test_a_killed_manager_leaves_the_service_answering_and_is_told() -> None:
    with users() as seen:
        subprocess.run(["docker", "kill", "slipway-swarm-node1"], check=True, capture_output=True)
        assert until(lambda: "Down" in on("node2", "docker node ls --filter name=node1"), 120 * crowding())
    # What it had accepted dies with it; nothing after that.
    assert seen["requests"] > 0 and seen["failed"] <= 5, seen
    code, checked = attempt(INVENTORY, "node2", "slipway.ops.health_check", {"checks": [check()]})
    assert code != 0 or checked["node2"]["results"][0]["verdict"] == "fail", checked
    assert "node1 is down" in json.dumps(checked)


def check() -> dict[str, Any]:
    """As the role's card has it."""
    program = "ansible_collections.slipway.ops.plugins.module_utils.swarm.watch"
    path = "PYTHONPATH=/usr/local/lib/slipway/slipway_swarm"
    return {
        "id": "infrastructure.swarm.nodes", "kind": "command", "argv": ["env", path, "python3", "-m", program, "check"],
        "matches": "every node is ready", "claim": "every node is ready",
    }  # fmt: skip


def test_a_node_that_comes_back_has_the_service_again_without_anybody() -> None:
    subprocess.run(["docker", "start", "slipway-swarm-node1"], check=True, capture_output=True)
    assert until(lambda: answers() == everywhere("1.0.0"), 180 * crowding())


def test_an_even_number_of_managers_is_refused() -> None:
    run = play(SCENARIO / "converge.yml", SCENARIO / "tests" / "two.yml")
    assert run.code != 0 and "has 2 hosts: it needs 1, 3, 5 or 7" in run.said, run.output


def test_a_service_that_the_inventory_has_no_more_is_taken_away() -> None:
    refused = play("retire", INVENTORY, service="sample")
    assert refused.code != 0 and "still in app_services of node1, node2, node3" in refused.said, refused.output
    gone = play("retire", INVENTORY, service="sample", app_services=[])
    assert gone.code == 0 and "node1: service sample-1" in gone.said, gone.output
    assert on("node1", "docker service ls --quiet; docker secret ls --quiet") == ""
    assert until(lambda: "".join(containers().values()) == "", 60 * crowding())
    again = play("retire", INVENTORY, service="sample", app_services=[])
    assert (again.code, again.changed) == (0, 0) and "nothing of it in the swarm" in again.said, again.output
