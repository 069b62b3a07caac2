"""The prober, as the process it is, against real local services that misbehave in known ways."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
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

    def run(self, done: int | Callable[[], Any], url: str, rates: dict[str, float], **options: Any) -> dict[str, Any]:
        """What a prober saw that was stopped after so many requests, or when `done` says so."""
        control = self.start(url, rates, **options)
        until((lambda: seen(control)["requests"] >= done) if isinstance(done, int) else done)
        control.stop()
        return control.summary()


def seen(control: Control) -> dict[str, Any]:
    """What the prober has written down so far, a second ago at most."""
    return control.summary()["total"]


def until(done: Callable[[], Any]) -> None:
    """Waits for what must come. How long that takes is the machine's business and proves nothing."""
    give_up = time.monotonic() + 120
    while not done():
        assert time.monotonic() < give_up, "what must come has not come"
        time.sleep(0.05)


@pytest.fixture
def probers(tmp_path: Path) -> Iterator[Probers]:
    made = Probers(tmp_path / "traffic")
    yield made
    for control in made.started:
        control.remove()


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def test_a_good_service_has_no_failures(probers):
    heads: list[bytes] = []
    methods: set[bytes] = set()

    def answer(number: int) -> Answer:
        methods.add(heads[-1].split()[0])
        return Answer(chunked=number % 2 == 0)

    with listening(http(answer, heads)) as port:
        rates = {"keep_alive": 40.0, "fresh": 20.0, "post": 20.0}
        enough = lambda: len(heads) > 100 and len(methods) == 2  # noqa: E731
        url = f"http://127.0.0.1:{port}/x?y=1"
        summary = probers.run(enough, url, rates, headers={"X-Test": "yes"}, connections=4)
    assert summary["total"]["failed"] == 0, summary["failures"]
    assert summary["total"]["requests"] == len(heads)
    assert summary["ended_because"] == "stopped"
    assert summary["clients"]["post"]["answers"] == {"200": summary["clients"]["post"]["requests"]}
    assert all(b"X-Test: yes\r\n" in head and b" /x?y=1 HTTP/1.1" in head for head in heads)
    assert methods == {b"GET", b"POST"}


def test_a_rate_neither_waits_for_answers_nor_is_exceeded(probers):
    """No answer comes before 20 requests wait for theirs: who waits for answers would wait for ever."""
    heads: list[bytes] = []
    with listening(http(lambda number: Answer(hold=lambda: len(heads) < 20), heads)) as port:
        summary = probers.run(100, f"http://127.0.0.1:{port}/", {"keep_alive": 50.0}, timeout=60.0)
    assert summary["total"]["failed"] == 0
    assert summary["total"]["requests"] <= 50 * summary["seconds"] + 1


@pytest.mark.parametrize("client", ["keep_alive", "post", "fresh"])
def test_each_reset_is_counted_exactly(probers, client):
    heads: list[bytes] = []
    with listening(http(lambda number: Answer(cut=number % 50 == 0), heads)) as port:
        summary = probers.run(lambda: len(heads) > 150, f"http://127.0.0.1:{port}/", {client: 100.0})
    assert summary["total"]["requests"] == len(heads), "nothing is sent twice"
    assert summary["total"]["failed"] == len(heads) // 50
    assert set(summary["reasons"]) == {"connection reset before the answer was complete"}


def test_a_connection_closed_between_requests_is_no_failure(probers):
    heads: list[bytes] = []
    with listening(http(lambda number: Answer(unannounced=True), heads)) as port:
        url = f"http://127.0.0.1:{port}/"
        summary = probers.run(lambda: len(heads) > 20, url, {"post": 20.0}, connections=4)
    assert summary["total"]["failed"] == 0, summary["failures"]
    assert summary["total"]["closes"]["idle"] > 0
    assert summary["total"]["requests"] == len(heads)


def test_an_announced_close_is_honoured(probers):
    with listening(http(lambda number: Answer(close=number % 2 == 0), [])) as port:
        summary = probers.run(100, f"http://127.0.0.1:{port}/", {"post": 200.0}, connections=1)
    assert summary["total"]["failed"] == 0, summary["reasons"]
    assert summary["total"]["closes"] == {}


def test_errors_of_the_service_are_counted_by_status(probers):
    heads: list[bytes] = []
    with listening(http(lambda number: Answer(status=503 if number % 5 == 0 else 200), heads)) as port:
        summary = probers.run(lambda: len(heads) >= 50, f"http://127.0.0.1:{port}/", {"keep_alive": 100.0})
    failed = len(heads) // 5
    assert summary["total"]["answers"]["503"] == summary["total"]["failed"] == failed
    assert summary["total"]["error_rate"] == pytest.approx(100 * failed / len(heads), abs=0.01)
    assert summary["reasons"] == {"HTTP 503": failed}


def test_success_is_what_the_operator_says(probers):
    with listening(http(lambda number: Answer(status=401), [])) as port:
        summary = probers.run(5, f"http://127.0.0.1:{port}/", {"keep_alive": 50.0}, success_codes=[401])
    assert summary["total"]["failed"] == 0


def test_a_restart_in_the_middle_shows_as_failures_with_their_time(probers):
    heads: list[bytes] = []
    with listening(http(lambda number: Answer(version="1.0.0"), heads)) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 100.0, "fresh": 50.0})
        until(lambda: len(heads) > 50)
        closing = time.time()
    down = time.time()
    until(lambda: "connection refused" in control.summary()["reasons"])
    opening = time.time()
    heads.clear()
    with listening(http(lambda number: Answer(version="2.0.0"), heads), port=port):
        up = time.time()
        until(lambda: len(heads) > 50)
        control.stop()
        summary = control.summary()
    rounding = 0.01
    spans = [(unix(failure["at"]), unix(failure["at"]) + failure["after"]) for failure in summary["failures"]]
    assert [span for span in spans if span[1] < closing - rounding or span[0] > up + rounding] == []
    assert summary["total"]["longest_gap"] >= opening - down - rounding
    old, new = summary["versions"]
    assert (old["version"], new["version"]) == ("1.0.0", "2.0.0")
    assert unix(old["last"]) < unix(new["first"])
    assert unix(new["first"]) >= opening - rounding
    assert old["responses"] + new["responses"] == sum(summary["total"]["answers"].values())


def test_percentiles_of_known_delays(probers):
    """What was waited is in them; how close they come to numbers is a test of the tally."""
    delays = [0.02] * 80 + [0.1] * 15 + [0.3] * 5
    with listening(http(lambda number: Answer(delay=delays[number % 100]), [])) as port:
        summary = probers.run(100, f"http://127.0.0.1:{port}/", {"keep_alive": 100.0}, connections=50)
    latency = summary["total"]["latency"]
    assert latency["p50"] >= 0.99 * 20
    assert latency["p95"] >= 0.99 * 100
    assert latency["max"] >= 0.99 * 300
    assert latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]


def test_a_stall_cannot_hide(probers):
    """A closed loop would see one slow request, and this stall for ever; an open one sends what is due meanwhile."""
    heads: list[bytes] = []
    stall: list[float] = []

    def stalled() -> bool:
        stall.append(time.monotonic())
        return len(heads) < 100 or stall[-1] - stall[0] < 0.5

    def answer(number: int) -> Answer:
        return Answer(hold=stalled if 50 <= number <= 100 else None)

    with listening(http(answer, heads)) as port:
        url = f"http://127.0.0.1:{port}/"
        summary = probers.run(lambda: len(heads) > 120, url, {"keep_alive": 100.0}, connections=1, timeout=60.0)
    assert summary["total"]["failed"] == 0
    assert summary["total"]["latency"]["max"] >= 0.99 * 500
    assert summary["total"]["longest_gap"] > 0


def test_an_answer_that_never_comes_fails_at_its_deadline(probers):
    with listening(http(lambda number: Answer(delay=600 if number == 5 else 0), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 20.0}, timeout=2.0)
        until(lambda: seen(control)["failed"])
        control.stop()
        summary = control.summary()
    assert set(summary["reasons"]) == {"no complete answer within 2 s"}
    assert summary["failures"][0]["after"] >= 0.99 * 2
    assert summary["total"]["latency"]["max"] >= 0.99 * 2000


def test_what_is_under_way_is_bounded(probers):
    """A service that takes everything and answers nothing cannot fill the prober's memory, or hide."""
    heads: list[bytes] = []
    not_sent = "not sent: 1000 requests were still waiting for their answers"
    with listening(http(lambda number: Answer(delay=600), heads)) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 900.0}, timeout=8.0)
        until(lambda: not_sent in control.summary()["reasons"])
        under_way = len(heads)
        control.stop()
        summary = control.summary()
    assert set(summary["reasons"]) == {not_sent, "no complete answer within 8 s"}
    assert under_way <= len(heads) <= summary["total"]["requests"] - summary["reasons"][not_sent]
    assert summary["total"]["failed"] == summary["total"]["requests"]


def test_tls_is_verified(probers, tmp_path):
    good, other = authority(tmp_path / "good"), authority(tmp_path / "other")
    expired = authority(tmp_path / "expired", days=-1)
    rates = {"keep_alive": 10.0, "fresh": 10.0}
    with listening(http(lambda number: Answer(), []), good.server_context()) as port:
        named = f"https://service.example.test:{port}/"
        right = probers.run(5, named, rates, address="127.0.0.1", ca_file=str(good.ca_file))
        wrong_ca = probers.run(5, named, rates, address="127.0.0.1", ca_file=str(other.ca_file))
        other_name = {"address": f"127.0.0.1:{port}", "ca_file": str(good.ca_file)}
        wrong_name = probers.run(5, "https://elsewhere.example.test/", rates, **other_name)
        server_name = probers.run(
            5, "https://elsewhere.example.test/", rates, server_name="service.example.test", **other_name
        )
    with listening(http(lambda number: Answer(), []), expired.server_context()) as port:
        late = probers.run(5, f"https://127.0.0.1:{port}/", rates, ca_file=str(expired.ca_file))
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
        plain = probers.run(5, f"http://127.0.0.1:{port}/", {"fresh": 20.0})
        tls = probers.run(5, f"https://127.0.0.1:{port}/", {"fresh": 20.0})
    assert set(plain["reasons"]) == {"the answer is not HTTP/1.1"}
    assert plain["total"]["failed"] == plain["total"]["requests"]
    assert tls["total"]["failed"] == tls["total"]["requests"]
    assert "TLS handshake failed" in next(iter(tls["reasons"]))


def test_http2(probers, tmp_path):
    made = authority(tmp_path / "authority")
    options = {"ca_file": str(made.ca_file)}
    answered: list[int] = []
    with listening(http2(lambda number: Answer(cut=number == 60), answered), made.server_context("h2")) as port:
        url = f"https://127.0.0.1:{port}/"
        summary = probers.run(lambda: len(answered) > 80, url, {"http2": 50.0}, **options)
    # the one that was cut, and others on its connection; a new connection carries on
    assert 1 <= summary["total"]["failed"] <= summary["total"]["requests"] - len(answered), summary["reasons"]
    assert summary["versions"][0]["version"] == "1.0.0"
    with listening(http(lambda number: Answer(), []), made.server_context("http/1.1")) as port:
        summary = probers.run(5, f"https://127.0.0.1:{port}/", {"http2": 20.0}, **options)
    assert set(summary["reasons"]) == {"the service does not offer HTTP/2"}


def test_http2_goodbyes_cost_nothing(probers, tmp_path):
    """As nginx does after a number of requests and when it reloads; some requests are already on their way."""
    made = authority(tmp_path / "authority")
    answered: list[int] = []
    # Two: what was refused three times fails, and a late prober sends more at once than a connection takes.
    handler = http2(lambda number: Answer(close=number in (20, 60)), answered)
    with listening(handler, made.server_context("h2")) as port:
        url = f"https://127.0.0.1:{port}/"
        summary = probers.run(lambda: len(answered) > 100, url, {"http2": 200.0}, ca_file=str(made.ca_file))
    assert summary["total"]["failed"] == 0, summary["reasons"]
    assert summary["total"]["closes"]["goaway"] > 0
    assert summary["total"]["requests"] == len(answered)


def test_http2_recovers_from_a_stall(probers, tmp_path):
    """What took too long is given up; the connection, or a new one, goes on."""
    made = authority(tmp_path / "authority")
    stalls = iter([0.0] * 20 + [3.0])
    with listening(http2(lambda number: Answer(delay=next(stalls, 0.0))), made.server_context("h2")) as port:
        control = probers.start(f"https://127.0.0.1:{port}/", {"http2": 50.0}, ca_file=str(made.ca_file), timeout=1.5)
        until(lambda: seen(control)["failed"])
        before = seen(control)["answers"]["200"]
        until(lambda: seen(control)["answers"]["200"] > before)
        control.stop()
        summary = control.summary()
    assert set(summary["reasons"]) == {"no complete answer within 1.5 s"}
    first = unix(summary["failures"][0]["at"])
    assert unix(summary["versions"][0]["first"]) < first + 1.5 < unix(summary["versions"][0]["last"])


def test_the_cut_of_a_websocket_is_seen(probers):
    cuts: list[float] = []
    connections = []

    async def cut_the_first(connection):
        connections.append(connection)
        await connection.send('{"version": "7"}')
        if len(connections) == 1:
            await asyncio.sleep(1)
            cuts.append(time.time())
            connection.transport.abort()
        await connection.wait_closed()

    with websocket(cut_the_first) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"websocket": 10.0})
        until(lambda: len(connections) == 2)
        before = seen(control)["requests"]
        until(lambda: seen(control)["requests"] > before + 5)
        control.stop()
        summary = control.summary()
    assert len(connections) == 2
    failures = summary["failures"]
    assert summary["total"]["failed"] >= 1
    assert {failure["client"] for failure in failures} == {"websocket"}
    assert all(unix(failure["at"]) + failure["after"] >= cuts[0] - 0.01 for failure in failures)
    assert summary["total"]["answers"]["pong"] >= 5
    assert summary["versions"][0]["version"] == "7"


@pytest.mark.parametrize(("code", "failed"), [(1012, False), (1001, False), (1011, True)])
def test_a_close_frame_in_order_is_no_failure(probers, code, failed):
    connections = []

    async def close_once(connection):
        connections.append(connection)
        if len(connections) == 1:
            await asyncio.sleep(0.75)
            await connection.close(code)
        await connection.wait_closed()

    with websocket(close_once) as port:
        summary = probers.run(lambda: len(connections) == 2, f"http://127.0.0.1:{port}/", {"websocket": 5.0})
    assert summary["total"]["closes"] == {str(code): 1}
    assert (summary["total"]["failed"] > 0) is failed
    assert len(connections) == 2, "it was opened anew"


def test_it_ends_by_itself(probers):
    with listening(http(lambda number: Answer(), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 20.0}, max_duration=1.0)
        until(lambda: control.running() is None)
        summary = control.summary()
    assert summary["ended_because"] == "max_duration"
    assert summary["seconds"] >= 1
    assert 0 < summary["total"]["requests"] <= 20 * summary["seconds"] + 1


def test_what_a_killed_prober_saw_is_kept(probers):
    with listening(http(lambda number: Answer(), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 50.0})
        until(lambda: seen(control)["requests"] >= 50)
        os.kill(control.running(), signal.SIGKILL)
        until(lambda: control.running() is None)
        summary = control.summary()
    assert summary["ended_because"] == "killed"
    assert summary["total"]["requests"] >= 50
    assert summary["total"]["failed"] == 0


def test_a_window_counts_only_what_is_recent(probers):
    with listening(http(lambda number: Answer(status=500 if number <= 50 else 200), [])) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"keep_alive": 50.0})
        until(lambda: seen(control)["failed"] == 50)
        until(lambda: control.summary(window=2)["total"]["failed"] == 0)
        recent, whole = control.summary(window=2), control.summary()
    assert recent["running"]
    assert recent["seconds"] < whole["seconds"]
    assert recent["total"]["requests"] <= whole["total"]["requests"] - 50
    assert whole["total"]["failed"] == 50


def test_requests_under_way_are_waited_for(probers):
    heads: list[bytes] = []
    released = threading.Event()
    with listening(http(lambda number: Answer(hold=lambda: not released.is_set()), heads)) as port:
        control = probers.start(f"http://127.0.0.1:{port}/", {"fresh": 20.0}, timeout=60.0)
        until(lambda: len(heads) >= 10)
        threading.Timer(1, released.set).start()
        control.stop()
        assert released.is_set()
        summary = control.summary()
    assert summary["total"]["failed"] == 0
    assert summary["total"]["requests"] == len(heads)


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
