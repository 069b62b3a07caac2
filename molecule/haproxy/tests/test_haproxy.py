"""Looks at the pools as nginx would, and at switches as clients would, while servers, HAProxy and modules die."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from playbook import ROOT, Run, play

SCENARIO = Path(__file__).parents[1]
INVENTORY = yaml.safe_load((SCENARIO / "inventory.yml").read_text())["all"]["children"]["edge"]["hosts"]["edge1"]
CONTAINER = "slipway-haproxy-edge1"
SAMPLE, WEIGHTED, STICKY, NARROW, FUSE = (f"http://127.0.0.1:{port}" for port in range(18000, 18005))
LOAD = "/root/load.json"


def converge(**variables) -> Run:
    return play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", timeout=300, **variables)


def module(host, name: str, /, **options) -> dict:
    """Run a module over Ansible; its result, also when it fails."""
    try:
        return host.ansible(name, json.dumps(options), check=False)
    except host.ansible.AnsibleException as error:
        return error.result


def runtime(host, command: str) -> str:
    script = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect('/run/haproxy/admin.sock');"
        "s.sendall(sys.argv[1].encode()+b'\\n'); s.shutdown(1);"
        "print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
    )
    return host.check_output("python3 -c %s %s", script, command)


def status(host, server: str) -> str:
    rows = [line.split(",") for line in runtime(host, "show stat").splitlines()]
    return next(row[17] for row in rows if "/".join(row[:2]) == server)


def sessions(host, backend: str) -> int:
    """How many requests are under way there."""
    rows = [line.split(",") for line in runtime(host, "show stat").splitlines()]
    return next(int(row[4]) for row in rows if row[:2] == [backend, "BACKEND"])


def until(condition, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.1)


def fetch(host, url: str, *options: str) -> list[str]:
    """Bodies' first words, one per request; options go to curl."""
    return [line.split()[0] for line in host.check_output(f"curl -sS {' '.join(options)} '{url}'").splitlines()]


def live(host) -> str:
    """The set that answers."""
    return fetch(host, SAMPLE)[0].split("-")[0]


def other(name: str) -> str:
    return {"blue": "green", "green": "blue"}[name]


@pytest.fixture
def mark(host):
    """Put a state file beside an application, and take all of them away afterwards."""
    made = []

    def make(name: str) -> None:
        made.append(f"/run/backends/{name}")
        host.check_output(f"touch {made[-1]}")

    def clear() -> None:
        for path in made:
            host.check_output(f"rm -f {path}")

    make.clear = clear
    yield make
    clear()


@pytest.fixture(autouse=True)
def everything_up(host):
    yield
    until(lambda: ",DOWN," not in runtime(host, "show stat"))


@pytest.fixture
def load(host):
    """Traffic during a test; call it to stop the traffic and get the report."""
    host.check_output(f"rm -f {LOAD} {LOAD}.stop")
    host.check_output(f"systemd-run --quiet --unit=load --collect python3 /srv/load.py 18000 {LOAD}")
    time.sleep(1)

    def stop() -> dict:
        host.check_output(f"touch {LOAD}.stop")
        until(lambda: host.file(LOAD).exists)
        return json.loads(host.file(LOAD).content_string)

    yield stop
    host.check_output(f"touch {LOAD}.stop")
    until(lambda: not host.service("load").is_running)


def test_requests_follow_the_weights(host):
    answers = fetch(host, WEIGHTED + "/[1-40]")
    assert len(answers) == 40
    assert 9 <= answers.count("light-1") <= 11


def test_unhealthy_server_gets_no_request(host, mark):
    mark("light-1.down")
    until(lambda: status(host, "weighted/light").startswith("DOWN"))
    assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"heavy-1"}
    mark.clear()
    until(lambda: status(host, "weighted/light").startswith("UP"))
    assert "light-1" in fetch(host, WEIGHTED + "/[1-20]")


def test_pool_without_healthy_server_answers_at_once(host, mark):
    mark("narrow-1.down")
    until(lambda: status(host, "narrow/narrow").startswith("DOWN"))
    answer = host.check_output(f"curl -sS -i -w '%{{time_total}}' {NARROW}")
    assert answer.startswith("HTTP/1.1 503")
    assert "retry-after: 1" in answer.lower()
    assert float(answer.splitlines()[-1]) < 0.5


def test_request_id_goes_through_and_into_the_log(host):
    identity = f"test-{time.time()}"
    assert host.check_output(f"curl -sS -H 'X-Request-ID: {identity}' {SAMPLE}").split()[1] == identity
    assert len(host.check_output(f"curl -sS {SAMPLE}").split()[1]) == 36
    until(lambda: identity in host.check_output("journalctl -u haproxy -o cat -n 50"))
    lines = host.check_output("journalctl -u haproxy -o cat -n 50").splitlines()
    entry = json.loads(next(line for line in lines if identity in line))
    assert (entry["status"], entry["pool"]) == (200, "sample")
    assert entry["backend"].startswith("sample-")


def test_drained_server_stays_drained_over_a_restart(host):
    options = {"backend": "weighted", "host": "light", "socket": "/run/haproxy/admin.sock"}
    drained = module(host, "community.general.haproxy", state="drain", **options)
    assert drained["changed"], drained
    assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"heavy-1"}
    host.check_output("systemctl restart haproxy")
    assert status(host, "weighted/light").startswith("DRAIN")
    assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"heavy-1"}
    runtime(host, "set server weighted/light state ready")
    assert "light-1" in fetch(host, WEIGHTED + "/[1-20]")


def test_weight_set_at_run_time_outlives_a_kill(host):
    """The timer saves it; the scenario's interval is 5 s."""
    runtime(host, "set server weighted/light weight 0")
    until(lambda: " 0 50 " in host.check_output("grep ' weighted .* light ' /var/lib/slipway/haproxy/server-state"))
    kill_haproxy(host)
    assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"heavy-1"}
    runtime(host, "set server weighted/light weight 100%")


def test_the_inventory_goes_over_the_saved_state_and_the_operator_stays(host, mark):
    """Its address, port, weight and name are the inventory's, over reloads and restarts; a drain is the operator's."""
    for command in ("weighted/light state drain", "weighted/heavy weight 10", "sticky/heavy state drain"):
        runtime(host, f"set server {command}")
    pools = {pool["name"]: pool for pool in INVENTORY["haproxy_pools"]}
    light, heavy = pools["weighted"]["servers"]
    moved = [{**light, "address": "127.0.0.2:9011"}, {**heavy, "weight": 75}]
    renamed = [{**server, "name": f"{server['name']}er"} for server in pools["sticky"]["servers"]]
    pools["weighted"] = {**pools["weighted"], "servers": moved}
    pools["sticky"] = {**pools["sticky"], "servers": renamed}
    assert converge(haproxy_pools=list(pools.values())).code == 0
    for again in ("reload", "restart"):
        assert status(host, "weighted/light").startswith("DRAIN")
        assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"heavy-1"}
        assert set(fetch(host, STICKY + "/[1-10]")) == {"light-1", "heavy-1"}
        host.check_output(f"systemctl {again} haproxy")
    runtime(host, "set server weighted/light state ready")
    answers = host.check_output(f"curl -sS '{WEIGHTED}/[1-25]'").splitlines()
    assert {line.split()[2] for line in answers} == {"127.0.0.2:9011", "127.0.0.1:9022"}
    assert 9 <= sum("127.0.0.2" in line for line in answers) <= 11  # 50 : 75
    mark("green-1.down")
    until(lambda: status(host, "weighted/light").startswith("DOWN"))  # where it is now, its health counts
    mark.clear()
    assert converge().code == 0
    assert set(fetch(host, WEIGHTED + "/[1-20]")) == {"light-1", "heavy-1"}


def kill_haproxy(host) -> None:
    """SIGKILL master and workers; systemd brings it back."""
    before = host.check_output("systemctl show -P MainPID haproxy")
    host.check_output("systemctl kill --signal=SIGKILL haproxy")
    until(lambda: host.check_output("systemctl show -P MainPID haproxy") not in (before, "0"))
    until(lambda: host.check_output("systemctl show -P ActiveState haproxy") == "active")


def test_cookie_keeps_a_client_at_its_server(host):
    headers = host.check_output(f"curl -sSi {STICKY}").splitlines()
    cookie = next(line for line in headers if "set-cookie" in line.lower())
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    first = fetch(host, STICKY, "-c /tmp/jar")
    assert fetch(host, STICKY + "/[1-10]", "-b /tmp/jar") == first * 10
    assert len(set(fetch(host, STICKY + "/[1-10]"))) == 2


def test_queue_is_short_and_says_no_quickly(host):
    answers = host.check_output(
        "curl -sS -Z --parallel-immediate --parallel-max 8 -o /dev/null -w '%%{http_code} %%{time_total}\n' %s",
        f"{NARROW}/[1-8]?ms=3000",
    )
    served = [float(line.split()[1]) for line in answers.splitlines() if line.startswith("200")]
    refused = [float(line.split()[1]) for line in answers.splitlines() if line.startswith("503")]
    assert (len(served), len(refused)) == (1, 7)
    assert max(refused) < served[0]  # after 0.4 s in the queue, not when it would have been their turn


def test_circuit_breaker_takes_out_what_fails_requests_though_its_check_passes(host, mark):
    mark("fuse-1.broken")
    # Two of its checks later it is asked again, so that there is no asking once more after it was seen to be down.
    until(lambda: set(fetch(host, FUSE + "/[1-10]")) == {"fuse-2"} and status(host, "fuse/one").startswith("DOWN"))
    mark.clear()
    until(lambda: status(host, "fuse/one").startswith("UP"))


def test_without_circuit_breaker_the_check_alone_decides(host, mark):
    mark("light-1.broken")
    assert "light-1" in fetch(host, WEIGHTED + "/[1-40]")
    assert status(host, "weighted/light").startswith("UP")


def test_request_that_was_sent_is_never_sent_again(host):
    host.check_output("rm -f /run/backends/*.posts")
    code = host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' -d only-once {WEIGHTED}/hang-up")
    assert code == "502"
    assert host.check_output("cat /run/backends/*.posts").split() == ["only-once"]


def test_connection_that_cannot_be_made_is_made_elsewhere(host):
    """A server that is gone, before a check sees it: the client does not notice."""
    host.check_output("systemctl stop backend@light-1-9021")
    try:
        assert set(fetch(host, WEIGHTED + "/[1-10]", "-f")) == {"heavy-1"}
    finally:
        host.check_output("systemctl start backend@light-1-9021")


def test_twenty_switches_lose_nothing(host, load):
    if live(host) != "blue":
        module(host, "slipway.ops.pool_switch", pool="sample", to="blue")
    run = play(SCENARIO / "switches.yml", SCENARIO / "inventory.yml", timeout=300)
    report = load()
    assert run.code == 0, run.output
    switches = json.loads(host.file("/root/switches.json").content_string)
    assert report["failures"] == []
    assert len(switches) == 20 and all(switch["changed"] for switch in switches)
    for kind in ("keepalive", "post", "fresh", "tunnel", "blue", "green"):
        assert report["counts"][kind] > 20


def test_reload_loses_nothing_and_open_connections_follow_the_next_switch(host, load):
    for _ in range(5):
        host.check_output("systemctl reload haproxy")
        time.sleep(0.3)
    assert load()["failures"] == []


def test_connection_from_before_a_reload_follows_a_switch(host):
    """The old process decides about it, with a map of its own."""
    to = other(live(host))
    until(lambda: host.check_output("pgrep -u haproxy -c haproxy") == "1")  # those of reloads before have ended
    script = (
        "import http.client,sys,time,pathlib;"
        "c=http.client.HTTPConnection('127.0.0.1',18000,timeout=60);"
        "c.request('GET','/');a=c.getresponse().read().decode().split('-')[0];"
        "pathlib.Path('/root/kept').write_text(a);"
        "[time.sleep(0.05) for _ in range(4000) if not pathlib.Path('/root/kept.go').exists()];"
        "c.request('GET','/');pathlib.Path('/root/kept').write_text(c.getresponse().read().decode().split('-')[0])"
    )
    host.check_output("rm -f /root/kept /root/kept.go")
    host.run("systemd-run --quiet --unit=kept --collect python3 -c %s", script)
    until(lambda: host.file("/root/kept").exists)
    host.check_output("systemctl reload haproxy")
    switched = module(host, "slipway.ops.pool_switch", pool="sample", to=to, wait=10)
    assert (switched["old_workers"], switched["old_workers_behind"]) == (1, 0)
    host.check_output("touch /root/kept.go")
    until(lambda: not host.service("kept").is_running)
    assert host.file("/root/kept").content_string == to


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_switch_outlives_haproxy(host, end):
    to = other(live(host))
    assert module(host, "slipway.ops.pool_switch", pool="sample", to=to, wait=10)["changed"]
    if end == "kill":
        kill_haproxy(host)
    else:
        host.check_output("systemctl restart haproxy")
    assert {answer.split("-")[0] for answer in fetch(host, SAMPLE + "/[1-10]")} == {to}


KILLED = """
import os, signal, sys
sys.path.insert(0, "/root/crash")
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy import live, pools
def die(*_args): os.kill(os.getpid(), signal.SIGKILL)
setattr(*{"before": (pools.Edge, "route", die), "after": (live.LiveMap, "commit", die)}[sys.argv[1]])
edge = pools.Edge.at("/run/haproxy/admin.sock", "/run/haproxy-master.sock", "/var/lib/slipway/haproxy/live.map")
pools.switch(edge, "sample", sys.argv[2])
"""


@pytest.mark.parametrize("step", ["before", "after"])
def test_killed_between_its_steps_the_next_run_converges(host, step):
    was = live(host)
    to = other(was)
    package = "/root/crash/ansible_collections/slipway/ops/plugins/module_utils"
    host.check_output(f"mkdir -p {package}")
    edge = ROOT / "plugins/module_utils/edge"
    subprocess.run(["docker", "cp", str(edge), f"{CONTAINER}:{package}/"], check=True, capture_output=True)
    assert host.run("python3 -c %s %s %s", KILLED, step, to).rc == 137

    assert live(host) == (to if step == "after" else was)
    seen = module(host, "slipway.ops.pool_info", pools=["sample"])["pools"]["sample"]
    assert seen["live"] == (to if step == "after" else was)
    assert seen["durable"] is (step == "before")

    again = module(host, "slipway.ops.pool_switch", pool="sample", to=to)
    assert again["changed"]
    assert module(host, "slipway.ops.pool_info", pools=["sample"])["pools"]["sample"]["durable"]
    assert not module(host, "slipway.ops.pool_switch", pool="sample", to=to)["changed"]
    host.check_output("systemctl restart haproxy")
    assert live(host) == to


def test_set_that_is_down_does_not_get_live(host, mark):
    was = live(host)
    mark(f"{other(was)}-2.down")
    until(lambda: status(host, f"sample-{other(was)}/edge1-2").startswith("DOWN"))
    refused = module(host, "slipway.ops.pool_switch", pool="sample", to=other(was))
    assert "1 of 2 servers are up and 2 must be. edge1-2 (127.0.0.1:" in refused["msg"]
    assert "L7STS 503" in refused["msg"]
    assert live(host) == was
    allowed = module(host, "slipway.ops.pool_switch", pool="sample", to=other(was), min_servers_up="1")
    assert allowed["changed"], allowed
    assert live(host) == other(was)
    assert module(host, "slipway.ops.pool_switch", pool="sample", to=was)["changed"]


def test_wrong_words_are_explained(host):
    was = live(host)
    for options, said in (
        ({"pool": "sampel", "to": "blue"}, "did you mean 'sample'?"),
        ({"pool": "sample", "to": "gren"}, "did you mean 'green'?"),
        ({"pool": "weighted", "to": "blue"}, "has no sets"),
        ({"pool": "sample", "to": was, "socket": "/run/nowhere"}, "There is no runtime socket /run/nowhere"),
        ({"pool": "sample", "to": other(was), "expect": "red"}, f"serves '{was}', not 'red'"),
    ):
        assert said in module(host, "slipway.ops.pool_switch", **options)["msg"]
    assert live(host) == was


def test_drain_waits_for_the_last_request(host, mark):
    mark("hold")
    was = live(host)
    host.check_output("rm -f /root/slow")
    host.check_output(f"systemd-run --quiet --unit=slow --collect curl -sS -o /root/slow '{SAMPLE}/hold'")
    until(lambda: sessions(host, f"sample-{was}") == 1)
    short = module(host, "slipway.ops.pool_switch", pool="sample", to=other(was), drain_timeout=0.2)
    assert short["drained"]["left"] == 1
    host.check_output("systemd-run --quiet --collect --on-active=2 rm /run/backends/hold")
    full = module(host, "slipway.ops.pool_switch", pool="sample", to=other(was), drain_from=was, drain_timeout=30)
    assert full["drained"]["left"] == 0
    until(lambda: host.file("/root/slow").exists)
    assert host.file("/root/slow").content_string.startswith(was)


def test_metrics_name_pools_sets_and_servers(host):
    metrics = host.check_output("curl -sSf http://127.0.0.1:8404/metrics")
    assert 'haproxy_server_status{proxy="sample-blue",server="edge1-1",state="UP"} 1' in metrics
    assert 'haproxy_backend_http_responses_total{proxy="sample-green",code="2xx"}' in metrics
    assert host.check_output("curl -sSf http://127.0.0.1:8404/healthz") == "ok"


def test_only_loopback_listens_and_only_the_group_may_command(host):
    listening = host.check_output("ss -Hltnp").splitlines()
    assert all(line.split()[3].startswith("127.0.0.1:") for line in listening if '"haproxy"' in line)
    socket = host.file("/run/haproxy/admin.sock")
    assert (socket.user, socket.group, socket.mode) == ("root", "haproxy", 0o660)


def test_bad_configuration_changes_nothing(host):
    before = host.file("/etc/haproxy/haproxy.cfg").sha256sum
    run = converge(haproxy_extra_defaults="timeout nonsense 5s")
    assert run.code != 0
    assert "timeout" in run.said and "nonsense" in run.said
    assert host.file("/etc/haproxy/haproxy.cfg").sha256sum == before
    assert fetch(host, SAMPLE)


def test_port_in_use_is_named_before_anything_changes(host):
    before = host.file("/etc/haproxy/haproxy.cfg").sha256sum
    run = converge(haproxy_metrics_bind="127.0.0.1:9031")
    assert run.code != 0
    assert "127.0.0.1:9031 is in use by python3 (pid" in run.said
    assert host.file("/etc/haproxy/haproxy.cfg").sha256sum == before


def test_live_set_cannot_be_taken_away(host):
    lost = {"name": "sample", "bind": "127.0.0.1:18000", "sets": {"red": [{"name": "x", "address": "127.0.0.1:9001"}]}}
    run = converge(haproxy_pools=[lost])
    assert run.code != 0
    assert "would take away what is live" in run.said
    assert fetch(host, SAMPLE)


def test_reload_that_never_came_is_made_up_for(host):
    """A run killed between configuration and reload leaves a process that is older than its configuration."""
    host.check_output("touch /etc/haproxy/haproxy.cfg")
    pid = host.check_output("pgrep -u haproxy -n haproxy")
    run = converge()
    assert run.code == 0, run.output
    assert host.check_output("pgrep -u haproxy -n haproxy") != pid
    assert "changed=0" in converge().said
