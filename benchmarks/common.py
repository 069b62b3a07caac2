"""What benchmarks share: containers that come and go with them, and runs of ansible-playbook measured alike."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml

ROOT = Path(__file__).resolve().parents[1]
LONGEST_RUN = 900.0  # seconds


@dataclass(frozen=True)
class Run:
    """One run: ``wall`` and the controller's processor time ``cpu`` in seconds, ``changed`` over all hosts."""

    wall: float
    cpu: float
    changed: int


@dataclass(frozen=True)
class Cost:
    """Medians of several runs, in seconds."""

    wall: float
    cpu: float

    def minus(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


def cost(runs: list[Run]) -> Cost:
    """The medians of runs."""
    return Cost(median(run.wall for run in runs), median(run.cpu for run in runs))


def ansible_playbook(
    inventory: Path,
    playbook: Path,
    *options: str,
    collections: Path | None = None,
    root: Path = ROOT,
    longest: float = LONGEST_RUN,
) -> tuple[Run, str]:
    """Run a playbook in a fresh process with a checkout's settings; answers the measures and the output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *options],
        cwd=root,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(collections or root / "collections"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.memory",
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=longest,
        check=False,
    )
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = done.stdout + done.stderr
    if done.returncode != 0:
        raise SystemExit(f"{playbook.name} failed:\n{output}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, sum(int(number) for number in re.findall(r"\bchanged=(\d+)", output))), output


def in_turn(sides: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run the sides in turn, `rounds` times, so that a busy moment of the machine falls on all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for name, run in sides.items():
            runs[name].append(run())
    return runs


def side_by_side(inventory: Path, playbooks: Mapping[str, Path], rounds: int) -> dict[str, list[Run]]:
    """Playbooks on the same hosts, in turn."""

    def side(playbook: Path) -> Callable[[], Run]:
        return lambda: ansible_playbook(inventory, playbook)[0]

    return in_turn({name: side(playbook) for name, playbook in playbooks.items()}, rounds)


def refuse_changes(runs: Mapping[str, list[Run]]) -> None:
    """Ends the benchmark when a run that should find nothing to do found something."""
    for name, each in runs.items():
        if any(run.changed for run in each):
            raise SystemExit(f"{name}: changed something, the comparison says nothing")


def module_calls(inventory: Path, playbook: Path, collections: Path | None = None, root: Path = ROOT) -> int:
    """How many modules a run starts, over all hosts."""
    _, output = ansible_playbook(inventory, playbook, "-vvv", collections=collections, root=root)
    return output.count("Using module file ")


@contextlib.contextmanager
def containers(directory: Path, name: str, hosts: list[str], **variables: object) -> Iterator[Path]:
    """Hosts as containers for the time of the block, by the test bed's playbooks; gives their inventory."""
    inventory = directory / "inventory.yml"
    described = {host: {"ansible_host": f"{name}-{host}"} for host in hosts}
    connection = {"testbed_name": name, "ansible_connection": "community.docker.docker", **variables}
    inventory.write_text(yaml.safe_dump({"all": {"vars": connection, "hosts": described}}))
    with running(inventory):
        yield inventory


def demo_inventory(directory: Path, name: str, root: Path = ROOT) -> Path:
    """The demo's inventory with containers, so named, and secrets of its own, and no published ports."""
    lines = (root / "inventories/demo/hosts.yml").read_text().replace("slipway-demo", name).splitlines(keepends=True)
    inventory = directory / "hosts.yml"
    inventory.write_text("".join(line for line in lines if "testbed_published_ports" not in line))
    shutil.copytree(root / "inventories/demo/group_vars", directory / "group_vars")
    return inventory


def empty_play(directory: Path) -> Path:
    """A playbook that does nothing on every host: what no other can do without."""
    playbook = directory / "empty.yml"
    playbook.write_text("[{hosts: all, gather_facts: false}]\n")
    return playbook


@contextlib.contextmanager
def running(inventory: Path) -> Iterator[None]:
    """An inventory's hosts as containers for the time of the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a benchmark that is stopped tidies up
    try:
        ansible_playbook(inventory, ROOT / "testbed/create.yml")
        yield
    finally:
        ansible_playbook(inventory, ROOT / "testbed/destroy.yml")


@contextlib.contextmanager
def provisioned_demo(name: str) -> Iterator[tuple[Path, Path]]:
    """The demo's hosts, so named and provisioned, for the time of the block; their inventory and an empty play."""
    with tempfile.TemporaryDirectory() as place:
        inventory, empty = demo_inventory(Path(place), name), empty_play(Path(place))
        with running(inventory):
            print("provisioning the hosts, releasing twice (some minutes)", flush=True)
            ansible_playbook(inventory, ROOT / "playbooks/site.yml")
            yield inventory, empty


def in_container(name: str, command: str) -> str:
    """What a shell command in a container says; the benchmark ends when it fails."""
    argv = ["docker", "exec", name, "bash", "-c", command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {command}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_in_container(name: str, path: str, content: str) -> None:
    """A file of a container, by its content."""
    subprocess.run(["docker", "exec", "-i", name, "sh", "-c", f"cat > {path}"], input=content, text=True, check=True)


def live_colour(name: str) -> str:
    """The colour of the sample service that the edge of a demo, so named, sends requests to."""
    return in_container(f"{name}-edge1", "grep '^sample ' /var/lib/slipway/haproxy/live.map").split()[1]


def pgbench_scale(megabytes: int) -> int:
    """What `pgbench -i` calls so much data; each step of its scale makes 15 MB, indexes included."""
    return round(megabytes / 15)


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Aligned columns; the first is text, the others are numbers."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))
