#!/usr/bin/env python3
"""A whole release by `deploy.yml` beside Kamal's steps done by hand, on the demo's hosts, in turn.

By hand are the steps of Kamal's deploy (https://kamal-deploy.org/docs/commands/deploy/): on all hosts at once pull the
image, boot its containers and ask each every second until it is ready (the interval of kamal-proxy), switch the proxy,
let the old ones end what they serve, stop them. Each step is one shell command a host, so what a controller costs is
not in it. Nobody asks from outside; `deploy.yml` has its probes, its watch and its evidence. Before each, the image and
the containers of the colour that comes are removed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from common import ROOT, ansible_playbook, in_container, live_colour, print_table, provisioned_demo

NAME = "slipway-bench-release"
APPS = ("app1", "app2")
OTHER = {"blue": "green", "green": "blue", "1.0.0": "2.0.0", "2.0.0": "1.0.0"}
IMAGE = "monitor1:5000/sample"
STEPS = ("pull", "boot and health", "switch", "drain", "stop")
WATCH = 10.0  # seconds, the default of deploy_watch_seconds
MOST = 1.2

_RUNTIME = """
import socket
asked = socket.socket(socket.AF_UNIX)
asked.connect("/run/haproxy/admin.sock")
asked.sendall({command!r}.encode() + b"\\n")
print(b"".join(iter(lambda: asked.recv(65536), b"")).decode())
"""


def edge(command: str) -> str:
    """What HAProxy's runtime socket answers."""
    return in_container(f"{NAME}-edge1", f"python3 - <<'PY'\n{_RUNTIME.format(command=command)}\nPY")


def on_apps(command: Callable[[str], str]) -> list[str]:
    """A shell command on all hosts of the service at once; what each said."""
    with ThreadPoolExecutor(len(APPS)) as workers:
        return list(workers.map(lambda app: in_container(f"{NAME}-{app}", command(app)), APPS))


def compose_file(colour: str) -> str:
    """Where a colour's containers were made from."""
    label = '{{ index .Config.Labels "com.docker.compose.project.config_files" }}'
    found = f"docker ps --all --quiet --filter label=slipway.colour={colour} | head -1"
    return in_container(f"{NAME}-app1", f"docker inspect --format '{label}' $({found})").strip()


def in_use(colour: str) -> int:
    """Sessions that a colour's servers have."""
    header, *rows = (line.split(",") for line in edge("show stat").splitlines() if "," in line)
    name, sessions = header.index("# pxname"), header.index("scur")
    return sum(int(row[sessions]) for row in rows if row[name] == f"sample-{colour}" and row[sessions])


def ready(colour: str, longest: float = 120.0) -> None:
    """Asks each instance of a colour, on its own host and every second, until it is ready."""
    addresses = f"docker ps --filter label=slipway.colour={colour} --format '{{{{.Ports}}}}' | sed -n 's/->.*//p'"
    asked = "curl --silent --fail --max-time 5 --output /dev/null http://$at/ready"
    loop = f"for at in $({addresses}); do until {asked}; do sleep 1; done; done"
    on_apps(lambda _: f"timeout {longest:.0f} bash -c {shlex.quote(loop)}")


class Service:
    """The sample service on the demo's hosts: one release live, one to come."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._play("publish", "-e", "@inventories/demo/images.yml")
        for version in ("1.0.0", "2.0.0"):
            self._deploy(version)
        self._live = "2.0.0"
        self._files = {colour: compose_file(colour) for colour in ("blue", "green")}

    def _play(self, playbook: str, *options: str) -> float:
        return ansible_playbook(self._inventory, ROOT / f"playbooks/{playbook}.yml", *options)[0].wall

    def _deploy(self, version: str) -> float:
        watch = f"deploy_watch_seconds={WATCH:.0f}"
        return self._play("deploy", "-e", "service=sample", "-e", f"version={version}", "-e", watch)

    def _compose(self, colour: str, command: str) -> None:
        project = f"docker compose --project-name sample-{colour} --file {self._files[colour]} --progress quiet"
        on_apps(lambda _: f"{project} {command}")

    def _boot(self, colour: str) -> None:
        self._compose(colour, "up --detach --no-build")
        ready(colour)

    def _cool(self, colour: str) -> None:
        self._compose(colour, "--profile live down --timeout 2")
        on_apps(lambda _: f"docker image rm --force {IMAGE}:{OTHER[self._live]} > /dev/null")

    def release(self) -> float:
        """By `deploy.yml`: seconds of the whole run."""
        self._cool(OTHER[live_colour(NAME)])
        self._live = OTHER[self._live]
        return self._deploy(self._live)

    def by_hand(self) -> list[float]:
        """Seconds of each step; afterwards all is as it was."""
        old = live_colour(NAME)
        new = OTHER[old]
        self._cool(new)
        seconds = [
            timed(lambda: on_apps(lambda _: f"docker pull --quiet {IMAGE}:{OTHER[self._live]}")),
            timed(lambda: self._boot(new)),
            timed(lambda: edge(f"set map /var/lib/slipway/haproxy/live.map sample {new}")),
            timed(lambda: drained(old)),
            timed(lambda: self._compose(old, "stop")),
        ]
        self._compose(old, "up --detach --no-build --wait")
        edge(f"set map /var/lib/slipway/haproxy/live.map sample {old}")
        return seconds


def drained(colour: str, longest: float = 30.0) -> None:
    """Waits until a colour serves nobody, as kamal-proxy does."""
    end = time.monotonic() + longest
    while in_use(colour) and time.monotonic() < end:
        time.sleep(0.2)


def timed(step: Callable[[], object]) -> float:
    started = time.monotonic()
    step()
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="releases of each kind (default 5)")
    rounds = parser.parse_args().rounds
    ours: list[float] = []
    hand: list[list[float]] = []
    floor: list[float] = []
    with provisioned_demo(NAME) as (inventory, empty):
        service = Service(inventory)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            hand.append(service.by_hand())
            ours.append(service.release())
            floor.append(ansible_playbook(inventory, empty)[0].wall)
    return report(ours, hand, floor)


def report(ours: list[float], hand: list[list[float]], floor: list[float]) -> int:
    steps = [median(column) for column in zip(*hand, strict=True)]
    by_hand, whole = median(sum(each) for each in hand), median(ours)
    print(f"medians of {len(ours)} runs each")
    rows = [("", "s", "of by hand")]
    rows += [(f"by hand: {name}", f"{seconds:.1f}", "") for name, seconds in zip(STEPS, steps, strict=True)]
    rows += [("by hand", f"{by_hand:.1f}", "1.00")]
    rows += [("deploy.yml", f"{whole:.1f}", f"{whole / by_hand:.2f}")]
    rows += [("deploy.yml without its watch", f"{whole - WATCH:.1f}", f"{(whole - WATCH) / by_hand:.2f}")]
    print_table([*rows, ("empty play", f"{median(floor):.1f}", "")])
    return int(whole - WATCH > MOST * by_hand)


if __name__ == "__main__":
    sys.exit(main())
