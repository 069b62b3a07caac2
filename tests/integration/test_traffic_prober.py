"""The prober, as the process it is, against real local services that misbehave in known ways."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, pack
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import Plan
from traffic_service import Answer, authority, http, http2, listening, websocket

OFF = {"keep_alive": 0.0, "fresh": 0.0, "post": 0.0, "websocket": 0.0, "http2": 0.0}


class Probers:
    """Starts probers in a directory of the test; every one has ended when the test has."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.started: list[Control] = []

    def start(self, url: str, rates: dict[str, float], **options: Any) -> Control:
        control = Control(self._root, f"test-{len(self.started)}")
        self.started.append(control)
        control.start(Plan(f"test-{len(self.started)}", url, OFF | rates, **options))
        return control

    def run(self, seconds: float, url: str, rates: dict[str, float], **options: Any) -> dict[str, Any]:
        control = self.start(url, rates, **options)
        time.sleep(seconds)
        control.stop()
        return control.summary()


@pytest.fixture
def probers(tmp_path: Path) -> Iterator[Probers]:
    made = Probers(tmp_path / "traffic")
    yield made
    for control in made.started:
        control.remove()


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def test_a_good_service_has_no_failures(probers):
    seen: list[bytes] = []
    with listening(http(lambda number: Answer(chunked=number % 2 == 0), seen)) as port:
        rates = {"keep_alive": 40.0, "fresh": 20.0, "post": 20.0}
        summary = probers.run(2, f"http://127.0.0.1:{port}/x?y=1", rates, headers={"X-Test": "yes"}, connections=4)
    assert summary["total"]["failed"] == 0, summary["failures"]
    assert summary["total"]["requests"] == len(seen) > 100
    assert summary["ended_because"] == "stopped"
    assert summary["clients"]["post"]["answers"] == {"200": summary["clients"]["post"]["requests"]}
    assert all(b"X-Test: yes\r\n" in head and b" /x?y=1 HTTP/1.1" in head for head in seen)
    assert {head.split()[0] for head in seen} == {b"GET", b"POST"}


def test_rates_are_held_within_five_percent(probers):
    with listening(http(lambda number: Answer(delay=0.02), [])) as port:
        summary = probers.run(5, f"http://127.0.0.1:{port}/", {"keep_alive": 200.0})
    assert summary["total"]["rate"] == pytest.approx(200, rel=0.05)
    assert summary["total"]["failed"] == 0


@pytest.mark.parametrize("client", ["keep_alive", "post", "fresh"])
def test_each_reset_is_counted_exactly(probers, client):
    seen: list[bytes] = []
    with listening(http(lambda number: Answer(cut=number % 50 == 0), seen)) as port:
        summary = probers.run(2.6, f"http://127.0.0.1:{port}/", {client: 100.0})
    assert len(seen) > 150
    assert summary["total"]["requests"] == len(seen), "nothing is sent twice"
    assert summary["total"]["failed"] == len(seen) // 50
    assert set(summary["reasons"]) == {"connection reset before the answer was complete"}


def test_a_connection_closed_between_requests_is_no_failure(probers):
    seen: list[bytes] = []
    with listening(http(lambda number: Answer(idle=0.05), seen)) as port:
        summary = probers.run(2, f"http://127.0.0.1:{port}/", {"post": 20.0}, connections=4)
    assert summary["total"]["failed"] == 0, summary["failures"]
    assert summary["total"]["closes"]["idle"] > 10
    assert summary["total"]["requests"] == len(seen)


def test_an_announced_close_is_honoured(probers):
    with listening(http(lambda number: Answer(close=number % 2 == 0), [])) as port:
        summary = probers.run(2, f"http://127.0.0.1:{port}/", {"post": 200.0}, connections=1)
    assert summary["total"]["failed"] == 0, summary["reasons"]
    assert summary["total"]["closes"] == {}


def test_errors_of_the_service_are_counted_by_status(probers):
    seen: list[bytes] = []
    with listening(http(lambda number: Answer(status=503 if number % 5 == 0 else 200), seen)) as port:
        summary = probers.run(2, f"http://127.0.0.1:{port}/", {"keep_alive": 100.0})
    assert summary["total"]["answers"]["503"] == summary["total"]["failed"] == len(seen) // 5
    assert summary["total"]["error_rate"] == pytest.approx(20, abs=1)
    assert summary["reasons"] == {"HTTP 503": len(seen) // 5}


def test_success_is_what_the_operator_says(probers):
    with listening(http(lambda number: Answer(status=401), [])) as port:
        summary = probers.run(0.5, f"http://127.0.0.1:{port}/", {"keep_alive": 50.0}, success_codes=[401])
    assert summary["total"]["failed"] == 0


def test_a_restart_in_the_middle_shows_as_failures_with_their_time(probers):
    with listening(http(lambda number: Answer(version="1.0.0"), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 100.0, "fresh": 50.0})
        time.sleep(1.5)
    down = time.time()
    time.sleep(0.7)
    up = time.time()
    with listening(http(lambda number: Answer(version="2.0.0"), []), port=port):
        time.sleep(1.5)
        control.stop()
        summary = control.summary()
    assert summary["total"]["failed"] == pytest.approx(0.7 * 150, rel=0.15)
    assert "connection refused" in summary["reasons"]
    times = [(unix(failure["at"]), unix(failure["at"]) + failure["after"]) for failure in summary["failures"]]
    assert [(due, end) for due, end in times if end < down - 0.1 or due > up + 0.1] == []
    assert summary["total"]["longest_gap"] == pytest.approx(up - down, abs=0.1)
    old, new = summary["versions"]
    assert (old["version"], new["version"]) == ("1.0.0", "2.0.0")
    assert unix(old["last"]) == pytest.approx(down, abs=0.1)
    assert unix(new["first"]) == pytest.approx(up, abs=0.1)
    assert old["responses"] + new["responses"] == sum(summary["total"]["answers"].values())


def test_percentiles_of_known_delays(probers):
    delays = [0.02] * 90 + [0.1] * 8 + [0.3] * 2
    with listening(http(lambda number: Answer(delay=delays[number % 100]), [])) as port:
        summary = probers.run(4, f"http://127.0.0.1:{port}/", {"keep_alive": 100.0}, connections=50)
    latency = summary["total"]["latency"]
    assert latency["p50"] == pytest.approx(20, abs=12)
    assert latency["p95"] == pytest.approx(100, abs=20)
    assert latency["p99"] == pytest.approx(300, abs=30)
    assert latency["max"] >= 300


def test_a_stall_cannot_hide(probers):
    """A closed loop would see one slow request; an open one sees every request that was due meanwhile."""
    stalled_until = 0.0

    def answer(number: int) -> Answer:
        nonlocal stalled_until
        if number == 50:
            stalled_until = time.monotonic() + 1
        return Answer(delay=max(stalled_until - time.monotonic(), 0))

    with listening(http(answer, [])) as port:
        summary = probers.run(3, f"http://127.0.0.1:{port}/", {"keep_alive": 100.0}, connections=1)
    assert summary["total"]["failed"] == 0
    assert summary["total"]["latency"]["p95"] > 500  # a third of all requests waited 0 to 1 s
    assert summary["total"]["longest_gap"] == pytest.approx(1, abs=0.2)


def test_an_answer_that_never_comes_fails_at_its_deadline(probers):
    with listening(http(lambda number: Answer(delay=30 if number == 5 else 0), [])) as port:
        summary = probers.run(1, f"http://127.0.0.1:{port}/", {"keep_alive": 20.0}, timeout=0.4)
    assert summary["reasons"] == {"no complete answer within 0.4 s": 1}
    assert summary["failures"][0]["after"] == pytest.approx(0.4, abs=0.1)
    assert summary["total"]["latency"]["max"] >= 400


def test_what_is_under_way_is_bounded(probers):
    """A service that takes everything and answers nothing cannot fill the prober's memory, or hide."""
    with listening(http(lambda number: Answer(delay=60), [])) as port:
        summary = probers.run(2.5, f"http://127.0.0.1:{port}/", {"keep_alive": 600.0}, timeout=6.0)
    not_sent = "not sent: 1000 requests were still waiting for their answers"
    assert set(summary["reasons"]) == {not_sent, "no complete answer within 6 s"}
    assert summary["reasons"][not_sent] == summary["total"]["requests"] - 1000


def test_tls_is_verified(probers, tmp_path):
    good, other = authority(tmp_path / "good"), authority(tmp_path / "other")
    expired = authority(tmp_path / "expired", days=-1)
    rates = {"keep_alive": 10.0, "fresh": 10.0}
    with listening(http(lambda number: Answer(), []), good.server_context()) as port:
        named = f"https://service.example.test:{port}/"
        right = probers.run(1, named, rates, address="127.0.0.1", ca_file=str(good.ca_file))
        wrong_ca = probers.run(1, named, rates, address="127.0.0.1", ca_file=str(other.ca_file))
        other_name = {"address": f"127.0.0.1:{port}", "ca_file": str(good.ca_file)}
        wrong_name = probers.run(1, "https://elsewhere.example.test/", rates, **other_name)
        server_name = probers.run(
            1, "https://elsewhere.example.test/", rates, server_name="service.example.test", **other_name
        )
    with listening(http(lambda number: Answer(), []), expired.server_context()) as port:
        late = probers.run(1, f"https://127.0.0.1:{port}/", rates, ca_file=str(expired.ca_file))
    assert right["total"]["failed"] == server_name["total"]["failed"] == 0
    for summary, word in ((wrong_ca, "issuer"), (wrong_name, "elsewhere.example.test"), (late, "expired")):
        assert summary["total"]["failed"] == summary["total"]["requests"] > 0
        (reason,) = summary["reasons"]
        assert reason.startswith("certificate not accepted: ")
        assert word in reason
        assert summary["total"]["longest_gap"] == summary["seconds"]


def test_what_is_not_http_fails_with_a_reason(probers):
    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
        await writer.drain()
        writer.close()

    with listening(gibberish) as port:
        plain = probers.run(0.5, f"http://127.0.0.1:{port}/", {"fresh": 20.0})
        tls = probers.run(0.5, f"https://127.0.0.1:{port}/", {"fresh": 20.0})
    assert set(plain["reasons"]) == {"the answer is not HTTP/1.1"}
    assert plain["total"]["failed"] == plain["total"]["requests"]
    assert tls["total"]["failed"] == tls["total"]["requests"]
    assert "TLS handshake failed" in next(iter(tls["reasons"]))


def test_http2(probers, tmp_path):
    made = authority(tmp_path / "authority")
    options = {"ca_file": str(made.ca_file)}
    with listening(http2(lambda number: Answer(cut=number == 60)), made.server_context("h2")) as port:
        summary = probers.run(2, f"https://127.0.0.1:{port}/", {"http2": 50.0}, **options)
    assert 1 <= summary["total"]["failed"] <= 3, summary[
        "reasons"
    ]  # the one that was cut, and others on its connection
    assert summary["total"]["requests"] == pytest.approx(100, abs=5)
    assert summary["versions"][0]["version"] == "1.0.0"
    with listening(http(lambda number: Answer(), []), made.server_context("http/1.1")) as port:
        summary = probers.run(0.5, f"https://127.0.0.1:{port}/", {"http2": 20.0}, **options)
    assert set(summary["reasons"]) == {"the service does not offer HTTP/2"}


def test_http2_goodbyes_cost_nothing(probers, tmp_path):
    """As nginx does after a number of requests and when it reloads; some requests are already on their way."""
    made = authority(tmp_path / "authority")
    answered: list[int] = []
    handler = http2(lambda number: Answer(close=number % 20 == 0), answered)
    with listening(handler, made.server_context("h2")) as port:
        url = f"https://127.0.0.1:{port}/"
        summary = probers.run(2, url, {"http2": 200.0}, ca_file=str(made.ca_file))
    assert summary["total"]["failed"] == 0, summary["reasons"]
    assert summary["total"]["closes"]["goaway"] > 5
    assert summary["total"]["requests"] == len(answered)


def test_http2_recovers_from_a_stall(probers, tmp_path):
    """What took too long is given up; the connection, or a new one, goes on."""
    made = authority(tmp_path / "authority")
    stalls = iter([0.0] * 20 + [1.2])
    with listening(http2(lambda number: Answer(delay=next(stalls, 0.0))), made.server_context("h2")) as port:
        url = f"https://127.0.0.1:{port}/"
        summary = probers.run(3, url, {"http2": 50.0}, ca_file=str(made.ca_file), timeout=0.5)
    assert set(summary["reasons"]) == {"no complete answer within 0.5 s"}
    assert 10 <= summary["total"]["failed"] <= 50
    assert summary["total"]["longest_gap"] < 2
    assert summary["total"]["answers"]["200"] > 90


def test_the_cut_of_a_websocket_is_seen(probers):
    connections = []

    async def cut_after_a_second(connection):
        connections.append(time.time())
        await connection.send('{"version": "7"}')
        await asyncio.sleep(1.05)
        if len(connections) == 1:
            connection.transport.abort()
        await connection.wait_closed()

    with websocket(cut_after_a_second) as port:
        summary = probers.run(2.5, f"http://127.0.0.1:{port}/", {"websocket": 10.0})
    assert len(connections) == 2
    assert summary["total"]["failed"] == 1, summary["failures"]
    assert summary["failures"][0]["client"] == "websocket"
    assert unix(summary["failures"][0]["at"]) == pytest.approx(connections[0] + 1.05, abs=0.2)
    assert summary["total"]["answers"] == {"pong": summary["total"]["requests"] - 1}
    assert summary["versions"][0]["version"] == "7"


@pytest.mark.parametrize(("code", "failed"), [(1012, 0), (1001, 0), (1011, 1)])
def test_a_close_frame_in_order_is_no_failure(probers, code, failed):
    connections = []

    async def close_once(connection):
        connections.append(connection)
        await asyncio.sleep(0.75)
        if len(connections) == 1:
            await connection.close(code)
        await connection.wait_closed()

    with websocket(close_once) as port:
        summary = probers.run(2, f"ws://127.0.0.1:{port}/".replace("ws", "http"), {"websocket": 5.0})
    assert summary["total"]["closes"] == {str(code): 1}
    assert summary["total"]["failed"] == failed
    assert len(connections) == 2, "it was opened anew"


def test_it_ends_by_itself(probers):
    with listening(http(lambda number: Answer(), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 20.0}, max_duration=1.0)
        time.sleep(1.6)
        assert control.running() is None
        summary = control.summary()
    assert summary["ended_because"] == "max_duration"
    assert summary["seconds"] == pytest.approx(1, abs=0.1)
    assert summary["total"]["requests"] in (20, 21)


def test_what_a_killed_prober_saw_is_kept(probers):
    with listening(http(lambda number: Answer(), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 50.0})
        time.sleep(2.2)
        os.kill(control.running(), signal.SIGKILL)
        time.sleep(0.1)
        assert control.running() is None
        summary = control.summary()
    assert summary["ended_because"] == "killed"
    assert summary["total"]["requests"] >= 50
    assert summary["total"]["failed"] == 0


def test_a_window_counts_only_what_is_recent(probers):
    with listening(http(lambda number: Answer(status=500 if number <= 50 else 200), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 50.0})
        time.sleep(4.2)
        recent, whole = control.summary(window=2), control.summary()
    assert recent["running"]
    assert recent["total"]["failed"] == 0
    assert recent["total"]["rate"] == pytest.approx(50, rel=0.1)
    assert 1 <= recent["seconds"] <= 3.1
    assert whole["total"]["failed"] == 50


def test_requests_under_way_are_waited_for(probers):
    with listening(http(lambda number: Answer(delay=0.8), [])) as port:
        summary = probers.run(0.5, f"http://127.0.0.1:{port}/", {"fresh": 20.0})
    assert summary["total"]["failed"] == 0
    assert summary["total"]["requests"] in (10, 11)


def test_the_packed_code_needs_nothing_of_ours(tmp_path):
    """Ansible removes the module's code when the module ends: the prober must not miss it."""
    archive = pack(tmp_path / "prober.pyz")
    found = subprocess.run(
        [sys.executable, "-I", str(archive), str(tmp_path)], cwd="/", capture_output=True, text=True, check=False
    )
    assert "plan.json" in found.stderr  # it got as far as wanting its plan
    assert "ModuleNotFoundError" not in found.stderr


def test_nothing_of_the_caller_stays_open(probers, tmp_path):
    """Ansible's connection waits until whoever has its output open has closed it."""
    with listening(http(lambda number: Answer(), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 1.0})
        process = control.running()
        opened = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
    ours = {str(tmp_path / "traffic" / "test-0" / name) for name in ("lock", "journal.jsonl", "errors.log")}
    assert {path for path in opened if path.startswith("/") and not path.startswith("/dev/null")} == ours
    assert os.getsid(process) == process
