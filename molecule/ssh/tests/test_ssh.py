"""Keys come in and passwords do not; what would lock the operator out is refused, or taken back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5", "LogLevel=ERROR")
ADDRESS = ("127.0.0.1", 2210)
LIVE = "sshd -T -C user=root,host=localhost,addr=127.0.0.1"
BARE = 'import socket; [socket.create_connection(("server1", 22), 5).close() for _ in range(50)]'


class Operator:
    """Somebody on the controller with a key of its own."""

    def __init__(self, place: Path) -> None:
        self.key = place / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.public = self.key.with_suffix(".pub").read_text().strip()

    def login(self, user: str, *options: str, password: str = "") -> subprocess.CompletedProcess[str]:
        words = [word for option in (*OPTIONS, *options) for word in ("-o", option)]
        argv = ["ssh", "-F", "none", "-i", str(self.key), *words, "-p", "2210", f"{user}@127.0.0.1", "id", "-un"]
        ask = self.key.with_name("ask")
        ask.write_text(f"#!/bin/sh\necho {password}\n")
        ask.chmod(0o700)
        asked = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, env=os.environ | asked, stdin=subprocess.DEVNULL
        )

    def comes_in(self, user: str, *options: str, password: str = "") -> bool:
        return self.login(user, *options, password=password).stdout.strip() == user

    def by_password(self) -> subprocess.CompletedProcess[str]:
        return self.login("anna", "PubkeyAuthentication=no", password="a-password-to-try")

    def passes_through(self) -> bool:
        words = [word for option in OPTIONS for word in ("-o", option)]
        argv = ["ssh", "-F", "none", "-i", str(self.key), *words, "-p", "2210", "-W", "127.0.0.1:22", "anna@127.0.0.1"]
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
        return done.stdout.startswith(b"SSH-2.0")

    def run(self, **variables: Any) -> Run:
        """A run by SSH, as root."""
        server1 = {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_host": ADDRESS[0],
            "ansible_port": ADDRESS[1],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": " ".join(f"-o {option}" for option in OPTIONS),
        }
        inventory = self.key.with_name("inventory.yml")
        inventory.write_text(json.dumps({"all": {"hosts": {"server1": server1}}}))
        return Run(SCENARIO / "converge.yml", INVENTORY, "--inventory", str(inventory), **variables)


def until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    for _ in range(240):
        seen = look()
        if wanted(seen):
            break
        time.sleep(0.5)
    return seen


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module", autouse=True)
def authorised(operator: Operator) -> None:
    server = testinfra.get_host("docker://slipway-ssh-server1")
    for home, user in (("/root", "root"), ("/home/anna", "anna")):
        place = f"{home}/.ssh"
        server.check_output(f"mkdir -p -m 0700 {place} && echo '{operator.public}' > {place}/authorized_keys")
        server.check_output(f"chown -R {user}: {place}")


@pytest.fixture(scope="module")
def stranger():
    return testinfra.get_host("docker://slipway-ssh-stranger1")


def test_a_key_comes_in_and_a_password_does_not(operator):
    assert operator.comes_in("anna") and operator.comes_in("root")
    refused = operator.by_password()
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_the_password_was_right(operator, host):
    """Else the test before proved nothing."""
    assert operator.run(ssh_settings={"PasswordAuthentication": True}).end().code == 0
    try:
        assert operator.by_password().stdout.strip() == "anna"
        measured = play(SCENARIO / "health.yml", INVENTORY).said
        assert "verdict: fail" in measured and "security.ssh.keys_only" in measured
    finally:
        assert operator.run().end().code == 0
    assert operator.by_password().returncode == 255
    assert "verdict: fail" not in play(SCENARIO / "health.yml", INVENTORY).said


def test_an_auditor_finds_nothing(stranger):
    audit = json.loads(stranger.run("ssh-audit --json server1").stdout)
    notes = [
        f"{kind} {one['algorithm']}: {level}: {note}"
        for kind in ("kex", "key", "enc", "mac")
        for one in audit[kind]
        for level in ("fail", "warn")
        for note in one.get("notes", {}).get(level, [])
    ]
    assert notes == [] and audit["kex"] and audit["enc"]


def test_nothing_passes_through_but_on_a_bastion(operator):
    assert not operator.passes_through()
    assert operator.run(ssh_tcp_forwarding="local").end().code == 0
    assert operator.passes_through()
    assert operator.run().end().code == 0
    assert not operator.passes_through()


def test_fifty_bare_connections_lock_a_stranger_out_and_no_administrator(operator, stranger):
    for _ in range(50):
        with socket.create_connection(ADDRESS, 5) as probe:
            probe.recv(100)
    told = operator.login("anna")
    assert told.stdout.strip() == "anna", told.stderr
    stranger.run(f"python3 -c '{BARE}'")
    words = " ".join(f"-o {option}" for option in OPTIONS)
    refused = stranger.run(f"ssh {words} -o BatchMode=yes anna@server1").stderr
    assert "Not allowed at this time" in refused or "closed" in refused or "reset" in refused, refused


def test_a_certificate_comes_in_until_its_key_is_revoked(operator, tmp_path):
    places = (tmp_path / "authority", tmp_path / "visitor")
    for place in places:
        place.mkdir()
    authority, visitor = map(Operator, places)
    sign = ["ssh-keygen", "-q", "-s", str(authority.key), "-I", "visitor", "-n", "anna", "-V", "+1h"]
    subprocess.run([*sign, f"{visitor.key}.pub"], check=True)
    assert not visitor.comes_in("anna")
    assert operator.run(ssh_user_authorities=[authority.public]).end().code == 0
    assert visitor.comes_in("anna") and not visitor.comes_in("root")
    revoked = {"ssh_revoked_keys": [visitor.public]}
    assert operator.run(ssh_user_authorities=[authority.public], **revoked).end().code == 0
    assert not visitor.comes_in("anna") and operator.comes_in("anna")
    assert operator.run().end().code == 0


def test_what_sshd_does_not_understand_changes_nothing(operator, host):
    before = host.check_output(LIVE)
    run = operator.run(ssh_settings={"Ciphers": "rot13"}).end()
    assert run.code != 0 and "rot13" in run.said
    assert host.check_output(LIVE) == before and operator.comes_in("root")


def test_another_file_that_lets_passwords_in_is_told(operator, host):
    other = "/etc/ssh/sshd_config.d/01-other.conf"
    host.check_output(f"echo 'PasswordAuthentication yes' > {other}")
    try:
        run = operator.run().end()
        assert run.code != 0
        assert "another file of /etc/ssh says otherwise than PasswordAuthentication no" in run.said
    finally:
        host.check_output(f"rm {other}")
    run = operator.run().end()
    assert run.code == 0, run.output
    assert operator.by_password().returncode == 255


@pytest.mark.parametrize("setting", [{"ssh_allow_groups": ["operators"]}, {"ssh_root_login": "no"}])
def test_a_setting_that_locks_its_operator_out_takes_itself_back_and_says_so(operator, host, setting):
    before = host.check_output(LIVE)
    run = operator.run(ssh_confirm_within=15, **setting)
    assert until(lambda: operator.comes_in("root"), lambda seen: not seen) is False
    assert until(lambda: operator.comes_in("anna"), bool), "nobody comes in just while sshd reads its settings anew"
    assert run.end().code != 0
    assert "The change of ssh would have locked this controller out" in run.said
    assert "Permission denied" in run.said
    assert host.check_output(LIVE) == before and operator.comes_in("root")
    assert "security.ssh.kept" in play(SCENARIO / "health.yml", INVENTORY).said
    assert operator.run().end().code == 0


def test_a_change_back_to_keys_alone_takes_itself_back_too(operator, host):
    """What the new settings must say the former ones need not."""
    assert operator.run(ssh_settings={"PasswordAuthentication": True}).end().code == 0
    before = host.check_output(LIVE)
    run = operator.run(ssh_confirm_within=15, ssh_allow_groups=["operators"]).end()
    assert run.code != 0 and "The change of ssh would have locked this controller out" in run.said, run.output
    assert host.check_output(LIVE) == before and operator.comes_in("root")
    assert operator.run().end().code == 0 and operator.by_password().returncode == 255


def test_revoking_the_operators_own_key_takes_itself_back(operator, tmp_path):
    """sshd's settings are the same before and after; only the list of keys is another."""
    other = Operator(tmp_path)
    assert operator.run(ssh_revoked_keys=[other.public]).end().code == 0
    run = operator.run(ssh_confirm_within=15, ssh_revoked_keys=[other.public, operator.public])
    assert until(lambda: operator.comes_in("root"), lambda seen: not seen) is False
    assert run.end().code != 0
    assert "The change of ssh would have locked this controller out" in run.said
    assert operator.comes_in("root") and operator.comes_in("anna")
    assert operator.run().end().code == 0


def test_a_torn_key_that_would_lock_everybody_out_is_refused(operator):
    run = operator.run(ssh_revoked_keys=[operator.public[:60]]).end()
    assert run.code != 0 and "ssh_revoked_keys: entry 1" in run.said and "no whole public key" in run.said
    assert operator.comes_in("root")


def test_a_match_block_that_lets_passwords_in_is_told(operator, host):
    other = "/etc/ssh/sshd_config.d/99-other.conf"
    host.check_output(f"printf 'Match User anna\\n  PasswordAuthentication yes\\n' > {other}")
    try:
        measured = play(SCENARIO / "health.yml", INVENTORY).said
        assert "verdict: fail" in measured and "security.ssh.keys_only" in measured and other in measured
        run = operator.run().end()
        assert (
            run.code != 0
            and f"A Match block lets passwords in, whatever the role says outside of it: {other}" in run.said
        )
    finally:
        host.check_output(f"rm {other}")
    assert operator.run().end().code == 0
    measured = play(SCENARIO / "health.yml", INVENTORY).said
    assert "verdict: fail" not in measured, measured


def test_a_controller_that_is_killed_in_the_middle_leaves_the_host_reachable(operator, host):
    run = operator.run(ssh_confirm_within=20, ssh_root_login="no")
    assert until(lambda: operator.comes_in("root"), lambda seen: not seen) is False
    run.kill()
    assert until(lambda: operator.comes_in("root"), bool)
    assert until(lambda: host.run("ls /var/lib/slipway/guard/ssh/trial").rc, bool)
