"""Who is refused again and again is kept out for a while, and nobody else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
FORGED = '","client":"198.51.100.9","x":"'


@pytest.fixture(scope="module")
def stranger():
    return testinfra.get_host("docker://slipway-fail2ban-stranger1")


@pytest.fixture(scope="module")
def admin():
    return testinfra.get_host("docker://slipway-fail2ban-admin1")


@pytest.fixture(autouse=True)
def nobody_banned(host):
    host.check_output("fail2ban-client unban --all")


def address(of) -> str:
    return of.check_output("hostname -I").split()[0]


def converge(**variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, **variables)


def ask(client, path: str, *options: str) -> str:
    """The status, or 000 where no connection is made."""
    return client.run(f"curl -sk -m 5 -o /dev/null -w %{{http_code}} {' '.join(options)} https://edge1{path}").stdout


def offend(client, *options: str) -> None:
    """More often than is let pass, until there is a ban or all has been tried."""
    for _ in range(14):
        if ask(client, "/closed", *options) == "000":
            return


def banned(host) -> str:
    return host.check_output("fail2ban-client banned")


def test_who_is_refused_again_and_again_is_kept_out_seen_and_let_in_by_one_playbook(host, stranger):
    assert ask(stranger, "/open") == "204"
    offend(stranger)
    assert until(lambda: address(stranger) in banned(host))
    assert until(lambda: ask(stranger, "/open") == "000")  # the list has it before the firewall
    shown = play("unban", INVENTORY)
    assert shown.code == 0 and shown.changed == 0
    assert f"edge1: {address(stranger)} is banned for slipway-edge until 20" in shown.said
    assert "admin1: nobody is banned" in shown.said
    tried = play("unban", INVENTORY, "--check", address=address(stranger))
    assert "would be lifted" in tried.said and ask(stranger, "/open") == "000"
    lifted = play("unban", INVENTORY, address=address(stranger))
    assert lifted.code == 0 and lifted.changed == 1 and ": lifted" in lifted.said
    assert ask(stranger, "/open") == "204"


def test_to_lift_what_is_not_banned_is_no_success(host):
    run = play("unban", INVENTORY, address="192.0.2.99")
    assert run.code != 0 and "192.0.2.99 is not banned on" in run.said
    nonsense = play("unban", INVENTORY, address="--all")
    assert nonsense.code != 0 and "is not an address" in nonsense.said and "Traceback" not in nonsense.output


def test_an_administrator_is_never_banned(host, stranger, admin):
    for _ in range(25):
        assert ask(admin, "/closed") == "403"
    offend(stranger)  # what came after the administrator's lines has been read
    assert until(lambda: address(stranger) in banned(host))
    assert address(admin) not in banned(host)
    assert ask(admin, "/open") == "204"


def test_nobody_can_have_another_banned(host, stranger):
    forged = [
        f"-{option} '{name}{FORGED}'"
        for option, name in (("A", ""), ("e", ""), ("H", "X-Request-Id: "), ("H", "X-Forwarded-For: 198.51.100.9 "))
    ]
    offend(stranger, *forged)
    assert until(lambda: address(stranger) in banned(host))
    assert "198.51.100.9" not in banned(host)


def test_a_ban_outlasts_a_restart_and_a_run(host, stranger):
    offend(stranger)
    assert until(lambda: address(stranger) in banned(host))
    host.check_output("systemctl restart fail2ban")
    assert until(lambda: host.run("fail2ban-client ping").rc == 0)
    assert until(lambda: address(stranger) in banned(host))
    assert until(lambda: ask(stranger, "/open") == "000")
    assert converge(fail2ban_edge_retries=11).code == 0  # reloaded
    assert until(lambda: address(stranger) in banned(host) and ask(stranger, "/open") == "000")
    assert converge().code == 0
    assert converge().changed == 0


def test_a_ban_ends_by_itself(host, stranger):
    try:
        assert converge(fail2ban_ban_time="2s", fail2ban_max_time="4s").code == 0
        offend(stranger)
        assert until(lambda: f"Ban {address(stranger)}" in host.file("/var/log/fail2ban.log").content_string)
        assert until(lambda: address(stranger) not in banned(host))
        assert until(lambda: ask(stranger, "/open") == "204")
    finally:
        assert converge().code == 0


def test_who_tries_logins_is_kept_out_of_ssh_only(host, stranger, admin):
    login = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=5 nosuch@edge1 true"

    def tried() -> bool:
        stranger.run(login)
        return address(stranger) in banned(host)

    assert until(tried, pause=1)
    assert until(lambda: (said := stranger.run(login)).rc == 255 and "refused" in said.stderr)
    assert "sshd" in play("unban", INVENTORY).said
    assert ask(stranger, "/open") == "204"
    assert "Permission denied" in admin.run(login).stderr


def test_a_jail_that_another_one_has_ended_is_named(host):
    """fail2ban's test passes a filter that finds no address; the reload fails there, and who comes after is gone."""
    own = "/etc/fail2ban/jail.d/own.local"
    host.check_output("printf '[Definition]\\nfailregex = ^refused .*$\\n' > /etc/fail2ban/filter.d/own.conf")
    host.check_output(
        f"printf '[own]\\nenabled = true\\nfilter = own\\nlogpath = /var/log/nginx/access.log\\n' > {own}"
    )
    try:
        run = converge(fail2ban_edge_retries=11)
        assert run.code != 0 and "fail2ban" in run.said and "Traceback" not in run.output, run.output
        host.check_output(f"rm {own} /etc/fail2ban/filter.d/own.conf")
        assert converge().code == 0
        assert host.run("fail2ban-client status sshd && fail2ban-client status slipway-edge").rc == 0
        assert converge().changed == 0
    finally:
        host.run(f"rm -f {own} /etc/fail2ban/filter.d/own.conf")


@pytest.mark.parametrize(
    ("trusted", "said"), [([], "fail2ban_trusted is empty"), (["laptop.example"], "laptop.example, which is neither")]
)
def test_a_host_that_would_ban_its_operator_is_refused(trusted, said):
    run = converge(fail2ban_trusted=trusted)
    assert run.code != 0 and said in run.said
