"""Updates that users do not notice; and what a bad one does: it stops the run, and hits one host. In this order."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import until
from playbook import Run, module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
APPS = ("app1", "app2")
MINE = "app1,app2,edge1"
IMAGE = "slipway/sample-service:1.0.0"
LOCK = "/var/lib/slipway/locks/sample.json"


def on(host: str, *command: str) -> str:
    argv = ["docker", "exec", f"slipway-patch-{host}", *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
    return done.stdout.strip()


def publish(repository: str, version: str, postinst: str = ":") -> None:
    on("repo1", "publish", repository, version, postinst)


def version(host: str) -> str:
    return on(host, "dpkg-query", "-W", "-f", "${Version}", "slipway-sample")


def daemon(host: str) -> tuple[str, str]:
    """Its process, and the file that it runs."""
    process = on(host, "systemctl", "show", "--property=MainPID", "--value", "slipway-sample")
    return process, on(host, "readlink", f"/proc/{process}/exe")


def patch(*options: str, **variables: Any) -> Run:
    return play("patch", INVENTORY, *(options or ("--limit", MINE)), **variables)


def servers() -> dict[str, str]:
    """How HAProxy sees those of the live set."""
    pool = module(INVENTORY, "edge", "slipway.ops.pool_info", pools=["sample"])["edge1"]["pools"]["sample"]
    return {one["name"]: one["status"].split()[0] for one in pool["sets"][pool["live"]]["servers"]}


def evidence(identifier: str, subject: str) -> dict[str, Any]:
    lines = on("edge1", "sh", "-c", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    found = [one for one in map(json.loads, lines) if (one["id"], one["subject"]) == (identifier, subject)]
    return found[-1]


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Clients that know nothing of updates; afterwards, what they felt."""
    asked = {"url": "http://127.0.0.1:18000/version", "rates": {"keep_alive": 20, "fresh": 5, "post": 0}}
    started = {"name": "users", "state": "started", "replace": True, "max_duration": 900}
    module(INVENTORY, "edge", "slipway.ops.traffic", **started, **asked)
    seen: dict[str, Any] = {}
    yield seen
    stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")
    seen |= stopped["edge1"]["traffic"]["total"]


@pytest.fixture(scope="module", autouse=True)
def released() -> None:
    """The service is live, and hosts have the scenario's packages alone: those of the mirror change from day to day."""
    for app in APPS:
        with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as save:
            load = ["docker", "exec", "-i", f"slipway-patch-{app}", "docker", "load", "--quiet"]
            subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
    deployed = play("deploy", INVENTORY, service="sample", version="1.0.0")
    assert deployed.code == 0, deployed.output
    away = "cd /etc/apt; mkdir -p away; mv -f sources.list sources.list.d/debian.sources away 2>&1 || test -d away"
    for host in (*APPS, "edge1", "db1"):
        on(host, "sh", "-c", away)


def test_check_mode_says_what_would_be_done_and_does_nothing() -> None:
    publish("security", "1.1")
    publish("main", "1.2")
    run = patch("--check")
    assert run.code == 0, run.output
    assert "app1: slipway-sample 1.0 -> 1.1 (security)" in run.said
    assert "db1: left as it is, for it keeps a database alone" in run.said
    assert "slipway-sample 1.0 -> 1.2" in patch("--check", patch_scope="all").said
    assert version("app1") == "1.0" and servers() == {"app1-1": "UP", "app2-1": "UP"}


def test_only_what_is_asked_is_updated_and_no_user_notices() -> None:
    before = {host: daemon(host)[0] for host in APPS}
    with users() as felt:
        run = patch()
    assert run.code == 0, run.output
    assert felt["requests"] > 100 and felt["failed"] == 0, felt
    for host in (*APPS, "edge1"):
        assert version(host) == "1.1"
        assert f"{host}: 1 packages updated; restarted slipway-sample.service" in run.said
        assert evidence("security.patch.updates", host)["verdict"] == "pass"
        assert evidence("operations.patch.host", host)["verdict"] == "pass"
    for host in APPS:
        process, runs = daemon(host)
        assert process != before[host] and runs == "/usr/lib/slipway-sample/daemon"
    assert servers() == {"app1-1": "UP", "app2-1": "UP"}


def test_with_nothing_to_do_nothing_is_done() -> None:
    run = patch()
    assert run.code == 0 and run.changed == 0, run.output
    assert all(f"{host}: nothing to do" in run.said for host in MINE.split(","))


def test_a_database_alone_is_left_until_it_is_allowed() -> None:
    before = daemon("db1")
    run = patch("--limit", "db1")
    assert run.code == 0 and version("db1") == "1.0" and daemon("db1") == before
    assert "db1: left as it is, for it keeps a database alone: patch_interrupt=true allows it" in run.said
    assert evidence("security.patch.updates", "db1")["verdict"] == "fail"
    run = patch("--limit", "db1", patch_interrupt=True)
    assert run.code == 0 and version("db1") == "1.1", run.output


def test_a_run_that_was_killed_is_run_again_and_brings_the_host_back() -> None:
    with users() as felt:
        killed = Run("patch", INVENTORY, "--limit", MINE, patch_scope="all")
        assert killed.until("3/6 Update"), killed.output
        killed.kill()
        assert servers() == {"app1-1": "MAINT", "app2-1": "UP"}
        run = patch(patch_scope="all")
    assert run.code == 0 and "app1: away from the pools since a run that did not end" in run.said, run.output
    assert felt["failed"] == 0, felt
    assert servers() == {"app1-1": "UP", "app2-1": "UP"}
    assert {version(host) for host in APPS} == {"1.2"}


def test_a_host_that_is_not_well_after_an_update_stops_the_run_and_stays_away() -> None:
    publish("security", "1.3", "systemctl stop docker.socket docker")
    with users() as felt:
        run = patch(patch_health="5s")
    assert run.code != 0 and felt["failed"] == 0, felt
    assert "app1: 5/6 Health: go no further with a host that is not: " in run.said and "docker.service" in run.said
    assert "It is away from the pools until a run ends well for it. Not begun: app2, edge1" in run.said
    assert (version("app1"), version("app2"), version("edge1")) == ("1.3", "1.2", "1.2")
    assert servers() == {"app1-1": "MAINT", "app2-1": "UP"}
    assert evidence("operations.patch.host", "app1")["verdict"] == "fail"
    assert "nothing is locked" in play("unlock", INVENTORY).said


def test_the_next_run_brings_back_what_was_mended() -> None:
    publish("security", "1.4")
    on("app1", "systemctl", "start", "docker")
    run = patch()
    assert run.code == 0, run.output
    assert {version(host) for host in (*APPS, "edge1")} == {"1.4"}
    assert servers() == {"app1-1": "UP", "app2-1": "UP"}


def test_nobody_is_sent_away_who_is_the_last_and_an_operators_word_stands() -> None:
    publish("security", "1.5")
    on("edge1", "python3", "-c", SAY % "set server sample-green/app2-1 state maint")
    run = patch("--limit", "app1")
    assert run.code != 0 and "Pool 'sample' has no other server up than those of app1" in run.said
    assert version("app1") == "1.4" and servers() == {"app1-1": "UP", "app2-1": "MAINT"}
    run = patch("--limit", "app2")
    assert run.code == 0 and version("app2") == "1.5", run.output
    assert servers() == {"app1-1": "UP", "app2-1": "MAINT"}


SAY = """
import socket
admin = socket.socket(socket.AF_UNIX)
admin.connect("/run/haproxy/admin.sock")
admin.sendall(b"%s\\n")
admin.recv(100)
"""


def test_a_release_that_goes_on_keeps_it_from_beginning_and_nothing_stays_locked() -> None:
    lock = {"run": "r", "owner": "kim", "purpose": "swarm 2.0.0", "process": "", "since": "now", "expires": 4e9}
    on("app2", "sh", "-c", f"mkdir -p $(dirname {LOCK}); echo '{json.dumps(lock)}' > {LOCK}")
    refused = patch("--limit", "app1", patch_interrupt=True)
    shown = play("unlock", INVENTORY).said
    on("app2", "rm", LOCK)
    assert refused.code != 0 and "sample is locked by" in refused.said, refused.output
    assert "edge1: nothing is locked" in shown and "app2: sample" in shown


def test_until_it_is_over_no_release_begins() -> None:
    killed = Run("patch", INVENTORY, "--limit", "app1", patch_interrupt=True)
    assert killed.until("2/6 Away"), killed.output
    assert '"patch"' in on("app2", "cat", LOCK)  # as a manager of a Swarm
    refused = play("deploy", INVENTORY, service="sample", version="1.0.0")
    assert refused.code != 0 and "sample is locked by" in refused.said and "patch" in refused.said
    assert killed.end().code == 0 and until(lambda: servers()["app1-1"] == "UP")
