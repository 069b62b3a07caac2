"""Who has a key comes in, who is taken out is out at once, and who locks himself out comes back in."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import crowding, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-wireguard-"
gate, db, laptop = (testinfra.get_host(f"docker://{CONTAINER}{name}") for name in ("gate1", "db1", "laptop1"))
OPTIONS = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -o LogLevel=ERROR"


def converge(*options: str, **variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, *options, **variables)


def reaches(host: Any, address: str) -> bool:
    return bool(host.run(f"ping -c 1 -W 1 {address}").rc == 0)


def comes_to(host: Any, address: str) -> bool:
    return until(lambda: reaches(host, address), 30 * crowding())


def peers(host: Any) -> set[str]:
    return set(host.check_output("wg show slipway0 peers").split())


def public_key(host: Any, path: str = "/etc/wireguard/slipway0.pub") -> str:
    return str(host.check_output(f"cat {path}"))


def handshake(host: Any, peer: str) -> str:
    lines = host.check_output("wg show slipway0 latest-handshakes").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(peer))


def laptop_entry(**more: Any) -> dict[str, Any]:
    key = public_key(laptop, "/root/laptop.pub")
    return {"name": "laptop1", "public_key": key, "addresses": ["10.99.0.100"], **more}


@pytest.fixture(scope="module", autouse=True)
def _laptop_is_up() -> None:
    """As its owner would: by the gate's public key."""
    lines = [
        "[Interface]",
        "Address = 10.99.0.100/24",
        "PostUp = wg set %i private-key /root/laptop.key",
        "[Peer]",
        f"PublicKey = {public_key(gate)}",
        "Endpoint = gate1:51820",
        "AllowedIPs = 10.99.0.0/24",
    ]
    text = "\n".join(lines)
    laptop.check_output(f"umask 077; cat > /etc/wireguard/laptop.conf <<'END'\n{text}\nEND")
    laptop.check_output("ip link show dev laptop >/dev/null 2>&1 || wg-quick up laptop")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """The other host's way through the tunnel loses nothing meanwhile, and needs no new handshake."""
    assert comes_to(db, "10.99.0.1")
    db.check_output("systemd-run --quiet --collect --unit=pings sh -c 'exec ping -i 0.2 10.99.0.1 > /run/pings'")
    process = gate.check_output("systemctl show --property=ActiveEnterTimestampMonotonic wg-quick@slipway0")
    try:
        yield
    finally:
        db.run("systemctl kill --signal=INT pings")
        assert until(lambda: "packets transmitted" in db.run("cat /run/pings").stdout, 30)
    said = db.check_output("cat /run/pings")
    sent, came = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", said).groups())  # type: ignore[union-attr]
    assert sent > 10 and came >= sent - 1, said  # one may be under way at the end
    assert gate.check_output("systemctl show --property=ActiveEnterTimestampMonotonic wg-quick@slipway0") == process


@pytest.mark.parametrize("address", ["10.99.0.1", "fd99::1"])
def test_a_host_that_cannot_be_called_is_reached_both_ways(address: str) -> None:
    assert comes_to(db, address)
    assert comes_to(gate, address.replace("1", "2") if ":" in address else "10.99.0.2")


def test_a_device_with_a_key_comes_in() -> None:
    assert comes_to(laptop, "10.99.0.1")
    assert peers(gate) == {public_key(db), public_key(laptop, "/root/laptop.pub")}
    assert peers(db) == {public_key(gate)}  # the laptop is the gate's


def test_private_keys_are_on_their_own_host_only() -> None:
    for host in (gate, db):
        key = host.check_output("cat /etc/wireguard/slipway0.key")
        assert host.check_output("stat -c %U:%a /etc/wireguard/slipway0.key") == "root:600"
        assert host.check_output("stat -c %a /etc/wireguard/slipway0.conf") == "600"
        for other in (gate, db, laptop):
            found = other.run(f"grep -rlF '{key}' /etc /var/lib /var/log /run /usr/local")
            assert found.stdout.split() == (["/etc/wireguard/slipway0.key"] if other is host else []), found


def test_who_is_taken_out_is_out_at_once_and_nobody_else_notices() -> None:
    assert comes_to(laptop, "10.99.0.1")
    with undisturbed():
        assert converge("--limit=gate1", wireguard_peers=[]).code == 0
        assert not reaches(laptop, "10.99.0.1")
        assert peers(gate) == {public_key(db)}
        assert converge("--limit=gate1").code == 0
        assert comes_to(laptop, "10.99.0.1")


def test_a_preshared_key_is_needed_by_both_and_shown_to_nobody() -> None:
    secret = base64.b64encode(os.urandom(32)).decode()
    run = converge("--limit=gate1", "--diff", wireguard_peers=[laptop_entry(preshared_key=secret)])
    assert run.code == 0 and secret not in run.output
    gone = f"wg set laptop peer {public_key(gate)} remove"
    back = f"wg set laptop peer {public_key(gate)} endpoint gate1:51820 allowed-ips 10.99.0.0/24"
    laptop.check_output(f"{gone} && {back}")  # a new handshake
    assert not reaches(laptop, "10.99.0.1")
    laptop.check_output(f"umask 077; echo {secret} > /root/psk; {gone} && {back} preshared-key /root/psk")
    assert comes_to(laptop, "10.99.0.1")
    assert converge("--limit=gate1").code == 0
    laptop.check_output(f"{gone} && {back}")
    assert comes_to(laptop, "10.99.0.1")


def test_a_peer_that_somebody_added_is_found_and_gone_after_the_next_run() -> None:
    gate.check_output("wg set slipway0 peer $(wg genkey | wg pubkey) allowed-ips 10.99.0.66/32")
    health = play("health", INVENTORY, "--limit=gate1")
    assert health.code != 0 and "security.wireguard.peers" in health.said
    run = converge("--limit=gate1")
    assert run.code == 0 and run.changed == 1, run.output
    assert peers(gate) == {public_key(db), public_key(laptop, "/root/laptop.pub")}
    health = play("health", INVENTORY, "--limit=gate1")
    assert "security.wireguard.peers" not in health.said


def test_an_address_changes_and_comes_back(tmp_path: Path) -> None:
    more = {"gate1": {"wireguard_addresses": ["10.99.0.1/24", "10.99.0.11/24"]}}
    (tmp_path / "more.json").write_text(json.dumps({"all": {"hosts": more}}))
    run = converge("--inventory", str(tmp_path / "more.json"), "--limit=gate1")
    assert run.code == 0, run.output
    assert comes_to(gate, "10.99.0.2") and "10.99.0.11" in gate.check_output("ip address show dev slipway0")
    assert converge("--limit=gate1").code == 0
    assert "10.99.0.11" not in gate.check_output("ip address show dev slipway0")
    assert comes_to(db, "10.99.0.1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"public_key": "nonsense"}, "'nonsense' is no public key"),
        ({"addresses": ["10.99.0.2"]}, "db1 and laptop1 both have 10.99.0.2/32"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(change: dict[str, Any], said: str) -> None:
    before = peers(gate)
    run = converge("--limit=gate1", wireguard_peers=[laptop_entry(**change)])
    assert run.code != 0 and run.changed == 0 and said in run.said, run.output
    assert peers(gate) == before


def test_a_host_that_does_not_tell_its_key_is_not_cut_off() -> None:
    db.check_output("mv /etc/wireguard/slipway0.pub /root/")
    try:
        run = converge("--limit=gate1")
    finally:
        db.check_output("mv /root/slipway0.pub /etc/wireguard/")
    assert run.code != 0 and "public key of db1 is not known" in run.said, run.output
    assert public_key(db) in peers(gate)


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    """Somebody who comes to the gate by SSH through the laptop's tunnel, and has no other way: an inventory."""
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    gate.check_output(f"install -m 700 -d /root/.ssh && echo '{public.strip()}' > /root/.ssh/authorized_keys")
    proxy = f"docker exec -i {CONTAINER}laptop1 busybox nc 10.99.0.1 22"
    gate1 = {
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_host": "10.99.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"{OPTIONS} -o ProxyCommand='{proxy}'",
    }
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": {"gate1": gate1}}}))
    return path


@pytest.fixture
def slow_reload() -> Iterator[None]:
    """Longer than the laptop's end speaks by itself: nothing but SSH's own keepalive finds the way back afterwards."""
    unit = "/etc/systemd/system/wg-quick@slipway0.service.d/zz-slow.conf"
    steps = "ExecReload=\\nExecReload=sleep 16\\nExecReload=/usr/local/sbin/slipway-wireguard sync"
    gate.check_output(f"printf '[Service]\\n{steps}\\n' > {unit} && systemctl daemon-reload")
    yield
    gate.check_output(f"rm {unit} && systemctl daemon-reload")


@pytest.mark.usefixtures("slow_reload")
def test_an_operator_who_takes_his_own_peer_out_is_let_in_again(operator: Path) -> None:
    assert comes_to(laptop, "10.99.0.1")
    before = gate.check_output("sha256sum /etc/wireguard/slipway0.conf")
    run = converge("--inventory", str(operator), "--limit=gate1", wireguard_peers=[])
    assert run.code != 0 and "took" in run.said, run.output
    assert until(lambda: gate.check_output("sha256sum /etc/wireguard/slipway0.conf") == before, 60 * crowding())
    assert comes_to(laptop, "10.99.0.1")
    run = converge("--inventory", str(operator), "--limit=gate1")
    assert run.code == 0, run.output
    assert not gate.file("/var/lib/slipway/guard/wireguard/trial").exists
