from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import Run, play

HERE = Path(__file__).resolve().parent
INVENTORY = HERE.parent / "inventory.yml"
KEPT = "/var/lib/slipway/notices/shop.json"
EDGES = ("edge1", "edge2")


class Users:
    """What users have got since the test began, and what they see."""

    def __init__(self) -> None:
        self.edges = {name: testinfra.get_host(f"docker://slipway-notices-{name}") for name in EDGES}
        self.since = {kind: len(self._all(kind)) for kind in ("mail", "web")}

    def _all(self, kind: str) -> list[dict[str, Any]]:
        text = self.edges["edge1"].run(f"cat /root/{kind}").stdout
        return [json.loads(line) for line in text.splitlines()]

    @property
    def mails(self) -> list[dict[str, Any]]:
        return self._all("mail")[self.since["mail"] :]

    @property
    def posts(self) -> list[str]:
        return [told["body"]["text"] for told in self._all("web")[self.since["web"] :]]

    def pages(self) -> list[str]:
        command = "curl --silent --fail --header 'Host: status.example.test' http://127.0.0.1/status/shop/"
        return [edge.check_output(command) for edge in self.edges.values()]

    def kept(self) -> dict[str, Any]:
        """What the last edge knows."""
        return json.loads(self.edges["edge2"].check_output(f"cat {KEPT}"))

    def known(self, *notices: dict[str, Any]) -> None:
        """Has the edges know of these, as if the days had gone by."""
        text = json.dumps({"notices": list(notices)})
        for edge in self.edges.values():
            edge.check_output(f"mkdir -p {KEPT.rpartition('/')[0]} && echo '{text}' > {KEPT}")

    def told_hours_before(self, hours: float) -> None:
        """Of work that is due now."""
        at = time.time() - 60
        self.known({"at": at, "until": at + 3600, "text": "Payments pause.", "told": at - hours * 3600, "changed": at})


@pytest.fixture
def users() -> Iterator[Users]:
    found = Users()
    found.known()
    yield found
    found.edges["edge1"].check_output(
        "systemctl is-active mail-sink || systemd-run --unit=mail-sink python3 /root/sink.py mail"
    )


def notice(*options: str, **said: Any) -> Run:
    return play("notice", INVENTORY, *options, service="shop", **said)


def hook(name: str, **said: Any) -> Run:
    return play(HERE / "hook.yml", INVENTORY, hook=name, run="20261130T010101Z-deploy-shop", **said)
