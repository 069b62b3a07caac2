#!/usr/bin/env python3
"""What the web application firewall costs: requests with and without it in turn, and memory and reloads of many sites.

One edge serves the same file over TLS from a site without it, one that detects and one that blocks. Then the same edge
gets many sites that block.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from common import ROOT, ansible_playbook, containers, in_container, print_table

NAME = "slipway-bench-waf-edge1"
ARCHIVE = ROOT / ".cache/crs/crs.tar.gz"
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "detect": {"waf": {"mode": "detect"}},
    "block": {"waf": {"mode": "block"}},
}
RELOADS = 20
CERTIFICATE = {"name": "public", "names": ["*.test"], "reload": ["nginx"]}


def site(name: str, **more: Any) -> dict[str, Any]:
    location = {"path": "/", "root": "/var/www/html"}
    return {
        "name": name,
        "domains": [f"{name}.test"],
        "certificate": {"name": "public"},
        "locations": [location],
        **more,
    }


def firewall() -> dict[str, Any]:
    """What the inventory says of the firewall's rules, which lie in /srv of the host."""
    return {
        "waf_enabled": True,
        "waf_rules_url": "file:///srv/crs.tar.gz",
        "waf_rules_checksum": f"sha256:{ARCHIVE.with_name('sha256').read_text()}",
    }


def write_playbook(path: Path, sites: list[dict[str, Any]]) -> Path:
    """The edge with these sites."""
    variables = {**firewall(), "certificate_list": [CERTIFICATE], "nginx_sites": sites}
    roles = [f"slipway.ops.{role}" for role in ("certificate", "waf", "nginx")]
    play = {"hosts": "all", "gather_subset": ["min", "network", "hardware"], "vars": variables, "roles": roles}
    path.write_text(yaml.safe_dump([play]))
    return path


def requests_a_second(name: str, seconds: int) -> float:
    told = in_container(
        NAME, f"wrk -t 1 -c 16 -d {seconds} -H 'Host: {name}.test' 'https://127.0.0.1/?page=2&q=receipts'"
    )
    if "Non-2xx" in told:
        raise SystemExit(f"{name} refused requests:\n{told}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])  # type: ignore[index]


def memory() -> float:
    """MiB of nginx' processes, each page counted once (their proportional shares)."""
    told = in_container(NAME, "cat $(pgrep -x nginx | sed 's#.*#/proc/&/smaps_rollup#')")
    return sum(int(number) for number in re.findall(r"^Pss:\s+(\d+) kB", told, re.MULTILINE)) / 1024


def reload() -> float:
    """Seconds until the workers of before are gone."""
    workers = "pgrep -P $(cat /run/nginx.pid) | sort | xargs"
    before, started = in_container(NAME, workers).split(), time.monotonic()
    in_container(NAME, "nginx -s reload 2>/dev/null")
    while set(in_container(NAME, workers).split()) & set(before):
        time.sleep(0.05)
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, medians are compared (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of one (default 5)")
    parser.add_argument("--sites", type=int, default=100, help="how many sites are many (default 100)")
    asked = parser.parse_args()
    subprocess.run([ROOT / "molecule/waf/pack.sh", ARCHIVE], check=True)
    with tempfile.TemporaryDirectory() as place:
        few = write_playbook(Path(place, "few.yml"), [site(name, **more) for name, more in MODES.items()])
        many = write_playbook(
            Path(place, "many.yml"), [site(f"site{number}", **MODES["block"]) for number in range(asked.sites)]
        )
        with containers(Path(place), "slipway-bench-waf", ["edge1"]) as inventory:
            subprocess.run(["docker", "cp", ARCHIVE, f"{NAME}:/srv/crs.tar.gz"], check=True, capture_output=True)
            in_container(NAME, "apt-get install -y --no-install-recommends wrk")
            ansible_playbook(inventory, few)
            in_container(NAME, "head -c 4096 /dev/zero > /var/www/html/index.html")
            report_requests(asked.rounds, asked.seconds)
            rows = [sites_row(len(MODES) - 1)]
            ansible_playbook(inventory, many)
            rows.append(sites_row(asked.sites))
    print_table([("sites with it", "reload s", "memory MiB", f"after {RELOADS} reloads"), *rows])
    return 0


def report_requests(rounds: int, seconds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in MODES}
    for _ in range(rounds):
        for name in MODES:
            rates[name].append(requests_a_second(name, seconds))
    rows = [
        (name, f"{median(each):.0f}", f"{median(each) / median(rates['plain']):.2f}") for name, each in rates.items()
    ]
    print(f"a file of 4 KiB over TLS, medians of {rounds} runs of {seconds} s each")
    print_table([("site", "requests/s", "of plain"), *rows])


def sites_row(sites: int) -> tuple[str, ...]:
    before = memory()
    took = [reload() for _ in range(RELOADS)]
    return str(sites), f"{median(took):.2f}", f"{before:.0f}", f"{memory():.0f}"


if __name__ == "__main__":
    sys.exit(main())
