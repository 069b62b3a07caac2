"""More and fewer instances under traffic that must not notice it, told to and by the rule; in this order."""

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
from playbook import Run, module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
APPS = ("app1", "app2")
LOCK = "/var/lib/slipway/locks/sample.json"
OURS = "docker ps %s --filter label=slipway.service=sample --filter label=slipway.version=%s --format '{{.Names}}'"


def on(host: str, command: str) -> str:
    return shell(f"slipway-scale-{host}", command)


@pytest.fixture(autouse=True)
def images() -> None:
    have_sample([f"slipway-scale-{app}" for app in APPS], ("1.0.0", "2.0.0"))


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, deploy_pull=False, **variables)


def scale(instances: int | None = None, *options: str, **variables: Any) -> Run:
    return play(
        "scale", INVENTORY, *options, service="sample", **({"instances": instances} if instances else {}), **variables
    )


def containers(version: str = "1.0.0", among: str = "") -> list[int]:
    """How many of a version there are on each host."""
    return [len(on(app, OURS % (among, version)).split()) for app in APPS]


def serving() -> set[str]:
    """The instances that answer fresh users at the edge."""
    loop = "for n in $(seq 40); do curl -s --max-time 20 http://127.0.0.1:18000/version; echo; done"
    return {json.loads(line)["instance"] for line in on("edge1", loop).split()}


def evidence() -> dict[str, Any]:
    lines = on("edge1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return next(one for one in map(json.loads, reversed(lines)) if one["id"] == "delivery.scale.result")


def history() -> dict[str, Any]:
    return dict(json.loads(on("app2", "tail -n 1 /srv/slipway/sample/history.jsonl")))


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Clients that know nothing of it; afterwards, what they felt."""
    rates = {"keep_alive": 15, "fresh": 10, "post": 0}
    known = {"name": "users", "url": "http://127.0.0.1:18000/version", "rates": rates, "max_duration": 900}
    module(INVENTORY, "edge", "slipway.ops.traffic", state="started", replace=True, **known)
    seen: dict[str, Any] = {}
    yield seen
    traffic = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")["edge1"]["traffic"]
    seen |= {"requests": traffic["total"]["requests"], "failed": traffic["total"]["failed"]}
    assert seen["requests"] > 50, seen


ALL = {f"{app}-{number}" for app in APPS for number in (1, 2, 3)}


def test_without_room_in_the_pool_or_a_release_nothing_is_scaled() -> None:
    ran = scale(2)
    assert ran.code != 0 and "sample is not whole" in ran.said and "Nothing was changed" in ran.said
    assert deploy("1.0.0").code == 0
    for number in (4, -1):
        ran = scale(number)
        assert ran.code != 0 and "wanted is a number from 1 (instances) to 3 (scaling.max)" in ran.said
    assert containers() == [1, 1] and serving() == {"app1-1", "app2-1"}


def test_more_instances_take_requests_and_no_request_is_lost() -> None:
    before = {app: on(app, "docker ps -q --filter name=sample") for app in APPS}
    checked = scale(3, "--check")
    assert checked.code == 0 and "1 to 3 instances on each host (not in check mode)" in checked.said, checked.output
    assert containers() == [1, 1]
    with users() as seen:
        ran = scale(3)
    assert ran.code == 0 and "1 to 3 instances on each host" in ran.said, ran.output
    assert seen["failed"] == 0, seen
    assert serving() == ALL
    assert all(before[app].strip() in on(app, "docker ps -q --filter name=sample") for app in APPS)  # those go on
    assert (evidence()["verdict"], evidence()["measured"]) == ("pass", "1 to 3 on each host")
    assert (history()["event"], history()["instances"], history()["reason"]) == ("scaled", "3", "asked for")
    again = scale(3)
    assert again.code == 0 and again.changed == 0 and "nothing to do" in again.said, again.output


def test_a_reload_and_a_start_of_the_edge_leave_them_in_the_pool() -> None:
    on("edge1", "systemctl reload haproxy")
    assert until(lambda: serving() == ALL, 60 * crowding())
    on("edge1", "systemctl restart haproxy")
    assert until(lambda: serving() == ALL, 60 * crowding())


def test_a_release_carries_the_number_on() -> None:
    with users() as seen:
        ran = deploy("2.0.0")
    assert ran.code == 0 and seen["failed"] == 0, (ran.output, seen)
    assert containers("2.0.0") == [3, 3] and serving() == ALL
    with users() as seen:
        ran = play("rollback", INVENTORY, service="sample")
    assert ran.code == 0 and seen["failed"] == 0, (ran.output, seen)
    assert containers("1.0.0") == [3, 3] and serving() == ALL


def test_fewer_instances_end_what_they_have_begun() -> None:
    """A request that takes seconds was begun by each of them before anybody said so."""
    curl = "curl -s -o /dev/null -w '%{http_code}\\n' 'http://127.0.0.1:18000/work?ms=20000'"
    long = f"for n in $(seq 12); do {curl} & done; wait"
    with (
        users() as seen,
        subprocess.Popen(
            ["docker", "exec", "slipway-scale-edge1", "sh", "-c", long], stdout=subprocess.PIPE, text=True
        ) as slow,
    ):
        ran = scale(2)
        answers = slow.communicate(timeout=300)[0].split()
    assert ran.code == 0 and "3 to 2 instances on each host" in ran.said, ran.output
    assert seen["failed"] == 0 and answers == ["200"] * 12, (seen, answers)
    assert containers(among="--all") == [2, 2] and serving() == {one for one in ALL if not one.endswith("3")}


def test_an_instance_that_does_not_become_healthy_never_serves_and_is_taken_away() -> None:
    with users() as seen:
        ran = scale(3, delay=3600, deploy_gate_timeout=8)
    assert ran.code != 0 and "each answers for itself" in ran.said, ran.output
    assert seen["failed"] == 0, seen
    assert containers(among="--all") == [2, 2] and serving() == {one for one in ALL if not one.endswith("3")}
    known = module(INVENTORY, "edge", "slipway.ops.pool_info", pools=["sample"])["edge1"]["pools"]["sample"]
    assert (known["sets"][known["live"]]["total"], known["sets"][known["live"]]["up"]) == (4, 4)  # the others are spare
    assert evidence()["verdict"] == "fail" and "nothing listens there" in evidence()["reason"]
    assert scale(2).code == 0  # no lock is left


def test_by_the_rule_a_release_that_goes_on_is_nothing_to_do_and_a_wish_is_refused() -> None:
    lock = {"run": "r", "owner": "kim", "purpose": "deploy 2.0.0", "process": "", "since": "now", "expires": 4e9}
    on("edge1", f"echo '{json.dumps(lock)}' > {LOCK}")
    rule, wish = scale(), scale(2)
    on("edge1", f"rm {LOCK}")
    assert rule.code == 0 and "nothing was changed" in rule.said and "sample is locked by" in rule.said, rule.output
    assert wish.code != 0 and "sample is locked by" in wish.said, wish.output


@contextlib.contextmanager
def load() -> Iterator[None]:
    """Every instance is busy with what no request is needed for."""
    burn = "for name in $(docker ps -q --filter label=slipway.version=1.0.0); do "
    burn += "docker exec -d $name sh -c 'echo $$ > /tmp/burns; while :; do :; done'; done"
    for app in APPS:
        on(app, burn)
    yield
    for app in APPS:
        end = "docker exec $name sh -c 'test ! -e /tmp/burns || kill $(cat /tmp/burns)'"
        on(app, f"for name in $(docker ps -q --filter label=slipway.version=1.0.0); do {end}; done")


def by_rule(words: str, **variables: Any) -> bool:
    """Asked until it has seen it: on a crowded machine an instance that is busy gets little of its processors."""
    return until(lambda: words in scale(scale_seconds=10, **variables).said, 120 * crowding())


def test_by_the_rule_there_are_more_under_load_then_it_rests_and_later_there_are_fewer() -> None:
    assert scale(1).code == 0
    with load():
        assert by_rule("more than 25 %, but the last change", cooldown=86400) and containers() == [1, 1]
        assert by_rule("more than 25 %")
        grown = containers()
        assert grown in ([2, 2], [3, 3])
    assert by_rule(f"{grown[0]} to {grown[0] - 1} instances on each host")
    assert containers() == [count - 1 for count in grown]
    assert history()["reason"].endswith("less than 20 %") and evidence()["verdict"] == "pass"
