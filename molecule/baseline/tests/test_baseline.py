"""What an administrator and a program find on a host."""

from __future__ import annotations

from pathlib import Path

from machine import journal
from playbook import play

SCENARIO = Path(__file__).resolve().parents[1]


def test_an_administrator_becomes_root_without_a_password(host):
    assert host.run("runuser -u jiwoo -- sudo --non-interactive id -u").stdout.strip() == "0"


def test_somebody_without_sudo_does_not(host):
    refused = host.run("runuser -u reader -- sudo --non-interactive id -u")
    assert refused.rc != 0
    assert "password is required" in refused.stderr


def test_nobody_logs_in_by_password(host):
    for name in ("jiwoo", "reader"):
        assert host.user(name).password in ("*", "!", "!*")


def test_only_the_administrator_reads_their_keys(host):
    keys = host.file("/home/jiwoo/.ssh/authorized_keys")
    assert keys.mode == 0o600
    assert keys.user == "jiwoo"
    assert keys.content_string.count("ssh-ed25519") == 1


def test_who_left_is_gone_but_not_their_work(host):
    assert not host.user("leaver").exists
    assert not host.file("/home/leaver/.ssh/authorized_keys").exists
    assert host.file("/home/leaver").is_directory


def test_who_was_taken_out_of_the_inventory_cannot_log_in_nor_become_root(host):
    assert not host.file("/home/former/.ssh/authorized_keys").exists
    assert host.run("runuser -u former -- sudo --non-interactive id -u").rc != 0
    assert host.user("former").exists
    assert host.file("/home/former").is_directory


def test_every_run_says_who_has_an_account_and_is_no_administrator():
    run = play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml")
    assert run.code == 0 and run.changed == 0, run.output
    assert "plain1: former left baseline_admins and has neither keys nor sudo" in run.output
    assert "leaver" not in run.output and "fresh1: " not in run.output
    assert "not applicable in a container" not in run.output  # of settings that it did not write


def test_what_dpkg_was_interrupted_in_is_ended(host):
    assert host.check_output("ls /var/lib/dpkg/updates; dpkg --audit") == ""
    assert host.package("locales").is_installed


def test_clocks_read_local_time(host):
    assert host.check_output("date +%Z") == "KST"
    assert host.check_output("python3 -c 'import time; print(time.tzname[0])'") == "KST"


def test_the_locale_works(host):
    assert host.check_output("LC_ALL=ko_KR.UTF-8 date -d 2026-11-21 +%A") == "토요일"


def test_the_journal_has_its_limit_and_survives_a_flood(host):
    assert "SystemMaxUse=64M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert host.service("systemd-journald").is_running
    host.run_test("logger -t slipway-flood 'still logging'")
    assert "still logging" in journal(host, "-q -t slipway-flood")


def test_security_updates_run_and_spare_what_is_excluded(host):
    settings = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1"' in settings
    assert 'Unattended-Upgrade::Package-Blacklist:: "postgresql.*"' in settings
    tried = host.run("unattended-upgrade --dry-run --debug")
    assert tried.rc == 0, tried.stderr
    assert "postgresql.*" in tried.stdout


def test_kernel_settings_are_written_and_never_switch_forwarding_off(host):
    """A container may not apply them; what a real host reads at its start must be right all the same."""
    read = host.run("sysctl --pattern '.*' --dry-run --load /etc/sysctl.d/60-slipway.conf")
    assert read.rc == 0, read.stderr
    assert "vm.swappiness" in read.stdout
    assert "ip_forward" not in read.stdout
