"""Hosts are reached through the bastion alone, it reaches nothing else, and nobody is locked out. In this order."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import shell
from machine import crowding, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
GATE, APP = "slipway-bastion-gate1", "slipway-bastion-app1"
OPTIONS = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "ConnectTimeout=5",
    "LogLevel=ERROR",
    "BatchMode=yes",
)


class People:
    """Anna, who passes through and is an administrator of app1; what she and her Ansible use."""

    def __init__(self, place: Path) -> None:
        self.place, self.key = place, place / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.public = self.key.with_suffix(".pub").read_text().strip()
        self.settings = place / "config"

    def have_settings(self, written: Path) -> None:
        """What the role wrote, with what is hers: her login on the bastion, her key, and keys of hosts that are new."""
        own = ["Host gate1", "    User anna", "Host *", f"    IdentityFile {self.key}", "    User root"]
        own += [f"    {option.replace('=', ' ')}" for option in OPTIONS]
        self.settings.write_text("\n".join([*own, f"Include {written}", ""]))

    def ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = ["ssh", "-F", str(self.settings), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120)

    def greeted(self, place: str) -> bool:
        """Whether the bastion passes a connection on to a place, where a server says who it is."""
        return self.ssh("-W", place, "gate1").stdout.startswith("SSH-2.0")

    def reaches(self, host: str) -> bool:
        return self.ssh(host, "hostname").stdout.strip() == host

    def run(self, playbook: str, through: bool, **variables: Any) -> Run:
        """A playbook by SSH, as root of app1, with or without the bastion."""
        words = [f"-o {option}" for option in OPTIONS]
        address = shell(APP, "hostname -i").split()[0]
        jump = [f"-o ProxyCommand='ssh -F {self.settings} -W %h:%p gate1'"] if through else []
        app1 = {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_host": address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": " ".join([*words, *jump]),
        }
        inventory = self.place / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"app1": app1}}}))
        return Run(SCENARIO / playbook, INVENTORY, "--inventory", str(inventory), **variables).end()


def have_users(people: People, *names: str, **variables: Any) -> Run:
    """The role, with these users."""
    users = [{"name": name, "keys": [people.public]} for name in names]
    return play(
        SCENARIO / "bastion.yml", INVENTORY, bastion_users=users, bastion_directory=str(people.place), **variables
    )


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    place = tmp_path_factory.mktemp("people")
    anna = People(place)
    anna.have_settings(place / "gate1/ssh_config")
    for container in (GATE, APP):
        shell(container, f"mkdir -p -m 0700 /root/.ssh && echo '{anna.public}' > /root/.ssh/authorized_keys")
    done = have_users(anna, "anna")
    assert done.code == 0, done.output
    yield anna
    shutil.rmtree(place)


def closed(address: str) -> bool:
    """Whether app1's port of SSH is closed to the controller."""
    done = subprocess.run(
        ["timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{address}/22; head -c 7 <&3"],
        capture_output=True,
        check=False,
    )
    return b"SSH-2.0" not in done.stdout


def test_a_host_is_reached_through_the_bastion_and_not_beside_it(people: People) -> None:
    address = shell(APP, "hostname -i").split()[0]
    assert closed(address)
    told = "timeout 5 bash -c 'exec 3<>/dev/tcp/app1/22; head -c 7 <&3' || true"
    assert "SSH-2.0" not in shell("slipway-bastion-stranger1", told) and "SSH-2.0" in shell(GATE, told)
    assert people.reaches("app1")
    assert people.greeted("app1:22") and people.greeted(f"{address}:22")


@pytest.mark.parametrize(
    "place", ["stranger1:2222", "app1:9100", "127.0.0.1:22", "gate1:22", "slipway-bastion-gate1:22"]
)
def test_nothing_else_is(people: People, place: str) -> None:
    refused = people.ssh("-W", place, "gate1")
    assert "SSH-2.0" not in refused.stdout and refused.returncode != 0


def test_a_service_that_listens_is_not_passed_to_either(people: People) -> None:
    """Else the test before could have found nothing there."""
    shell(GATE, "systemd-run --quiet --unit=other python3 -m http.server 22022 --bind 0.0.0.0; true")
    assert until(
        lambda: "ok" in shell(GATE, "curl -s -o /dev/null http://127.0.0.1:22022 && echo ok || true"), 30 * crowding()
    )
    refused = people.ssh("-W", "127.0.0.1:22022", "gate1")
    assert refused.returncode != 0 and "stdio forwarding failed" in refused.stderr, refused.stderr


def test_nobody_has_a_shell_files_or_a_way_back_there(people: People) -> None:
    for words in (("gate1",), ("gate1", "id"), ("-tt", "gate1", "id")):
        told = people.ssh(*words)
        assert told.returncode != 0 and "uid=" not in told.stdout, told
    assert "This account is currently not available" in people.ssh("gate1", "id").stdout
    listening = people.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", "22023:127.0.0.1:22", "gate1")
    assert listening.returncode != 0 and "remote port forwarding failed" in listening.stderr
    copied = subprocess.run(
        ["sftp", "-F", str(people.settings), "gate1:/etc/hostname", str(people.place / "stolen")],
        capture_output=True,
        check=False,
    )
    assert copied.returncode != 0 and not (people.place / "stolen").exists()


def test_an_administrator_of_the_bastion_has_a_shell_and_passes_nothing_through(people: People) -> None:
    assert people.ssh("-l", "root", "gate1", "hostname").stdout.strip() == "gate1"
    assert people.ssh("-l", "root", "-W", "app1:22", "gate1").returncode != 0


def test_who_is_taken_out_does_not_come_in_and_who_is_added_does(people: People) -> None:
    assert have_users(people, "bert").code == 0
    assert not people.greeted("app1:22")
    assert people.ssh("-l", "bert", "-W", "app1:22", "gate1").stdout.startswith("SSH-2.0")
    assert have_users(people, "anna").code == 0
    assert people.greeted("app1:22")
    again = have_users(people, "anna")
    assert again.code == 0 and again.changed == 0, again.output


def test_health_says_when_it_lets_more_through(people: People) -> None:
    users = [{"name": "anna", "keys": [people.public]}]
    assert "verdict: fail" not in play(SCENARIO / "health.yml", INVENTORY, "-v", bastion_users=users).said
    other = "/etc/ssh/sshd_config.d/01-other.conf"
    shell(GATE, f"printf 'Match User anna\\n PermitOpen any\\n ForceCommand none\\n' > {other}; systemctl reload ssh")
    try:
        run = play(SCENARIO / "health.yml", INVENTORY, "-v", bastion_users=users)
        assert run.code != 0 and "security.bastion.passes_through_only" in run.said, run.output
    finally:
        shell(GATE, f"rm {other}; systemctl reload ssh")


def test_who_forgets_the_bastion_is_not_locked_out(people: People) -> None:
    shell(
        APP,
        "systemctl disable --now slipway-firewall; rm -rf /var/lib/slipway/guard/firewall /var/lib/slipway/firewall",
    )
    address = shell(APP, "hostname -i").split()[0]
    assert not closed(address)
    cut = people.run("firewall.yml", through=False, firewall_confirm_within=15)
    assert cut.code != 0 and "The change of firewall would have locked this controller out" in cut.said, cut.output
    assert not closed(address)
    kept = people.run("firewall.yml", through=True)
    assert kept.code == 0, kept.output
    assert closed(address) and people.reaches("app1")


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([{"name": "root", "keys": []}], "who administers the bastion itself"),
        ([{"name": "Anna B", "keys": []}], "a login is of small letters"),
        ([{"name": "anna", "keys": ["ssh-ed25519 AAAA\nssh-rsa BBBB"]}], "is no public key in one line"),
        ([{"name": "anna", "keys": []}, {"name": "anna", "keys": []}], "has anna twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(users: list[dict[str, Any]], said: str) -> None:
    run = play(SCENARIO / "bastion.yml", INVENTORY, bastion_users=users)
    assert run.code != 0 and said in run.said, run.output
