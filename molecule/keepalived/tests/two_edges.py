"""Who holds the address, what users of it feel, and how an edge is broken and mended."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import testinfra
from machine import crowding, until
from playbook import Run, module, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-keepalived-"
EDGES = ("edge1", "edge2")
APPS = tuple(f"app{number}" for number in range(1, 6))
FOUR, SIX = "10.77.10.100", "fd00:10::100"
ALLOWED = 10.0  # seconds of a gap on an idle machine; what it was is printed
RUNTIME = "/run/systemd/system/keepalived.service.d"  # not masked: that would forget its ExecStopPost
MEASURED: list[str] = []
hosts = {name: testinfra.get_host(f"docker://{CONTAINER}{name}") for name in (*EDGES, *APPS, "client1")}


def addresses(edge: str) -> set[str]:
    """Those of the virtual ones that an edge has."""
    listed = json.loads(hosts[edge].check_output("ip -json address show dev eth0"))
    return {one["local"] for one in listed[0]["addr_info"]} & {FOUR, SIX}


def holders() -> list[str]:
    """The edges that have an address; one that has a part of them is named for it."""
    found = {edge: addresses(edge) for edge in EDGES}
    return [edge if len(its) == 2 else f"{edge}: {its}" for edge, its in found.items() if its]


def settled(*wanted: str) -> bool:
    """Whether one edge, of those wanted, comes to hold both addresses, and goes on doing so."""

    def one() -> bool:
        now = holders()
        return len(now) == 1 and now[0] in (wanted or EDGES)

    for _ in range(3):
        if until(one, 30 * crowding(), 0.3):
            time.sleep(2)  # longer than an edge waits for the other
            if one():
                return True
    return False


def holder() -> str:
    assert settled(), holders()
    (edge,) = holders()
    return edge


def other(edge: str) -> str:
    return next(one for one in EDGES if one != edge)


def answers(address: str = FOUR) -> dict[str, Any]:
    """What the service says to the client, at a virtual address."""
    place = f"[{address}]" if ":" in address else address
    said = hosts["client1"].check_output(f"curl -sS --max-time 5 -H 'Host: shop.test' http://{place}/version")
    return dict(json.loads(said))


def serves() -> bool:
    """Whether the client has an answer now; just after an edge is broken it may not."""
    return bool(hosts["client1"].run(f"curl -sSf --max-time 2 -H 'Host: shop.test' http://{FOUR}/version").rc == 0)


@contextlib.contextmanager
def users(rates: dict[str, float] | None = None) -> Iterator[dict[str, Any]]:
    """Clients who know nothing of edges; afterwards, what they felt."""
    options = {
        "name": "users",
        "url": "http://shop.test/version",
        "address": FOUR,
        "rates": rates or {"fresh": 20, "keep_alive": 10},
        "connections": 2,
        "timeout": 2,
        "replace": True,
    }
    module(INVENTORY, "client1", "slipway.ops.traffic", state="started", **options)
    seen: dict[str, Any] = {}
    try:
        yield seen
    finally:
        stopped = module(INVENTORY, "client1", "slipway.ops.traffic", name="users", state="stopped")
    total = stopped["client1"]["traffic"]["total"]
    seen |= {name: total[name] for name in ("requests", "failed", "longest_gap", "prober_late")}
    seen["reasons"] = stopped["client1"]["traffic"]["reasons"]
    seen["versions"] = {one["version"] for one in stopped["client1"]["traffic"]["versions"]}


def note(what: str, seen: dict[str, Any]) -> None:
    MEASURED.append(
        f"{what}: {seen['longest_gap']:.2f} s without an answer, {seen['failed']} of {seen['requests']} requests failed"
        + (f" (the prober was {seen['prober_late'] / 1000:.1f} s late)" if seen["prober_late"] > 500 else "")
    )


def converge(*options: str, **variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit=edge", *options, **variables)


def health() -> Run:
    return play("health", INVENTORY, "--limit=edge", health_deadline="5s")


BREAKS = {
    "nginx killed for good": (
        "systemctl mask --runtime nginx && systemctl kill --signal=KILL nginx",
        "systemctl unmask --runtime nginx && systemctl start nginx",
    ),
    "HAProxy killed for good": (
        "systemctl mask --runtime haproxy && systemctl kill --signal=KILL haproxy",
        "systemctl unmask --runtime haproxy && systemctl start haproxy",
    ),
    "keepalived stopped": ("systemctl stop keepalived", "systemctl start keepalived"),
    "keepalived killed for good": (
        f"mkdir -p {RUNTIME} && printf '[Service]\\nRestart=no\\n' > {RUNTIME}/zz.conf && systemctl daemon-reload"
        " && systemctl kill --signal=KILL keepalived",
        f"rm {RUNTIME}/zz.conf && systemctl daemon-reload && systemctl restart keepalived",
    ),
    "edge cut off": (
        "nft -f - <<'END'\n"
        "table inet cut {\n"
        " chain in { type filter hook input priority -300; policy drop; iifname lo accept; }\n"
        " chain out { type filter hook output priority -300; policy drop; oifname lo accept; }\n"
        "}\n"
        "table arp cut {\n"
        " chain in { type filter hook input priority 0; policy drop; }\n"
        " chain out { type filter hook output priority 0; policy drop; }\n"
        "}\nEND",
        "nft 'delete table inet cut; delete table arp cut'",
    ),
}
DEAF = (
    "nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority -300; };"
    " add rule inet deaf in meta l4proto 112 drop'",
    "nft delete table inet deaf",
)


@contextlib.contextmanager
def broken(edge: str, commands: tuple[str, str]) -> Iterator[None]:
    hosts[edge].check_output(commands[0])
    try:
        yield
    finally:
        hosts[edge].check_output(commands[1])
