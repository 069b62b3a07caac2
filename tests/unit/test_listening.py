"""Whose an address is that cannot be listened on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.net.listening import address_problem


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_address_in_use_names_the_process(taken):
    for host in ("127.0.0.1", "*", "0.0.0.0"):
        assert f"(pid {os.getpid()})" in str(address_problem(f"{host}:{taken}", "haproxy"))


def test_what_a_program_has_itself_is_fine_whoever_has_the_port_elsewhere(taken, tmp_path):
    (tmp_path / "proxy").symlink_to(sys.executable)
    listen = f"import socket; s = socket.create_server(('127.0.0.2', {taken})); print('up', flush=True); input()"
    command = [str(tmp_path / "proxy"), "-c", listen]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout and proxy.stdin
        assert proxy.stdout.readline() == "up\n"
        assert address_problem(f"127.0.0.2:{taken}", "proxy") is None
        assert f"proxy (pid {proxy.pid})" in str(address_problem(f"127.0.0.2:{taken}", "haproxy"))
        assert f"(pid {os.getpid()})" in str(address_problem(f"*:{taken}", "proxy"))
        proxy.stdin.close()


def test_over_udp_another_program_is_named_and_what_a_program_has_itself_is_fine(taken):
    assert address_problem(f"127.0.0.1:{taken}", "proxy", protocol="udp") is None  # only its TCP is taken
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", taken))
        for host in ("127.0.0.1", "*"):
            said = str(address_problem(f"{host}:{taken}", "proxy", protocol="udp"))
            assert f"{host}:{taken} (UDP) is in use by" in said and f"(pid {os.getpid()})" in said
        name = Path("/proc/self/comm").read_text().strip()
        assert address_problem(f"127.0.0.1:{taken}", name, protocol="udp") is None
        assert address_problem(f"127.0.0.2:{taken}", "proxy", protocol="udp") is None


def test_a_free_address_has_no_problem(taken):
    assert address_problem(f"127.0.0.3:{taken}", "haproxy") is None


@pytest.mark.parametrize(
    ("bind", "said"),
    [("192.0.2.1:80", "Cannot assign requested address"), ("127.0.0.1", "'127.0.0.1' has no port")],
)
def test_what_no_host_could_listen_on_is_named(bind, said):
    assert said in str(address_problem(bind, "haproxy"))
