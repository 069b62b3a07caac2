"""From every host to every other open is what the map declares, and nothing else. Who locks himself out gets back."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
NAMES = ("edge1", "app1", "db1", "monitor1")
HOSTS = {name: testinfra.get_host(f"docker://slipway-firewall-{name}") for name in NAMES}
SIX = {name: f"fd00:9::{number}" for number, name in enumerate(NAMES, 1)}
FOUR = {
    name: host.check_output("ip -4 -o address show eth0").split()[3].partition("/")[0] for name, host in HOSTS.items()
}
"""No names: Docker's own for them end with a flush of nftables on the host that asks."""
OPEN: dict[tuple[str, str], set[int]] = {
    ("app1", "edge1"): {80, 443},
    ("monitor1", "edge1"): {80, 443, 9100},
    ("edge1", "app1"): {8000},
    ("monitor1", "app1"): {9100},
    ("app1", "db1"): {5432},
    ("monitor1", "db1"): {9100},
    ("db1", "monitor1"): {3128},
}
"""Between all other pairs nothing is."""
PORTS = (22, 80, 443, 3128, 5432, 8000, 9000, 9100, 9187, 9999)
SCAN = """
import asyncio, sys
gate = asyncio.Semaphore(500)
async def look(host, port):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 2)
            writer.close()
            return port
        except (OSError, TimeoutError, asyncio.TimeoutError):
            return None
async def scan(host, ports):
    return [port for port in await asyncio.gather(*(look(host, int(port)) for port in ports)) if port]
print(*asyncio.run(scan(sys.argv[1], sys.argv[2:])))
"""
TABLE = "nft --stateless list table inet slipway"
TRIAL = "/var/lib/slipway/guard/firewall/trial"
NOBODY = ["192.0.2.1"]


def scan(source: str, target: str, ports: range | tuple[int, ...] = PORTS) -> set[int]:
    address = FOUR.get(target, target)
    command = f"ulimit -n 4096; python3 -c '{SCAN}' {address} {' '.join(map(str, ports))}"
    return set(map(int, HOSTS[source].check_output(command).split()))


def until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    for _ in range(240):
        seen = look()
        if wanted(seen):
            break
        time.sleep(0.5)
    return seen


def over_ssh(key: Path, **variables: Any) -> Run:
    """A run by the way in that a lock-out closes; the others are reached as ever."""
    options = ("--inventory", str(key.with_name("inventory.yml")), "--limit", "edge1")
    return Run(SCENARIO / "converge.yml", INVENTORY, *options, **variables)


def has_ssh(key: Path) -> bool:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=2", "BatchMode=yes"]
    words = [word for option in options for word in ("-o", option)]
    argv = ["ssh", "-F", "none", "-i", str(key), *words, "-p", "2209", "root@127.0.0.1", "true"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key that lets its owner in, as long as the firewall does."""
    made = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)], check=True)
    public = made.with_suffix(".pub").read_text().strip()
    HOSTS["edge1"].check_output(f"mkdir -p -m 0700 /root/.ssh && echo '{public}' > /root/.ssh/authorized_keys")
    edge1 = {
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": 2209,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(made),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    }
    made.with_name("inventory.yml").write_text(json.dumps({"all": {"hosts": {"edge1": edge1}}}))
    return made


@pytest.fixture(scope="module")
def published() -> Iterator[None]:
    """Two containers of app1, on a port that is declared and on one that is not."""
    app1 = HOSTS["app1"]
    app1.check_output(
        "d=$(mktemp -d) && mkdir $d/bin && cp /usr/bin/busybox $d/bin/ && tar -C $d -c . | docker import - web:1"
    )
    serve = "web:1 /bin/busybox httpd -f -p 8000"
    for port in (8000, 9000):
        app1.check_output(f"docker run --detach --name web{port} --restart always --publish {port}:8000 {serve}")
    yield
    app1.run("docker rm --force web8000 web9000")


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("source", NAMES)
def test_open_is_what_the_map_declares(published, source, target):
    wanted = OPEN.get((source, target), set())
    if source == target:
        wanted = {*PORTS} - ({22} if source != "edge1" else set())
    assert (scan(source, target), scan(source, SIX[target])) == (wanted, wanted)


def test_none_of_the_first_ten_thousand_ports_is_open_beside(published):
    assert scan("monitor1", "edge1", range(1, 10001)) == OPEN["monitor1", "edge1"]


def test_without_the_firewall_all_of_them_were_open(published):
    """Else the tests before proved nothing."""
    db1 = HOSTS["db1"]
    db1.check_output("systemctl stop slipway-firewall")
    try:
        assert scan("edge1", "db1") == {*PORTS} - {22}
        assert scan("db1", "edge1") == {80, 443}
    finally:
        db1.check_output("systemctl start slipway-firewall")
    assert scan("edge1", "db1") == scan("db1", "edge1") == set()


@pytest.mark.parametrize(("source", "answered"), [("app1", True), ("monitor1", False)])
def test_a_rule_of_the_inventorys_own_is_of_its_protocol(source, answered):
    ask = "import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(2)"
    done = HOSTS[source].run(f'python3 -c \'{ask}; s.sendto(b"x", ("{SIX["edge1"]}", 514)); s.recv(1)\'')
    assert (done.rc == 0) == answered


def test_a_container_may_go_out_and_comes_in_as_its_host(published):
    app1 = HOSTS["app1"]
    inside = "docker exec web8000 /bin/busybox nc -w 3"
    assert app1.run(f"true | {inside} {FOUR['edge1']} 80").rc == 0
    assert app1.run(f"true | {inside} {FOUR['edge1']} 9100").rc != 0
    gateway = app1.check_output("docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}'")
    assert app1.run(f"true | {inside} {gateway} 9100").rc != 0  # for the monitor, not for app


def test_the_address_of_a_container_is_no_way_round(published):
    """Docker's own chains let a neighbour in that sends to a container by this host."""
    app1, edge1 = HOSTS["app1"], HOSTS["edge1"]
    container = app1.check_output("docker inspect web9000 --format '{{.NetworkSettings.IPAddress}}'")
    edge1.check_output(f"ip route replace {container}/32 via {FOUR['app1']}")
    try:
        assert scan("edge1", container, (8000,)) == set()
        app1.check_output("systemctl stop slipway-firewall")
        assert scan("edge1", container, (8000,)) == {8000}
    finally:
        app1.check_output("systemctl start slipway-firewall")
        edge1.check_output(f"ip route del {container}/32")


def test_a_restart_of_either_keeps_the_other(published):
    app1 = HOSTS["app1"]
    app1.check_output("systemctl restart docker && systemctl reload slipway-firewall && docker restart web8000")
    assert until(lambda: scan("edge1", "app1"), lambda seen: seen == {8000}) == {8000}
    assert scan("db1", "app1") == set()


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_the_distributions_own_unit_does_not_end_it(verb):
    """It empties all tables."""
    monitor1 = HOSTS["monitor1"]
    before = monitor1.check_output(TABLE)
    monitor1.check_output(f"systemctl start nftables && systemctl {verb} nftables")
    assert monitor1.check_output(TABLE) == before
    monitor1.check_output("systemctl stop nftables")
    assert monitor1.run(TABLE).rc != 0
    monitor1.check_output("systemctl reload slipway-firewall")


def test_counters_are_told_by_rule():
    edge1 = HOSTS["edge1"]
    edge1.check_output("mkdir -p /var/lib/prometheus/node-exporter")
    scan("app1", "edge1", (80,))
    edge1.check_output("systemctl start slipway-firewall-metrics")
    told = edge1.check_output("cat /var/lib/prometheus/node-exporter/slipway_firewall.prom")
    assert "slipway_firewall_loaded 1\n" in told
    assert int(re.findall(r'packets_total\{rule="nginx.http"\} (\d+)', told)[0]) > 0
    assert int(re.findall(r'packets_total\{rule="input"\} (\d+)', told)[0]) > 0


def test_what_check_mode_shows_are_rules():
    rule = {"name": "shop", "port": "8080", "protocol": "tcp", "from": ["app"]}
    run = play(SCENARIO / "converge.yml", INVENTORY, "--check", "--diff", "--limit", "edge1", firewall_rules=[rule])
    added = [line.strip() for line in run.output.splitlines() if line.startswith("+")]
    assert run.code == 0
    assert [line for line in added if "proto-dst 8080 ip saddr" in line and 'comment "firewall.shop"' in line]
    assert [line for line in run.output.splitlines() if line.startswith("-") and "proto-dst 514" in line]
    assert 8080 not in scan("app1", "edge1", (8080,))


def test_a_rule_for_nobody_known_is_refused_before_anything_changes():
    before = HOSTS["edge1"].check_output(TABLE)
    rule = {"name": "shop", "port": "8080", "protocol": "tcp", "from": ["monitr"]}
    run = play(SCENARIO / "converge.yml", INVENTORY, "--limit", "edge1", firewall_rules=[rule], firewall_ssh_from=[])
    assert run.code != 0
    assert "rule shop names monitr, which is no group, no host, no network and not anywhere" in run.said
    assert "SSH would be closed to everybody" in run.said and "Nothing was changed." in run.said
    assert HOSTS["edge1"].check_output(TABLE) == before


def test_what_somebody_loaded_by_hand_is_seen_and_put_right():
    db1 = HOSTS["db1"]
    db1.check_output("nft add rule inet slipway declared tcp dport 9999 accept")
    assert "security.firewall.loaded" in play(SCENARIO / "health.yml", INVENTORY, "--limit", "db1").said
    assert 9999 in scan("edge1", "db1")
    run = play(SCENARIO / "converge.yml", INVENTORY, "--limit", "db1")
    assert (run.code, run.changed) == (0, 1)
    assert scan("edge1", "db1") == set()
    assert play(SCENARIO / "health.yml", INVENTORY, "--limit", "db1").said.count("verdict: fail") == 0


def test_a_map_that_locks_its_operator_out_takes_itself_back_and_says_so(key):
    edge1 = HOSTS["edge1"]
    before = edge1.check_output(TABLE)
    assert over_ssh(key).end().code == 0  # this way in is open
    run = over_ssh(key, firewall_ssh_from=NOBODY, firewall_confirm_within=15)
    assert until(lambda: edge1.run(f"test -e {TRIAL}/attempt").rc, lambda code: code == 0) == 0
    assert until(lambda: has_ssh(key), lambda seen: not seen) is False
    assert run.end().code != 0
    assert "The change of firewall would have locked this controller out" in run.said
    assert "Correct the change, then run again" in run.said
    assert edge1.check_output(TABLE) == before and has_ssh(key)
    failed = play(SCENARIO / "health.yml", INVENTORY, "--limit", "edge1").said
    assert "verdict: fail" in failed and "security.firewall.kept" in failed
    again = over_ssh(key).end()
    assert again.code == 0, again.output
    assert edge1.run(f"ls {TRIAL}").rc != 0 and edge1.check_output(TABLE) == before
    edge1.run("rm -f /var/lib/slipway/guard/firewall/taken_back")


def test_a_controller_that_is_killed_in_the_middle_leaves_the_host_reachable(key):
    edge1 = HOSTS["edge1"]
    run = over_ssh(key, firewall_ssh_from=NOBODY, firewall_confirm_within=20)
    assert until(lambda: edge1.run(f"test -e {TRIAL}/attempt").rc, lambda code: code == 0) == 0
    assert until(lambda: has_ssh(key), lambda seen: not seen) is False
    run.kill()
    assert until(lambda: has_ssh(key), bool)
    assert until(lambda: edge1.run(f"ls {TRIAL}").rc, bool)


def test_a_host_that_goes_down_in_the_middle_comes_up_with_what_it_had(key):
    edge1 = HOSTS["edge1"]
    run = over_ssh(key, firewall_ssh_from=NOBODY, firewall_confirm_within=3000)
    assert until(lambda: edge1.run(f"test -e {TRIAL}/attempt").rc, lambda code: code == 0) == 0
    assert until(lambda: has_ssh(key), lambda seen: not seen) is False
    run.kill()
    subprocess.run(["docker", "restart", "--time", "5", "slipway-firewall-edge1"], check=True, capture_output=True)
    assert until(lambda: has_ssh(key), bool)
    assert "policy drop" in edge1.check_output(TABLE)
    assert NOBODY[0] not in edge1.check_output(TABLE)
