"""What comes back of a server that is there, and of one that is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.scan import attack_sender
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import NOBODY, Site, order, plan, requests

ASKED: list[tuple[str, str, str]] = []


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        ASKED.append((self.command, self.path, self.headers.get("User-Agent", "")))
        if self.headers["Host"] == NOBODY:
            self.close_connection = True
            return
        self.send_response(403 if "script" in self.path else 200)
        self.send_header("X-Request-ID", "id-of-this-one")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_TRACE = answer

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(attack_sender, "PAUSE", 0)
    ASKED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def site(port: int) -> Site:
    return Site("shop", "edge1", "127.0.0.1", "shop.test", False, "/", port, port, body=65536)


def test_each_attempt_is_sent_and_has_its_answer(port: int) -> None:
    about = site(port)
    came = attack_sender.send(about)
    assert (came["error"], came["own"]) == ("", "127.0.0.1")
    assert set(came["answers"]) == {one.id for one in plan(about)}
    assert len(ASKED) == requests(plan(about)) == sum(len(answers) for answers in came["answers"].values())
    first = {id: answers[0] for id, answers in came["answers"].items()}
    assert first["cross_site_scripting.query"]["status"] == 403
    assert (first["unknown_host"]["status"], first["unknown_host"]["told"]) == (0, "closed")
    assert first["ordinary.page"]["headers"] == {
        "x-request-id": "id-of-this-one",
        "server": first["trace"]["headers"]["server"],
    }
    assert {agent for _, _, agent in ASKED} == {"slipway/attack", *attack_sender_agents(about)}


def attack_sender_agents(about: Site) -> set[str]:
    return {one.headers["User-Agent"] for one in order(plan(about)) if "User-Agent" in one.headers}


def test_an_edge_that_is_not_there_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        came = attack_sender.send(site(free.getsockname()[1]))
    assert came["answers"] == {} and "cannot be reached from here" in came["error"]
