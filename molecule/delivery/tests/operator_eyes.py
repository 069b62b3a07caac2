"""Does what an operator does, and looks at what users and hosts see."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playbook import Run, module

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
EDGES, APPS = ("edge1", "edge2"), ("app1", "app2")
HASTE = {"deploy_watch_seconds": 4, "deploy_gate_timeout": 60}


def container(host: str) -> str:
    return f"slipway-delivery-{host}"


def on(host: str, *command: str, stdin: str | None = None) -> str:
    """The output of a command on a host."""
    interactive = ["-i"] if stdin is not None else []
    done = subprocess.run(
        ["docker", "exec", *interactive, container(host), *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
    return done.stdout


def docker(verb: str, host: str) -> None:
    """Does something to a host as a whole: pause, kill, start."""
    subprocess.run(["docker", verb, container(host)], capture_output=True, check=True)


def start(playbook: str, inventory: Path = INVENTORY, **variables: Any) -> Run:
    """A playbook under way."""
    return Run(playbook, inventory, **variables)


def play(playbook: str, **variables: Any) -> Run:
    return start(playbook, **variables).end()


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", service="sample", version=version, **(HASTE | variables))


@dataclass(frozen=True)
class State:
    """What is true everywhere; two equal ones mean that nothing changed."""

    live: dict[str, str]
    answers: dict[str, str]
    containers: dict[str, dict[str, str]]
    history: dict[str, int]

    @property
    def version(self) -> str:
        """The one version that every edge answers with."""
        (version,) = set(self.answers.values())
        return version


def look() -> State:
    maps = {edge: on(edge, "grep", "-v", "#", "/var/lib/slipway/haproxy/live.map").split()[1] for edge in EDGES}
    answers = {
        edge: json.loads(on(edge, "curl", "-s", "http://127.0.0.1:18000/version")).get("version", "none")
        for edge in EDGES
    }
    return State(maps, answers, {app: containers(app) for app in APPS}, {app: len(history(app)) for app in APPS})


def containers(app: str) -> dict[str, str]:
    """Running containers: name to id and version."""
    form = '{{.Names}} {{.ID}} {{.Label "slipway.version"}}'
    lines = on(app, "docker", "ps", "--format", form).splitlines()
    return {name: f"{identity} {version}" for name, identity, version in (line.split() for line in lines)}


def versions(app: str, colour: str) -> set[str]:
    """The versions of the running instances of a colour."""
    return {what.split()[1] for name, what in containers(app).items() if re.fullmatch(rf"sample-{colour}-\d+", name)}


def history(app: str) -> list[dict[str, Any]]:
    text = on(app, "sh", "-c", "cat /srv/slipway/sample/history.jsonl 2>/dev/null || true")
    return [json.loads(line) for line in text.splitlines()]


def evidence(identifier: str) -> dict[str, Any]:
    """The newest record of an id, as the store has it."""
    lines = on("edge1", "sh", "-c", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return next(record for record in map(json.loads, reversed(lines)) if record["id"] == identifier)


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Keep-alive, fresh and POST clients on both edges that know nothing of releases; afterwards, what they felt."""
    options = {
        "name": "users",
        "url": "http://127.0.0.1:18000/version",
        "post_url": "http://127.0.0.1:18000/items",
        "rates": {"keep_alive": 20, "fresh": 5, "post": 5},
        "replace": True,
        "max_duration": 1200,
    }
    module(INVENTORY, "edge", "slipway.ops.traffic", state="started", **options)
    seen: dict[str, Any] = {}
    yield seen
    stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")
    traffic = [host["traffic"] for host in stopped.values()]
    seen["requests"] = sum(one["total"]["requests"] for one in traffic)
    seen["failed"] = sum(one["total"]["failed"] for one in traffic)
    seen["reasons"] = [one["failures"][:5] for one in traffic if one["failures"]]
    seen["versions"] = {entry["version"]: entry["responses"] for one in traffic for entry in one["versions"]}


def wait_until(what: Any, seconds: float = 60) -> None:
    """Until it is true; a host that does not answer yet is not there yet."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(AssertionError):
            if what():
                return
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
