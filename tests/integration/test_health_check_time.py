"""Deadlines, timeouts, attempts: however bad the servers are, a run of health checks ends when it should."""

from __future__ import annotations

import asyncio
import threading

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from health_servers import (
    ONCE,
    answering,
    check,
    request_head,
    silent,
)


def test_a_check_is_tried_again_until_it_is_healthy(servers):
    requests = []

    async def ready_later(reader, writer):
        requests.append(await request_head(reader))
        status = "200 OK" if len(requests) > 3 else "503 Not Yet"
        writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())

    url = f"http://127.0.0.1:{servers.start(ready_later)}/"
    result = check(Pace(deadline=300, interval=0.1, timeout=60), kind="http", url=url)
    assert (result.verdict, len(requests)) == ("pass", 4)
    assert result.took >= 3 * 0.1


def test_the_deadline_cuts_a_longer_timeout(servers):
    pace = Pace(deadline=0.4, interval=0.1, timeout=600)
    result = check(pace, kind="http", url=f"http://127.0.0.1:{servers.start(silent)}/")
    assert result.verdict == "fail"
    assert "then the deadline had passed" in result.reason


def test_an_attempt_that_the_deadline_cuts_does_not_hide_the_reason(servers):
    """Nobody answers from the second attempt on; the first has said what is wrong."""
    requests = []

    async def hanging_after_the_first(reader, writer):
        requests.append(await request_head(reader))
        if len(requests) > 1:
            await asyncio.sleep(60)
        writer.write(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 16\r\n\r\nno database here")

    url = f"http://127.0.0.1:{servers.start(hanging_after_the_first)}/"
    result = check(Pace(deadline=5, interval=0.1, timeout=600), kind="http", url=url)
    assert len(requests) == 2
    assert (result.verdict, result.measured) == ("fail", 503)
    assert result.reason == "it answered 503, wanted 200; it said: no database here (attempt 1 of 2)"


def test_a_check_may_have_its_own_deadline(servers):
    result = check(
        Pace(deadline=600, interval=0.1, timeout=0.2),
        kind="http",
        url=f"http://127.0.0.1:{servers.start(silent)}/",
        deadline="500ms",
    )
    assert result.verdict == "fail"
    assert result.took < 600


def test_a_thousand_checks_of_which_half_hang_each_have_their_verdict(servers):
    good, bad = servers.start(answering()), servers.start(silent)
    ports = [bad if number % 2 else good for number in range(1000)]
    urls = [
        {"kind": "http", "url": f"http://127.0.0.1:{port}/", "timeout": 0.5 if port == bad else 60} for port in ports
    ]
    results = run(define(urls, KINDS), Pace(deadline=0, concurrency=200), "host1")
    assert [result.verdict for result in results] == ["fail" if port == bad else "pass" for port in ports]


def test_what_never_got_its_turn_says_so(servers):
    url = f"http://127.0.0.1:{servers.start(silent)}/"
    pace = Pace(deadline=0.5, timeout=600, concurrency=1)
    results = run(define([{"kind": "http", "url": url}] * 3, KINDS), pace, "h")
    assert [result.verdict for result in results] == ["fail", "unknown", "unknown"]
    assert "never tried" in str(results[2].reason)


def test_blocking_work_is_left_behind_at_the_deadline(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr("os.statvfs", lambda path: released.wait(600))
    assert check(Pace(deadline=0.3, timeout=600), kind="disk").verdict == "fail"
    assert not released.is_set()
    released.set()


def test_results_keep_the_order_of_the_checks(servers):
    ports = [servers.start(answering(delay=delay)) for delay in (0.3, 0.0, 0.15)]
    results = run(define([{"kind": "http", "url": f"http://127.0.0.1:{p}/"} for p in ports], KINDS), ONCE, "host1")
    assert [result.subject for result in results] == [f"http://127.0.0.1:{port}/" for port in ports]


def test_no_more_attempts_at_once_than_allowed(servers):
    running = peak = 0

    async def counting(reader, writer):
        nonlocal running, peak
        await request_head(reader)
        running += 1
        peak = max(peak, running)
        while peak < 7:  # nobody goes before the seventh is there
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # for one too many to come
        running -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    url = f"http://127.0.0.1:{servers.start(counting)}/"
    run(define([{"kind": "http", "url": url}] * 30, KINDS), Pace(deadline=300, timeout=300, concurrency=7), "host1")
    assert peak == 7
