"""An edge_port that changes is between nginx and HAProxy, and nobody in front of nginx feels it."""

from __future__ import annotations

from typing import Any

import yaml
from two_edges import EDGES, INVENTORY, answers, converge, holder, hosts, note, users

BEFORE, AFTER = 18000, 18050


def moved(port: int) -> dict[str, Any]:
    """What the inventory says of the service with its pool at another port, and of the site that goes there."""
    inventory = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["all"]
    (service,) = inventory["vars"]["app_services"]
    (site,) = inventory["children"]["edge"]["vars"]["nginx_sites"]
    location = {"path": "/", "pool": f"127.0.0.1:{port}"}
    return {"app_services": [service | {"edge_port": port}], "nginx_sites": [site | {"locations": [location]}]}


def listens(edge: str) -> set[int]:
    """Of the two ports, those on which the edge's pool answers."""
    ask = "curl -s -o /dev/null --max-time 5 http://127.0.0.1:{}/version"
    return {port for port in (BEFORE, AFTER) if hosts[edge].run(ask.format(port)).rc == 0}


def test_a_pool_moves_to_another_port_and_back_and_no_request_fails() -> None:
    holder()
    for port in (AFTER, BEFORE):
        # Each comes by a connection of its own: nginx's reload closes idle ones, whatever stands behind it.
        with users({"fresh": 40}) as seen:
            run = converge(**moved(port))
        note(f"edge_port changed to {port}", seen)
        assert run.code == 0, run.output
        assert seen["requests"] > 0 and seen["failed"] == 0, seen
        assert {edge: listens(edge) for edge in EDGES} == {edge: {port} for edge in EDGES}
        assert answers()["version"]
        again = converge(**moved(port))
        assert again.code == 0 and again.changed == 0, again.output
