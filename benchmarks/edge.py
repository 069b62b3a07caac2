#!/usr/bin/env python3
"""What the whole edge costs: requests through it beside a plain nginx in front of the same service, in turn.

One host has the roles `certificate`, `waf`, `haproxy` and `nginx`: TLS, headers, limits, the JSON log, a pool behind
HAProxy; a site without the web application firewall and one that blocks. Plain is Debian's nginx with TLS and its usual
log, straight to the same backend over kept connections, with as many workers. The backend is an nginx on a second host
that answers 4 KiB. All share this machine's processors with the client, which is on a third.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from common import ROOT, ansible_playbook, containers, in_container, print_table, write_in_container
from waf import ARCHIVE, CERTIFICATE, firewall

NAME = "slipway-bench-edge"
EDGE, BACKEND, CLIENT = "edge1", "app1", "client1"
BACKEND_PORT, PLAIN_PORT = 8000, 8443
PLAIN, FULL, GUARDED = "plain nginx", "edge", "edge, firewall blocks"
LEAST = {FULL: 0.85, GUARDED: 0.5}
SITES = {FULL: "full.test", GUARDED: "guarded.test"}

_BACKEND = f"""
server {{ listen {BACKEND_PORT}; root /var/www/html; access_log off; keepalive_requests 1000000; }}
"""
_PLAIN = """
user www-data;
worker_processes auto;
pid /run/plain.pid;
events { worker_connections 4096; }
http {
  access_log /var/log/nginx/plain.log;
  keepalive_requests 1000000;
  upstream backend { server %s:%d; keepalive 64; }
  server {
    listen %d ssl http2;
    ssl_certificate %s;
    ssl_certificate_key %s;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}
"""


@dataclass(frozen=True)
class Way:
    """How a request goes: the client's port and the name that it asks for."""

    port: int
    name: str


WAYS = {PLAIN: Way(PLAIN_PORT, SITES[FULL]), **{what: Way(443, name) for what, name in SITES.items()}}


@dataclass(frozen=True)
class Load:
    """Requests a second and, where the client tells it, the 99th percentile in ms."""

    rate: float
    p99: float | None = None


def on(host: str, command: str) -> str:
    return in_container(f"{NAME}-{host}", command)


def write(host: str, path: str, content: str) -> None:
    write_in_container(f"{NAME}-{host}", path, content)


def site(name: str, **more: Any) -> dict[str, Any]:
    limited = {"path": "/", "pool": "127.0.0.1:18000", "rate_limit": {"rate": "1000000/s"}}
    described = {"name": name.removesuffix(".test"), "domains": [name], "certificate": {"name": "public"}}
    return described | {"connections": 4096, "locations": [limited]} | more


def write_playbook(path: Path, backend: str) -> Path:
    """The whole edge."""
    variables = {
        **firewall(),
        "certificate_list": [CERTIFICATE],
        "haproxy_pools": [
            {
                "name": "sample",
                "bind": "127.0.0.1:18000",
                "servers": [{"name": "one", "address": f"{backend}:{BACKEND_PORT}"}],
            }
        ],
        "nginx_sites": [site(SITES[FULL]), site(SITES[GUARDED], waf={"mode": "block"})],
    }
    roles = [f"slipway.ops.{role}" for role in ("certificate", "waf", "haproxy", "nginx")]
    play = {"hosts": EDGE, "gather_subset": ["min", "network", "hardware"], "vars": variables, "roles": roles}
    path.write_text(yaml.safe_dump([play]))
    return path


def start_backend() -> str:
    """Answers its address."""
    on(BACKEND, "apt-get install -y --no-install-recommends nginx")
    write(BACKEND, "/etc/nginx/sites-enabled/default", _BACKEND)
    on(BACKEND, "head -c 4096 /dev/zero > /var/www/html/index.html && systemctl restart nginx")
    return on(BACKEND, "hostname -I").split()[0]


def start_plain(backend: str) -> None:
    """Beside the edge's own nginx, with the same certificate."""
    pem = re.findall(
        r"ssl_certificate(?:_key)?\s+(\S+);", on(EDGE, "cat $(grep -rl full.test /etc/nginx --include=*.conf)")
    )
    write(EDGE, "/srv/plain.conf", _PLAIN % (backend, BACKEND_PORT, PLAIN_PORT, pem[0], pem[1]))
    on(EDGE, "nginx -c /srv/plain.conf")


def http1(way: Way, seconds: int) -> Load:
    """By wrk, over sixteen kept connections."""
    url = f"https://{way.name}:{way.port}/index.html?page=2&q=receipts"
    told = on(CLIENT, f"wrk --latency -t 1 -c 16 -d {seconds} '{url}'")
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"{way} refused requests:\n{told}")
    rate, latency = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"99%\s+([\d.]+)(us|ms|s)\b", told)
    assert rate and latency, told
    return Load(float(rate[1]), float(latency[1]) * {"us": 0.001, "ms": 1, "s": 1000}[latency[2]])


def http2(way: Way, seconds: int) -> Load:
    """By h2load, over four connections with four requests at once."""
    url = f"https://{way.name}:{way.port}/index.html?page=2&q=receipts"
    told = on(CLIENT, f"h2load -t 1 -c 4 -m 4 -D {seconds} '{url}'")
    failed, rate = re.search(r"(\d+) failed, (\d+) errored", told), re.search(r"finished in .*?, ([\d.]+) req/s", told)
    assert failed and rate, told
    if failed[1] != "0" or " 0 3xx, 0 4xx, 0 5xx" not in told:
        raise SystemExit(f"{way} refused requests:\n{told}")
    return Load(float(rate[1]))


def measure(rounds: int, seconds: int) -> dict[str, dict[str, list[Load]]]:
    """Loads by protocol and way, in turn."""
    loads: dict[str, dict[str, list[Load]]] = {"HTTP/1.1": {}, "HTTP/2": {}}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for what, way in WAYS.items():
            loads["HTTP/1.1"].setdefault(what, []).append(http1(way, seconds))
            loads["HTTP/2"].setdefault(what, []).append(http2(way, seconds))
    return loads


def report(loads: dict[str, dict[str, list[Load]]]) -> int:
    rows: list[tuple[str, ...]] = []
    short = False
    for protocol, ways in loads.items():
        plain = median(load.rate for load in ways[PLAIN])
        for what, each in ways.items():
            share = median(load.rate for load in each) / plain
            p99 = [load.p99 for load in each if load.p99 is not None]
            rows.append(
                (f"{protocol}, {what}", f"{share * plain:.0f}", f"{share:.2f}", f"{median(p99):.1f}" if p99 else "-")
            )
            short = short or share < LEAST.get(what, 0)
    print_table([("", "requests/s", "of plain", "p99 ms"), *rows])
    return int(short)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, medians are compared (default 5)")
    parser.add_argument("--seconds", type=int, default=8, help="seconds of one (default 8)")
    asked = parser.parse_args()
    subprocess.run([ROOT / "molecule/waf/pack.sh", ARCHIVE], check=True)
    with tempfile.TemporaryDirectory() as place, containers(Path(place), NAME, [EDGE, BACKEND, CLIENT]) as inventory:
        subprocess.run(["docker", "cp", ARCHIVE, f"{NAME}-{EDGE}:/srv/crs.tar.gz"], check=True, capture_output=True)
        on(CLIENT, "apt-get install -y --no-install-recommends wrk nghttp2-client")
        backend = start_backend()
        ansible_playbook(inventory, write_playbook(Path(place, "edge.yml"), backend))
        start_plain(backend)
        edge = on(EDGE, "hostname -I").split()[0]
        on(CLIENT, f"echo '{edge} {' '.join(SITES.values())}' >> /etc/hosts")
        return report(measure(asked.rounds, asked.seconds))


if __name__ == "__main__":
    sys.exit(main())
