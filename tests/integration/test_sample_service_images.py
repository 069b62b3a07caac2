"""The sample service's images, as containers: each good and bad release behaves as its version promises."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import websockets
from machine import until
from websockets.sync.client import connect

IMAGE = "slipway/sample-service"
KILLED = 137  # the exit code of what did not end when it was told to


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@dataclass
class Container:
    name: str
    port: int = 0

    def request(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def status(self, path: str) -> int | None:
        try:
            return self.request(path)[0]
        except OSError:
            return None

    def wait(self, path: str = "/health", status: int = 200, deadline: float = 60) -> None:
        end = time.monotonic() + deadline
        while self.status(path) != status:
            assert time.monotonic() < end, docker("logs", self.name)
            time.sleep(0.05)

    @property
    def exit_code(self) -> int:
        return int(docker("inspect", "--format={{.State.ExitCode}}", self.name))

    def logs(self) -> list[dict]:
        return [json.loads(line) for line in docker("logs", self.name).splitlines()]


class Containers:
    def __init__(self) -> None:
        self.names: list[str] = []

    def run(self, version: str, *command: str, options: tuple[str, ...] = (), **environment: str) -> Container:
        """A container as the role `app` runs them: read-only, without capabilities."""
        name = f"slipway-sample-{uuid.uuid4().hex[:8]}"
        self.names.append(name)
        hardening = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        publish = "--publish=127.0.0.1::8000"
        docker(
            "run",
            "--detach",
            f"--name={name}",
            publish,
            *hardening,
            *options,
            *variables,
            f"{IMAGE}:{version}",
            *command,
        )
        published = docker("port", name, "8000", check=False)
        return Container(name, int(published.rpartition(":")[2] or 0))


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    made = Containers()
    yield made
    for name in made.names:
        docker("rm", "--force", "--volumes", name)


@pytest.fixture(scope="module")
def good(containers: Containers) -> Container:
    container = containers.run("1.0.0", SERVICE_COLOUR="blue", INSTANCE_ID="app1-1")
    container.wait()
    return container


def test_it_says_who_it_is(good):
    status, headers, body = good.request("/version")
    assert status == 200
    assert json.loads(body) == {"service": "sample", "version": "1.0.0", "colour": "blue", "instance": "app1-1"}
    assert headers["x-service-version"] == "1.0.0"


@pytest.mark.parametrize("path", ["/health", "/ready", "/api/health", "/api/health/detailed", "/"])
def test_a_good_release_is_healthy(good, path):
    assert good.status(path) == 200


def test_the_request_id_is_kept_and_logged(good):
    assert good.request("/version", **{"X-Request-ID": "id-of-mine"})[1]["x-request-id"] == "id-of-mine"
    assert until(lambda: "id-of-mine" in docker("logs", good.name))
    (line,) = [line for line in good.logs() if line.get("request_id") == "id-of-mine"]
    assert (line["method"], line["path"], line["status"], line["instance"]) == ("GET", "/version", 200, "app1-1")


def test_items_are_stored(good):
    status, headers, _body = good.request("/items", "안녕".encode())
    assert status == 201
    assert json.loads(good.request(headers["location"])[2])["body"] == "안녕"
    assert good.status("/items/unknown") == 404
    assert good.request("/items", b"\xff")[0] == 400
    assert good.request("/items", b"x" * (1024 * 1024 + 1))[0] == 413


def test_work_takes_its_time(good):
    before = time.monotonic()
    assert good.status("/work?ms=300") == 200
    assert time.monotonic() - before >= 0.3
    assert [good.status(f"/work?ms={wrong}") for wrong in ("x", "-1", "nan", "9999999")] == [400] * 4


def test_stream_sends_as_it_goes(good):
    with urllib.request.urlopen(f"http://127.0.0.1:{good.port}/stream?n=3&ms=10", timeout=30) as response:
        assert len([line for line in response if line.startswith(b"data:")]) == 3
    # The first event of a stream that goes on for minutes is there before its end.
    with urllib.request.urlopen(f"http://127.0.0.1:{good.port}/stream?n=3&ms=60000", timeout=30) as response:
        assert next(line for line in response if line.strip()).startswith(b"data:")


def test_metrics(good):
    good.status("/items/one")
    good.status("/items/two")
    text = good.request("/metrics")[2].decode()
    assert 'http_requests_total{method="GET",path="/items/{key}",status="404"}' in text
    assert "/items/two" not in text
    assert 'http_request_duration_seconds_bucket{le="0.5",method="GET",path="/version"}' in text
    assert 'service_info{colour="blue",instance="app1-1",version="1.0.0"} 1.0' in text


def test_tokens(containers, good, tmp_path):
    assert good.status("/api/models") == good.status("/api/users") == 401
    assert good.request("/api/models", Authorization="Bearer ")[0] == 401
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)
    secured = containers.run("1.0.0", options=(f"--volume={token}:/run/secrets/api_token:ro",))
    secured.wait()
    assert secured.status("/api/models") == 401
    assert secured.request("/api/models", Authorization="Bearer s3cret")[0] == 200
    assert "s3cret" not in docker("logs", secured.name)


def test_the_websocket_echoes(good):
    with connect(f"ws://127.0.0.1:{good.port}/ws") as socket:
        assert json.loads(socket.recv())["version"] == "1.0.0"
        socket.send("hello")
        assert socket.recv() == "hello"


def test_ports_come_from_the_environment(containers):
    container = containers.run("2.0.0", options=("--publish=127.0.0.1::9090",), METRICS_PORT="9090")
    container.wait()
    metrics = Container(container.name, int(docker("port", container.name, "9090").rpartition(":")[2]))
    assert b'version="2.0.0"' in metrics.request("/metrics")[2]
    assert container.status("/metrics") == 404, "metrics are off the public port"
    assert docker("exec", container.name, "sample-service", "healthcheck").endswith("200")


def test_it_runs_as_nobody_in_particular(good):
    assert docker("exec", good.name, "id", "-u") == "10001"


def test_3_0_0_fails_its_health(containers):
    container = containers.run("3.0.0")
    container.wait(status=503)
    assert container.status("/ready") == 503
    assert container.status("/version") == 200
    checked = subprocess.run(["docker", "exec", container.name, "sample-service", "healthcheck"], check=False)
    assert checked.returncode == 1


def test_3_1_0_leaks_errors_while_it_claims_to_be_healthy(containers):
    container = containers.run("3.1.0")
    container.wait()
    statuses = [container.status("/version") for _ in range(50)]
    assert statuses.count(500) == 10
    assert {container.status("/ready") for _ in range(10)} == {200}


def test_3_2_0_is_slow(containers):
    container = containers.run("3.2.0")
    container.wait()
    before = time.monotonic()
    assert container.status("/version") == 200
    assert time.monotonic() - before >= 1.5


def test_3_3_0_never_starts(containers):
    container = containers.run("3.3.0")
    assert docker("wait", container.name) == "1"


def test_a_slow_start_can_be_stopped(containers):
    container = containers.run("1.0.0", START_DELAY="60")
    assert until(container.logs)
    assert container.logs()[0]["message"] == "starting slowly"
    assert container.status("/health") is None
    docker("stop", "--time=20", container.name)
    assert container.exit_code != KILLED


def test_a_wrong_setting_ends_it_with_a_reason(containers):
    container = containers.run("1.0.0", LATENCY_MS="much")
    assert docker("wait", container.name) == "1"
    logs = subprocess.run(["docker", "logs", container.name], capture_output=True, text=True, check=True)
    assert logs.stderr.strip() == "sample-service: LATENCY_MS='much' is not a number"


def test_it_stops_without_losing_what_is_under_way(containers):
    """Not ready first, still answering; then what runs is finished, and the WebSocket is told to come again."""
    container = containers.run("1.0.0", DRAIN_TIME="4")
    container.wait()
    finished: list[int | None] = []
    slow = threading.Thread(target=lambda: finished.append(container.status("/work?ms=6000")))

    async def watch_websocket() -> int:
        async with websockets.connect(f"ws://127.0.0.1:{container.port}/ws") as socket:
            connected.set()
            await socket.wait_closed()
            return socket.close_code or 0

    codes: list[int] = []
    connected = threading.Event()
    watcher = threading.Thread(target=lambda: codes.append(asyncio.run(watch_websocket())))
    slow.start()
    watcher.start()
    assert connected.wait(60)
    stopping = threading.Thread(target=docker, args=("stop", "--time=40", container.name))
    stopping.start()
    container.wait("/ready", 503)
    assert container.status("/version") == 200, "it still answers while the proxy has not noticed"
    assert container.request("/version")[1]["connection"] == "close"
    for thread in (slow, watcher, stopping):
        thread.join(60)
    assert finished == [200]
    assert codes == [1012]
    assert container.exit_code == 0


def test_a_request_that_never_ends_does_not_hold_up_the_stop(containers):
    container = containers.run("1.0.0", DRAIN_TIME="0", STOP_TIMEOUT="1")
    container.wait()
    threading.Thread(target=container.status, args=("/work?ms=60000",), daemon=True).start()
    time.sleep(0.3)
    docker("stop", "--time=20", container.name)
    assert container.exit_code != KILLED


def test_the_worker_works_on_what_the_service_stores(containers):
    name = f"slipway-sample-{uuid.uuid4().hex[:8]}"
    volume = f"--volume={name}:/data"
    container = containers.run("1.0.0", options=(volume,))
    container.wait()
    worker = containers.run("1.0.0", "worker", options=(volume, "--publish=127.0.0.1::9093"), WORKER_INTERVAL="0.1")
    location = container.request("/items", b"abc")[1]["location"]
    deadline = time.monotonic() + 60
    while (digest := json.loads(container.request(location)[2])["sha256"]) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    metrics = Container(worker.name, int(docker("port", worker.name, "9093").rpartition(":")[2]))
    assert b'worker_jobs_total{result="done"} 1.0' in metrics.request("/metrics")[2]
    docker("stop", "--time=10", worker.name)
    assert docker("inspect", "--format={{.State.ExitCode}}", worker.name) == "0"
    docker("rm", "--force", container.name, worker.name)
    docker("volume", "rm", name)
