"""A release that is live is watched by its hosts, and they go back from a bad one though nobody controls them; in this
order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from containers import have_sample, shell
from playbook import Run, attempt, module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
EDGES, APPS = ("edge1", "edge2"), ("app1", "app2")
VERSIONS = ("1.0.0", "2.0.0", "3.1.0")
UNIT = "slipway-bake@sample.service"
PATIENCE = 120  # seconds: a machine that runs other tests too may be slow


def on(host: str, command: str) -> str:
    return shell(f"slipway-bake-{host}", command)


@pytest.fixture(autouse=True)
def images() -> None:
    have_sample([f"slipway-bake-{app}" for app in APPS], VERSIONS)


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, **variables)


def live() -> list[str]:
    """The set that each edge serves with."""
    return [on(edge, "grep '^sample ' /var/lib/slipway/haproxy/live.map").split()[1] for edge in EDGES]


def standing(host: str) -> dict[str, Any]:
    return json.loads(on(host, "cat /var/lib/slipway/bake/sample.standing.json"))


def states() -> list[str]:
    return [standing(host)["state"] for host in (*EDGES, *APPS)]


def eventually(so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        told = {host: on(host, f"journalctl -u {UNIT} -n 5 --no-pager -o cat") for host in (*EDGES, *APPS)}
        assert time.monotonic() < deadline, f"{what}: {told}"
        time.sleep(0.2)


def left(host: str, identifier: str) -> dict[str, Any]:
    """The newest result of an id that a host left for the evidence store."""
    lines = on(host, "cat /var/lib/slipway/results/*.jsonl").splitlines()
    return next(record for record in map(json.loads, reversed(lines)) if record["id"] == identifier)


def containers(version: str) -> list[str]:
    ask = f"docker ps --quiet --filter label=slipway.version={version} --filter label=slipway.role=instance"
    return [on(app, ask) for app in APPS]


def workers(app: str) -> list[str]:
    """The versions whose workers run."""
    ask = "docker ps --filter label=slipway.role=worker --format '{{.Label \"slipway.version\"}}'"
    return on(app, ask).split()


def went_back() -> dict[str, Any]:
    """What health says of it on each app host."""
    check = {"id": "delivery.bake.kept", "kind": "release", "part": "bake", "service": "sample"}
    _code, results = attempt(INVENTORY, "app", "slipway.ops.health_check", {"checks": [check]})
    return {app: results[app]["results"][0] for app in APPS}


def test_the_first_release_has_nothing_to_go_back_to_and_does_not_bake() -> None:
    run = deploy("1.0.0")
    assert run.code == 0 and "the hosts watch it" not in run.said, run.output


def test_a_good_release_passes() -> None:
    run = Run("deploy", INVENTORY, service="sample", version="2.0.0", bake_seconds=40, deploy_watch_seconds=30)
    assert run.until("6/8 Watch"), run.output
    shown, refused = play("unlock", INVENTORY), play("unlock", INVENTORY, service="sample")
    assert shown.code == 0 and "edge1: sample" in shown.said and shown.changed == 0, shown.output
    assert refused.code != 0 and "unlock_force" in refused.said and "Traceback" not in refused.said, refused.output
    assert run.end().code == 0 and "the hosts watch it for 40 s" in run.said, run.output
    eventually(lambda: "baking" not in states(), "not over")
    assert "passed" in states()
    for host in (*EDGES, *APPS):
        ended, result = standing(host), left(host, "delivery.bake.result")
        if ended["state"] == "passed":
            assert result["verdict"] == "pass"
        else:  # a busy machine kept it from looking
            assert ended["state"] == result["verdict"] == "unknown" and "measured something for" in ended["reason"]
    assert json.loads(on("edge1", "curl -s http://127.0.0.1:18000/version"))["version"] == "2.0.0"
    assert {result["verdict"] for result in went_back().values()} == {"pass"}
    assert on("edge1", f"systemctl show -P ActiveState {UNIT}").strip() == "inactive"


def test_a_bad_release_is_left_by_all_edges_though_the_controller_is_gone() -> None:
    good, warm = live(), containers("2.0.0")
    run = Run(
        "deploy",
        INVENTORY,
        service="sample",
        version="3.1.0",
        deploy_watch_seconds=300,
        deploy_watch_error_rate=100,
    )
    assert run.until("6/8 Watch"), run.output
    run.kill()
    assert live() != good
    began = time.monotonic()
    eventually(lambda: live() == good, "the edges did not go back")
    print(f"back {time.monotonic() - began:.1f} s after the controller was killed")
    eventually(lambda: states() == ["rolled_back"] * 4, "not over")
    took = [left(edge, "delivery.bake.rollback") for edge in EDGES]
    print("seconds from the trigger to the switch:", [record["measured"] for record in took])
    assert all(record["verdict"] == "pass" and record["limit"] == "<= 10" for record in took), took
    assert all("of the requests to sample fail, over 5 % for 6 s" in standing(edge)["reason"] for edge in EDGES)
    assert containers("2.0.0") == warm, "it was warm, nothing was started"
    assert all(workers(app) == ["2.0.0"] for app in APPS)
    told = went_back()
    assert all("3.1.0 was rolled back by its bake" in result["reason"] for result in told.values()), told
    opened = play("unlock", INVENTORY, service="sample")
    assert opened.code == 0 and "edge1: sample: opened" in opened.said, opened.output
    assert "edge1: nothing is locked" in play("unlock", INVENTORY).said
    again = deploy("2.0.0")
    assert again.code == 0 and "3.1.0 was rolled back by its bake" in again.said, again.output
    assert on("edge1", "ls /run/slipway/traffic").split() in ([], ["deploy-sample"])


def test_what_an_app_host_sees_every_edge_follows() -> None:
    good = live()
    run = deploy("1.0.0", bake_cpu=0.0001)
    assert run.code == 0 or "by its bake" in run.said, run.output
    eventually(lambda: live() == good and set(states()) <= {"rolled_back", "cancelled"}, "the edges did not go back")
    assert "of its processors, over 0.0001 % for 3 s" in run.said + standing("edge1")["reason"], run.output


def test_another_release_waits_a_watcher_that_dies_watches_again_and_a_rollback_ends_the_bake() -> None:
    run = deploy("1.0.0")
    assert run.code == 0 and states() == ["baking"] * 4, run.output
    warm = containers("2.0.0")
    other = deploy("3.1.0")
    assert other.code != 0 and "1.0.0 bakes until" in other.said and "Nothing was changed" in other.said, other.output
    assert containers("2.0.0") == warm and all(warm)
    on("edge1", f"systemctl kill --signal=KILL {UNIT}")
    eventually(lambda: on("edge1", f"systemctl show -P NRestarts {UNIT}").strip() == "1", "not started again")
    eventually(lambda: "bake-sample" in on("edge1", "ls /run/slipway/traffic"), "nothing is probed")
    assert standing("edge1")["state"] == "baking"
    back = play("rollback", INVENTORY, service="sample")
    assert back.code == 0, back.output
    assert states() == ["cancelled"] * 4 and "rollback" in standing("app1")["reason"]
    assert [on(host, f"systemctl is-active {UNIT} || true").strip() for host in EDGES] == ["inactive"] * 2
    assert "bake-sample" not in on("edge1", "ls /run/slipway/traffic")


def test_nobody_without_the_key_makes_a_release_go_back() -> None:
    run = deploy("1.0.0")
    assert run.code == 0, run.output
    good = live()
    forged = json.dumps({"run": standing("app1")["run"], "reason": "forged", "by": "mallory", "edges": {}})
    board = json.loads(on("app1", "cat /var/lib/slipway/bake/sample.order.json"))["board"]
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'X-Slipway-Signature: 00' -d '{forged}' http://{board}/"
    assert on("edge1", ask) == "403"
    time.sleep(3)  # longer than an edge takes to hear
    assert live() == good and states() == ["baking"] * 4
    modes = on("edge1", "stat -c %a /var/lib/slipway/bake/sample.order.json").strip()
    assert modes == "600"
    module(INVENTORY, "all", "slipway.ops.release_bake", state="cancelled", service="sample", run="test")


TALK = """
import base64, os, socket, time
talk = socket.create_connection(("127.0.0.1", 18000))
key = base64.b64encode(os.urandom(16)).decode()
talk.sendall(f"GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
             f"Sec-WebSocket-Key: {key}\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n".encode())
assert b" 101 " in talk.recv(4096)
for number in range(900):
    talk.sendall(bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi")
    frames = talk.recv(4096)
    assert frames
    while frames:
        kind, payload = frames[0], frames[2 : 2 + frames[1]]
        if kind == 0x89:  # a ping: who does not answer is cut by the service
            talk.sendall(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        frames = frames[2 + len(payload) :]
    open("/tmp/talked", "w").write(str(number))
    time.sleep(1)
"""


def test_an_open_websocket_does_not_hold_a_release_and_talks_on() -> None:
    on("edge1", f"cat > /tmp/talk.py <<'EOF'\n{TALK}\nEOF")
    on("edge1", "systemd-run --quiet --unit talk python3 /tmp/talk.py")
    eventually(lambda: on("edge1", "cat /tmp/talked 2>/dev/null || true") != "", "nobody talks")
    run = deploy("2.0.0", bake_seconds=0, deploy_drain_timeout=300)
    assert run.code == 0 and "1 WebSocket drains on" in run.said, run.output
    talked = int(on("edge1", "cat /tmp/talked"))
    eventually(lambda: int(on("edge1", "cat /tmp/talked")) > talked + 2, "it was cut")
    on("edge1", "systemctl stop talk")


ASK = "curl --silent --output /dev/null --write-out '%{http_code}\\n' --resolve shop.test:80:127.0.0.1"


def test_a_service_is_retired_while_it_bakes_and_people_ask_for_it() -> None:
    """Who watches it would go back to the release before; who asks is served until the site is gone."""
    run = deploy("1.0.0")
    assert run.code == 0 and states() == ["baking"] * 4, run.output
    ask = f"while sleep 0.1; do {ASK} http://shop.test/version >> /tmp/codes; done"
    on("edge1", f"cat > /tmp/ask.sh <<'EOF'\n{ask}\nEOF\nsystemd-run --quiet --unit ask sh /tmp/ask.sh")
    eventually(lambda: on("edge1", "tail -n 1 /tmp/codes 2>/dev/null || true").strip() == "200", "nobody is served")
    run = play("retire", INVENTORY, service="sample", app_services=[], nginx_sites=[])
    on("edge1", "systemctl stop ask")
    assert run.code == 0 and "app1: removed containers sample-" in run.said, run.output
    codes = on("edge1", "cat /tmp/codes").split()
    served = [code == "200" for code in codes]
    assert served == sorted(served, reverse=True) and "000" in codes and set(codes) == {"200", "000"}, codes
    assert [on(host, f"systemctl is-active {UNIT} || true").strip() for host in (*EDGES, *APPS)] == ["inactive"] * 4
    assert on("edge1", "ls /run/slipway/traffic").split() in ([], ["deploy-sample"])
    assert [on(app, "docker ps --all --quiet --filter label=slipway.service=sample") for app in APPS] == ["", ""]
    newest = {}
    for line in on("edge1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines():
        record = json.loads(line)
        newest[record["id"], record["subject"]] = record["verdict"]
    assert {verdict for (_id, subject), verdict in newest.items() if subject.split()[0] == "sample"} == {"skip"}
    again = play("retire", INVENTORY, service="sample", app_services=[], nginx_sites=[])
    assert again.code == 0 and "app1: nothing was to do" in again.said, again.output
