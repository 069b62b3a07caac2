#!/usr/bin/env python3
"""1,000 HTTP checks in one run of `health_check`, beside a bare aiohttp loop and beside a loop of `uri` tasks.

All ask the same server on loopback, a process of its own that only sends prepared bytes. The module and the aiohttp
loop are compared as fresh processes of the same Python, start-up and imports on both sides, with the same concurrency.
The loop of `uri` is measured over 40 items and scaled to 1,000, an empty play's cost taken off both sides; that is
fair, because each item of a loop costs the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import yaml
from common import ROOT, cost, print_table, side_by_side

CHECKS, CONCURRENCY, URI_ITEMS = 1000, 64, 40
SLOWER_THAN_AIOHTTP, FASTER_THAN_URI = 2, 50

SERVER = """
import asyncio

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        answer = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 2\\r\\n\\r\\nok"
        self.transport.write(answer * data.count(b"\\r\\n\\r\\n"))

async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

AIOHTTP = f"""
import asyncio, sys
import aiohttp

async def main():
    places = asyncio.Semaphore({CONCURRENCY})
    connector = aiohttp.TCPConnector(limit={CONCURRENCY})
    async with aiohttp.ClientSession(connector=connector) as session:
        async def check():
            async with places, session.get(sys.argv[1]) as answer:
                assert answer.status == 200
                await answer.read()
        await asyncio.gather(*(check() for _ in range({CHECKS})))

asyncio.run(main())
"""

OURS, BARE = "health_check", "bare aiohttp loop"
TASK, LOOP, EMPTY = "health_check in a play", f"uri in a loop of {URI_ITEMS}", "empty play"


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a server that lives as long as the block."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/health"
        finally:
            process.terminate()


def seconds(command: list[str]) -> float:
    """Wall time of a process that must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    took = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{command[1:3]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def processes(directory: Path, url: str, rounds: int) -> dict[str, float]:
    """Median wall seconds of the module and of the aiohttp loop, taken in turn."""
    arguments = directory / "arguments.json"
    parameters = {"checks": [{"kind": "http", "url": url}] * CHECKS, "concurrency": CONCURRENCY}
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": parameters}))
    module = "ansible_collections.slipway.ops.plugins.modules.health_check"
    commands = {OURS: [sys.executable, "-m", module, str(arguments)], BARE: [sys.executable, "-c", AIOHTTP, url]}
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(seconds(command))
    return {name: median(took) for name, took in runs.items()}


def plays(directory: Path, url: str, rounds: int) -> dict[str, float]:
    """Median wall seconds of a play with the task, less an empty play."""
    check = {
        "slipway.ops.health_check": {"checks": [{"kind": "http", "url": url}] * CHECKS, "concurrency": CONCURRENCY}
    }
    uri = {"ansible.builtin.uri": {"url": url}, "loop": list(range(URI_ITEMS))}
    inventory = directory / "inventory.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": local}}}))
    playbooks = {}
    for number, (name, tasks) in enumerate({TASK: [check], LOOP: [uri], EMPTY: []}.items()):
        playbooks[name] = directory / f"play{number}.yml"
        playbooks[name].write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    walls = {name: cost(runs).wall for name, runs in side_by_side(inventory, playbooks, rounds).items()}
    return {name: walls[name] - walls[EMPTY] for name in (TASK, LOOP)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turn; medians are told")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, server() as url:
        direct = processes(Path(name), url, rounds)
        played = plays(Path(name), url, rounds)
    scaled = played[LOOP] * CHECKS / URI_ITEMS
    slower, faster = direct[OURS] / direct[BARE], scaled / played[TASK]
    print(f"{CHECKS} requests, {CONCURRENCY} at once, median of {rounds}, load average {os.getloadavg()[0]:.1f}\n")
    print_table(
        [
            ("", "wall s"),
            (f"{OURS}, a process", f"{direct[OURS]:.2f}"),
            (f"{BARE}, a process", f"{direct[BARE]:.2f}"),
            (f"{TASK}, less an empty play", f"{played[TASK]:.2f}"),
            (f"{LOOP}, less an empty play", f"{played[LOOP]:.2f}"),
            (f"the loop scaled to {CHECKS}", f"{scaled:.0f}"),
        ]
    )
    print(f"\n{slower:.2f} times the aiohttp loop (at most {SLOWER_THAN_AIOHTTP})")
    print(f"{faster:.0f} times faster than the uri loop (at least {FASTER_THAN_URI})")
    return 0 if slower <= SLOWER_THAN_AIOHTTP and faster >= FASTER_THAN_URI else 1


if __name__ == "__main__":
    sys.exit(main())
