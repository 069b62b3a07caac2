"""The first hour: an empty directory and a bare host to a released service over TLS with green health.

Names are made anew at each run, so that none of them can be known to anything.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import SETTINGS, Run, play

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SUDO = "Sudo-With-A-Password"
SSH = f"-i {EPHEMERAL}/key -o UserKnownHostsFile={EPHEMERAL}/known_hosts -o IdentitiesOnly=yes"
VERSION = "1.0.0"
FAR = testinfra.get_host("docker://slipway-start-far1")
INSTANCES = {8000, 8001, 8100, 8101}
"""The service without TLS, in one colour or the other."""
PRIVATE = {5432, 6432, 9100}
"""Of the database, its pool, the host's metrics."""
PORTS = {22, 80, 443, 5000, 9090, 9187, *INSTANCES, *PRIVATE}
SCAN = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 2).close()
        print(port)
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Project:
    """A project that `start` wrote, and the names in it."""

    place: Path
    host: str
    service: str
    domain: str
    address: str

    def play(self, name: str, **variables: Any) -> Run:
        return play(f"slipway.ops.{name}", self.place / "hosts.yml", **variables)

    def over_tls(self, path: str) -> subprocess.CompletedProcess[str]:
        """As a user far away asks, who knows the authority alone."""
        at = f"{self.domain}:443:{self.address}"
        url = f"https://{self.domain}{path}"
        command = ["curl", "-sS", "--fail", "--max-time", "10", "--cacert", str(self.place / "ca.pem"), "--resolve", at]
        return subprocess.run([*command, url], capture_output=True, text=True, check=False)


def from_far(address: str) -> set[int]:
    """The ports that a host which the inventory does not know gets through to."""
    return set(map(int, FAR.check_output(f"python3 -c '{SCAN}' {address} {' '.join(map(str, PORTS))}").split()))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Written by `start`, with SSH to the host and a password for sudo."""
    container = json.loads(subprocess.check_output(["docker", "inspect", "slipway-start-bare1"]))[0]
    (network,) = container["NetworkSettings"]["Networks"].values()
    address = network["IPAddress"]
    word = secrets.token_hex(3)
    one = Project(
        tmp_path_factory.mktemp("first") / "project", f"h{word}", f"s{word}-app", f"{word}.example.test", address
    )
    scanned = subprocess.check_output(["ssh-keyscan", "-t", "ed25519", address], stderr=subprocess.DEVNULL, text=True)
    (EPHEMERAL / "known_hosts").write_text(scanned)
    os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(one.place / ".vault-password")
    os.environ["ANSIBLE_SSH_COMMON_ARGS"] = SSH
    return one


def answers(project: Project) -> dict[str, str]:
    return {
        "start_directory": str(project.place),
        "start_hosts": f"{project.host}={project.address}",
        "start_user": "hoster",
        "start_become_password": SUDO,
        "start_domain": project.domain,
        "start_service": project.service,
        "start_timezone": "Asia/Seoul",
    }


@pytest.fixture(scope="module")
def released(project: Project) -> Project:
    """By the commands of NEXT.md, in their order."""
    os.environ.pop("ANSIBLE_VAULT_PASSWORD_FILE")  # there is none yet
    run = play("slipway.ops.start", "localhost,", **answers(project))
    assert run.code == 0, run.output
    os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(project.place / ".vault-password")
    assert SUDO not in run.output
    image = {"name": f"{project.service}:{VERSION}", "image": f"slipway/sample-service:{VERSION}"}
    steps = [
        ("site", {}),
        ("publish", {"publish_images": [image]}),
        ("deploy", {"service": project.service, "version": VERSION}),
        ("backup", {"type": "full"}),
    ]
    for name, variables in steps:
        run = project.play(name, **variables)
        assert run.code == 0, run.output
        assert SUDO not in run.output
    return project


def test_a_bare_host_answers_over_tls_with_the_released_version(host, released: Project) -> None:
    authority = host.check_output("cat /usr/local/share/ca-certificates/slipway-internal-ca.crt")
    (released.place / "ca.pem").write_text(authority)
    answer = released.over_tls("/version")
    assert json.loads(answer.stdout)["version"] == VERSION, answer.stderr
    (released.place / "ca.pem").write_text((EPHEMERAL / "key.pub").read_text())
    assert released.over_tls("/version").returncode != 0, "and not to somebody who does not know the authority"


def test_its_data_is_in_the_database_of_the_vault(host, released: Project) -> None:
    inside = f"docker exec $(docker ps -q --filter name={released.service} | head -1) sample-service healthcheck /ready"
    assert host.run(inside).rc == 0
    count = host.check_output(f"runuser -u postgres -- psql -At {released.service} -c 'SELECT count(*) FROM items'")
    assert count.isdecimal()


def test_nothing_but_the_edge_and_ssh_is_open_to_others(host, released: Project) -> None:
    assert from_far(released.address) == {22, 80, 443}
    host.check_output("systemctl stop slipway-firewall")
    try:
        opened = from_far(released.address)
        assert opened >= PRIVATE and opened & INSTANCES, "else nothing was proven"
    finally:
        host.check_output("systemctl start slipway-firewall")
    assert from_far(released.address) == {22, 80, 443}


def test_health_is_green_and_a_second_run_changes_nothing(released: Project, tmp_path: Path) -> None:
    run = released.play("health", health_report_dir=str(tmp_path))
    assert run.code == 0, run.output
    run = released.play("site")
    assert run.code == 0 and run.changed == 0, run.output


def test_what_is_broken_is_not_green(host, released: Project, tmp_path: Path) -> None:
    host.check_output("systemctl stop haproxy")
    try:
        run = released.play("health", health_report_dir=str(tmp_path), health_deadline="1s")
    finally:
        host.check_output("systemctl start haproxy")
    assert run.code != 0 and "haproxy" in run.said


def test_nothing_of_the_project_is_overwritten(released: Project) -> None:
    before = (released.place / "group_vars/all/vault.yml").read_bytes()
    run = play("slipway.ops.start", "localhost,", **answers(released))
    assert run.code != 0 and "is not empty, and nothing is overwritten." in run.said
    assert (released.place / "group_vars/all/vault.yml").read_bytes() == before


def test_the_project_works_by_itself(released: Project) -> None:
    """In its own directory, with its own settings, as NEXT.md says: neither -i nor a password file is named."""
    env = {name: value for name, value in os.environ.items() if name not in {*SETTINGS, "ANSIBLE_VAULT_PASSWORD_FILE"}}
    done = subprocess.run(
        ["ansible", "all", "-m", "ansible.builtin.command", "-a", "id -un", "--become"],
        cwd=released.place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "root" in done.stdout, done.stdout + done.stderr
