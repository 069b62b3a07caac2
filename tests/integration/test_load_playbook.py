"""load.yml as an operator runs it, from this machine against a service on loopback: exit code, summary, evidence."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from playbook import Run, play

SERVICE = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}, "edge_port": 18000}
LIMITS = {"error_rate": "<= 1 %", "latency_p95": "<= 2 s"}
Load = Callable[..., Run]


class Service(http.server.BaseHTTPRequestHandler):
    """Answers `/`, fails `/broken`, and takes 50 ms more for `/slow`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(0.05 if self.path == "/slow" else 0)
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_words: Any) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def load(tmp_path: Path) -> Load:
    store = tmp_path / "store"
    store.mkdir()
    hosts = {"edge": {"hosts": {"edge1": None}}, "app": {"hosts": {"app1": None}}}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"vars": {"app_services": [SERVICE]}, "children": hosts}}))

    def run(where: str, **variables: Any) -> Run:
        here = {
            "service": "shop",
            "load_host": "localhost",
            "load_url": where,
            "load_seconds": 5,
            "load_rates": {"keep_alive": 20, "fresh": 2},
            "load_limits": LIMITS,
            "evidence_store": str(store),
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        return play("load", inventory, timeout=180, **(here | variables))

    return run


def kept(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The newest record of each id."""
    return {str(record["id"]): record for record in Store(tmp_path / "store").latest().records}


def test_a_load_is_recorded_and_compared_with_the_one_before(load: Load, url: str, tmp_path: Path) -> None:
    first = load(f"{url}/")
    assert first.code == 0 and first.changed == 0 and "every limit was kept" in first.said, first.output
    records = kept(tmp_path)
    assert records["delivery.load.requests"]["measured"] >= 0.95 * 22 * 5
    assert all(records[f"delivery.load.latency_{name}"]["measured"] > 0 for name in ("p50", "p95", "p99"))
    assert records["delivery.load.requests"]["artifacts"] and "delivery.load.slower" not in records
    second = load(f"{url}/slow", load_slower=-99.9)
    assert second.code == 0, second.output
    assert kept(tmp_path)["delivery.load.slower"]["verdict"] == "warn"


def test_what_is_not_borne_fails_the_run(load: Load, url: str, tmp_path: Path) -> None:
    run = load(f"{url}/broken")
    assert run.code != 0 and "HTTP 500" in run.said and "Traceback" not in run.output, run.output
    assert kept(tmp_path)["delivery.load.error_rate"]["verdict"] == "fail"


def test_a_load_that_nobody_answers_is_no_pass_of_any_limit(load: Load, tmp_path: Path) -> None:
    run = load("http://127.0.0.1:9/", load_limits={"latency_p95": "<= 2 s"})
    assert run.code != 0 and "refused" in run.said.lower(), run.output
    assert kept(tmp_path)["delivery.load.latency_p95"]["verdict"] == "unknown"


def test_a_load_out_of_bounds_is_refused_before_anything_is_sent(load: Load, url: str) -> None:
    for how, words in (
        ({"load_rates": {"fresh": 5000}}, "at most 2000. Nothing was sent."),
        ({"load_host": "app1", "load_url": ""}, "app1 is no edge: say where it asks with -e load_url=URL."),
        ({"service": "shpo"}, "did you mean shop?"),
    ):
        run = load(f"{url}/", **how)
        assert run.code != 0 and words in run.said, run.output
