"""Other ways to release than all at once, each with a bad version that its own judgement takes back; in this order."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import have_sample, shell
from playbook import Run, module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
APPS = ("app1", "app2")
VERSIONS = ("1.0.0", "2.0.0", "3.1.0", "3.2.0")


def container(host: str) -> str:
    return f"slipway-strategies-{host}"


def on(host: str, command: str) -> str:
    return shell(container(host), command)


@pytest.fixture(autouse=True)
def images() -> None:
    have_sample([container(app) for app in APPS], VERSIONS)


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", INVENTORY, **{"service": "sample", "version": version} | variables)


def live(service: str = "sample", port: int = 18000) -> tuple[str, str]:
    """The set that serves, and the version that answers."""
    served = on("edge1", f"grep '^{service} ' /var/lib/slipway/haproxy/live.map").split()[1]
    return served, json.loads(on("edge1", f"curl -s http://127.0.0.1:{port}/version"))["version"]


RUNNING = "docker ps --filter label=slipway.service=%s --format '{{.Label \"slipway.version\"}}'"


def running(app: str, service: str = "sample") -> set[str]:
    """Versions of a service's containers that run on a host."""
    return set(on(app, RUNNING % service).split())


def evidence(identifier: str) -> dict[str, Any]:
    """The newest record of an id, as the store has it."""
    lines = on("edge1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return next(record for record in map(json.loads, reversed(lines)) if record["id"] == identifier)


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Clients that know nothing of releases; afterwards, what they felt."""
    options = {"url": "http://127.0.0.1:18000/version", "rates": {"keep_alive": 20, "fresh": 5, "post": 0}}
    module(
        INVENTORY,
        "edge",
        "slipway.ops.traffic",
        name="users",
        state="started",
        replace=True,
        max_duration=600,
        **options,
    )
    seen: dict[str, Any] = {}
    yield seen
    stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")
    traffic = stopped["edge1"]["traffic"]
    seen |= {"requests": traffic["total"]["requests"], "failed": traffic["total"]["failed"]}
    seen["versions"] = {entry["version"]: entry["responses"] for entry in traffic["versions"]}


def test_the_first_release_has_nothing_to_be_compared_with() -> None:
    run = deploy("1.0.0")
    assert run.code == 0 and "Canary" not in run.said.split("PLAY RECAP")[-1], run.output
    assert live()[1] == "1.0.0"


def test_a_good_canary_gets_all_requests_in_the_end_and_none_is_lost() -> None:
    with users() as seen:
        run = deploy("2.0.0")
    assert run.code == 0, run.output
    assert live()[1] == "2.0.0" and live()[0] != "both"
    assert seen["failed"] == 0 and seen["versions"].keys() == {"1.0.0", "2.0.0"}, seen
    judged = evidence("delivery.canary.judgement")
    assert judged["verdict"] == "pass" and "50 %: the canary failed 0 of" in judged["measured"], judged
    assert "canary" in run.said and running("app1") == {"1.0.0", "2.0.0"}


@pytest.mark.parametrize(
    ("version", "words", "how"),
    [
        ("3.1.0", "and 0 of", {}),
        ("3.2.0", "half of the answers took over", {}),
        ("1.0.0", "It could not be judged: only", {"deploy_canary_minimum": 100000, "deploy_canary_hold": 2}),
    ],
    ids=["leaks errors", "is slow, and within every limit of the watch", "is not asked enough to be judged"],
)
def test_a_canary_is_taken_back_by_the_judge(version: str, words: str, how: dict[str, Any]) -> None:
    """At its first share already: of the errors that one in five answers is, users felt a fraction."""
    before = live()
    with users() as seen:
        run = deploy(version, **how)
    assert run.code != 0 and "5/8 Canary" in run.said and words in run.said, run.output
    assert live() == before == (before[0], "2.0.0")
    assert seen["versions"].get(version, 0) < seen["requests"] / 4, seen
    assert version not in running("app1") | running("app2") or version == "1.0.0"
    assert evidence("delivery.deploy.result")["verdict"] == "fail"
    if version != "3.1.0":
        assert seen["failed"] == 0, seen


def test_killed_at_its_canary_the_service_stays_up_and_the_next_run_ends_well() -> None:
    steps = [{"share": 50, "seconds": 600}]
    with users() as seen:
        run = Run("deploy", INVENTORY, service="sample", version="1.0.0", deploy_canary_steps=steps)
        assert run.until("(item=50 %)"), run.output
        while live()[0] != "both":
            assert run.process.poll() is None, run.output
        run.kill()
        on("edge1", "systemctl reload haproxy")
        known = module(INVENTORY, "edge", "slipway.ops.pool_info", pools=["sample"])["edge1"]["pools"]["sample"]
        assert known["live"] == "both"
        assert {server["weight"] for server in known["sets"]["both"]["servers"]} == {50}
        loop = 'for n in $(seq 24); do curl -s %s http://127.0.0.1:18000/version; done | grep -o \'version":"[^"]*\''
        answers = [set(on("edge1", loop % cookies).split()) for cookies in ("", "-b /tmp/jar -c /tmp/jar")]
        assert [len(versions) for versions in answers] == [2, 1], "a user who keeps cookies stays with a release"
        again = deploy("1.0.0")
    assert again.code == 0 and "never ended" in again.said, again.output
    assert live()[1] == "1.0.0" and live()[0] != "both" and seen["failed"] == 0, seen


def test_a_rollback_of_a_canary_is_a_switch() -> None:
    run = play("rollback", INVENTORY, service="sample")
    assert run.code == 0 and live()[1] == "2.0.0", run.output
    assert evidence("delivery.rollback.duration")["measured"] > 0


def test_hooks_run_where_they_say_and_one_that_fails_takes_the_release_back(tmp_path: Path) -> None:
    hooks = {}
    for name in ("before_start", "before_switch", "before_watch", "before_record", "done", "failed"):
        say = f"echo {name} {{{{ deploy_failed | default('') | quote }}}} >> /tmp/hooks"
        hooks[name] = tmp_path / f"{name}.yml"
        hooks[name].write_text(yaml.safe_dump([{"name": "Say it", "ansible.builtin.shell": say}]))
    paths = {name: str(path) for name, path in hooks.items()}
    quick = {"deploy_canary_steps": [{"share": 50, "seconds": 1}], "deploy_hooks": paths}
    run = deploy("1.0.0", **quick)
    assert run.code == 0, run.output
    told = ["before_start", "before_switch", "before_watch", "before_record", "done"]
    assert all(on(host, "cat /tmp/hooks").split() == told for host in ("edge1", *APPS))
    hooks["before_watch"].write_text(yaml.safe_dump([{"name": "Refuse", "ansible.builtin.fail": {"msg": "not today"}}]))
    run = deploy("2.0.0", **quick)
    assert run.code != 0 and "not today" in run.said and live()[1] == "1.0.0", run.output
    said = on("app2", "tail -n 1 /tmp/hooks")
    assert said.startswith("failed ") and "not today" in said


def test_what_cannot_run_twice_never_does_and_a_bad_version_gives_way_to_the_one_before(tmp_path: Path) -> None:
    at_switch = tmp_path / "at_switch.yml"
    look = "{% raw %}" + RUNNING % "single" + "{% endraw %} > /tmp/at_switch"
    at_switch.write_text(
        yaml.safe_dump([{"name": "Look", "ansible.builtin.shell": look, "when": "'app' in group_names"}])
    )
    for version in ("1.0.0", "2.0.0"):
        run = deploy(version, service="single", deploy_hooks={"before_switch": str(at_switch)})
        assert run.code == 0, run.output
        for app in APPS:
            assert set(on(app, "cat /tmp/at_switch").split()) == running(app, "single") == {version}
    outage = evidence("delivery.recreate.outage")
    assert outage["verdict"] == "pass" and outage["measured"] > 0 and live("single", 18001)[1] == "2.0.0"
    before = live("single", 18001)
    run = deploy("3.1.0", service="single")
    assert run.code != 0 and "6/8 Watch failed" in run.said and "2.0.0" in run.said, run.output
    assert live("single", 18001) == before
    assert [running(app, "single") for app in APPS] == [{"2.0.0"}] * 2
    back = play("rollback", INVENTORY, service="single")
    assert back.code == 0 and live("single", 18001)[1] == "1.0.0", back.output
    assert [running(app, "single") for app in APPS] == [{"1.0.0"}] * 2
