"""A hardened host passes the audit, says what does not apply, and is as usable as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import journal, journal_has, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
# Of 100, on this bed, whose hosts have neither audit, AppArmor, process accounting nor kernel settings of their own.
LYNIS_FLOOR = 77
LATE = {"health_deadline": "0s", "health_timeout": "60s"}  # a busy machine is no answer


@pytest.fixture(scope="module")
def app():
    return testinfra.get_host("docker://slipway-hardening-app1")


def converge(*options: str, **variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit", "host1", *options, **variables)


def health(tmp_path: Path) -> dict[str, Any]:
    """The results of this role's checks on host1, by what follows `security.hardening.`."""
    run = play("health", INVENTORY, "--limit", "host1", health_report_dir=str(tmp_path), **LATE)
    assert (tmp_path / "health.json").exists(), run.output
    results = json.loads((tmp_path / "health.json").read_text())["hosts"]["host1"]
    return {one["id"].rpartition(".")[2]: one for one in results if one["id"].startswith("security.hardening.")}


def report(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.partition("=")[0] == key]


def test_lynis_finds_more_than_before_and_warns_of_nothing(host):
    host.check_output("cd / && lynis audit system --quick --no-colors > /dev/null")
    before, after = (
        host.file(f"/{path}").content_string for path in ("root/lynis-before.dat", "var/log/lynis-report.dat")
    )
    scores = [int(report(text, "hardening_index")[0]) for text in (before, after)]
    print("Lynis before and after:", scores)
    assert report(after, "warning[]") == []
    assert scores[1] >= LYNIS_FLOOR and scores[1] >= scores[0] + 10


def test_what_does_not_apply_is_told_and_is_no_pass(host, tmp_path):
    found = health(tmp_path)
    assert found["umask"]["verdict"] == found["sudo"]["verdict"] == found["mounts"]["verdict"] == "pass"
    for topic, reason in {
        "modules": "a container (docker) loads no kernel modules",
        "audit": "the kernel's audit",
        "accounting": "CAP_SYS_PACCT",
        "sysctl": "kernel.kptr_restrict",
        "cron": "neither cron nor at is installed",
    }.items():
        assert found[topic]["verdict"] == "skip" and reason in found[topic]["reason"], found[topic]
    assert not host.package("auditd").is_installed
    run = converge("-v")
    assert run.changed == 0
    assert "host1: not applicable: audit: the kernel's audit" in run.said


def test_settings_that_the_host_has_are_made_and_their_loss_is_seen(host, tmp_path):
    assert host.sysctl("net.ipv4.conf.all.send_redirects") == 0
    host.check_output("sysctl -w net.ipv4.conf.all.send_redirects=1")
    found = health(tmp_path)["sysctl"]
    assert found["verdict"] == "fail" and "net.ipv4.conf.all.send_redirects = 0 (was 1)" in found["reason"]
    assert converge().changed == 1
    assert host.sysctl("net.ipv4.conf.all.send_redirects") == 0


def test_docker_serves_as_before_and_the_run_says_what_it_left(app, host):
    assert host.check_output("curl -s -m 5 http://app1:8080/index.html") == "served"
    app.run("sysctl --system")  # as at the next start; what this host may not set is refused
    app.check_output("systemctl restart docker")
    assert until(lambda: host.run("curl -s -m 5 http://app1:8080/index.html").stdout.strip() == "served")
    assert app.sysctl("net.ipv4.ip_forward") == 1
    blocked = app.file("/etc/modprobe.d/slipway-hardening.conf").content_string
    assert "install dccp /bin/false" in blocked and "overlay" not in blocked and "br_netfilter" not in blocked
    said = play(SCENARIO / "converge.yml", INVENTORY, "-v", "--limit", "app1").said
    assert "net.ipv4.ip_forward: Docker's containers would be cut off" in said
    assert "overlay, br_netfilter: Docker needs it" in said


def test_people_get_a_closed_umask_and_what_sudo_runs_the_usual_one(host):
    assert host.check_output("runuser -u kim -- bash -lc umask") == "0027"
    assert host.check_output("runuser -u kim -- bash -lc 'sudo sh -c umask'") == "0022"
    assert host.check_output("runuser -u kim -- bash -lc 'ulimit -c'") == "0"


def test_what_sudo_runs_is_written_down_where_only_root_reads(host):
    host.check_output("runuser -u kim -- sudo /bin/echo remember")
    log = host.file("/var/log/sudo.log")
    assert "kim" in log.content_string and "COMMAND=/bin/echo remember" in log.content_string
    assert host.run("runuser -u kim -- cat /var/log/sudo.log").rc != 0


def test_a_setting_that_would_break_sudo_never_arrives(host):
    before = host.file("/etc/sudoers.d/slipway-hardening").content_string
    run = converge(hardening_sudo_defaults={"no such setting": ""})
    assert run.code != 0 and "visudo" in run.said
    assert host.file("/etc/sudoers.d/slipway-hardening").content_string == before
    assert host.check_output("runuser -u kim -- sudo --non-interactive id -u") == "0"


def test_a_key_is_never_locked_out_by_a_passwords_age(host):
    host.check_output("useradd lee")
    try:
        assert "never" in host.check_output("chage -l lee | grep 'Password expires'")
    finally:
        host.check_output("userdel lee")


def test_what_must_not_be_there_is_gone(host):
    assert not host.package("talk").is_installed


def test_a_file_that_changed_is_named_until_it_is_accepted(host, tmp_path):
    host.check_output("slipway-integrity accept && systemctl start slipway-integrity")
    host.check_output("echo evil > /usr/local/sbin/planted")
    try:
        assert health(tmp_path)["files"]["verdict"] == "pass", "nobody has looked yet"
        assert host.run("systemctl start slipway-integrity").rc != 0
        assert journal_has(host, "-u slipway-integrity -n 60", "/usr/local/sbin/planted")
        host.check_output("systemctl reset-failed slipway-integrity")  # as a reboot does
        found = health(tmp_path)["files"]
        assert found["verdict"] == "fail" and "/usr/local/sbin/planted" in found["reason"], found
        host.check_output("slipway-integrity accept && systemctl start slipway-integrity")
    finally:
        host.check_output("rm -f /usr/local/sbin/planted && slipway-integrity accept")
        host.run("systemctl reset-failed slipway-integrity")


def test_what_updates_change_is_accepted_and_what_differed_before_is_not(host, tmp_path):
    host.check_output("slipway-integrity accept")
    host.check_output("echo evil > /usr/local/sbin/planted; sleep 2")
    unit = "apt-daily-upgrade.service"
    place = f"/run/systemd/system/{unit}.d"
    try:
        # Stands for unattended-upgrade, with a certificate that is renewed beside it.
        change = "echo 1 > /etc/updated; mkdir -p /etc/slipway/certificates; echo 1 > /etc/slipway/certificates/renewed"
        lines = ["[Service]", "ExecStartPre=", "ExecStartPre=/usr/local/sbin/slipway-integrity begin updates"]
        lines += ["ExecStart=", f"ExecStart=/bin/sh -c '{change}'"]
        text = "\\n".join(lines)
        host.check_output(f'mkdir -p {place} && printf "{text}\\n" > {place}/zz.conf && systemctl daemon-reload')
        assert "slipway-integrity end updates" in host.check_output(f"systemctl cat {unit}")
        host.check_output(f"systemctl start {unit}")
        assert journal_has(host, f"--unit {unit}", "accepted: "), journal(host, f"--unit {unit}")
        said = journal(host, f"--unit {unit}")
        accepted = [line for line in said.splitlines() if line.startswith("accepted: ")]
        assert accepted == ["accepted: /etc/updated"], said
        found = health(tmp_path)["files"]
        assert found["verdict"] == "fail" and "1 file differs" in found["reason"], found
        assert "/usr/local/sbin/planted" in found["reason"]
    finally:
        host.check_output(f"rm -rf {place} /usr/local/sbin/planted /etc/updated /etc/slipway/certificates/renewed")
        host.check_output("systemctl daemon-reload && slipway-integrity accept")


def test_a_run_accepts_what_it_changes_and_says_so(host, tmp_path):
    """By the last play of site.yml, as its tasks."""
    host.check_output("slipway-integrity accept && sleep 2")
    asked = (SCENARIO / "settled.yml", INVENTORY, "--limit", "host1")
    run = play(*asked, hardening_banner="Another.\n")
    assert run.code == 0 and "host1: accepted: /etc/issue" in run.said, run.output
    assert health(tmp_path)["files"]["verdict"] == "pass"
    again = play(*asked, hardening_banner="Another.\n")
    assert again.code == 0 and again.changed == 0 and "accepted" not in again.said, again.output
    assert play(*asked).code == 0


def test_what_was_emptied_or_opened_behind_its_back_is_seen(host, tmp_path):
    place = "/etc/sudoers.d/slipway-hardening"
    try:
        host.check_output(f"truncate -s 0 {place} && chmod 0755 /etc/security/pwquality.conf.d/slipway.conf")
        host.check_output("apt-get install -y --no-install-recommends talk")
        found = health(tmp_path)
        assert (found["sudo"]["verdict"], found["accounts"]["verdict"], found["packages"]["verdict"]) == ("fail",) * 3
        assert f"{place} has another content than it was set up with" in found["sudo"]["reason"]
        assert "has mode 0755 (was set up with 0644)" in found["accounts"]["reason"]
        assert "talk is installed" in found["packages"]["reason"]
    finally:
        assert converge().code == 0
    found = health(tmp_path)
    assert (found["sudo"]["verdict"], found["accounts"]["verdict"], found["packages"]["verdict"]) == ("pass",) * 3


def test_a_topic_that_is_switched_off_goes_and_says_what_stays(host):
    run = converge(hardening_integrity=False, hardening_umask=False, hardening_sysctl=False)
    assert run.code == 0, run.output
    for told in (
        "hardening of integrity is off; the package aide and its database in /var/lib/slipway/integrity stay",
        "hardening of sysctl is off; the running kernel keeps its settings until the host is restarted",
        "hardening of umask is off; sessions that are open keep theirs",
    ):
        assert f"host1: {told}" in run.said
    assert host.check_output("runuser -u kim -- bash -lc umask") == "0022"
    assert not host.file("/etc/sysctl.d/62-slipway-hardening.conf").exists
    assert "slipway-integrity" not in host.check_output("systemctl list-timers --all")
    again = converge(hardening_integrity=False, hardening_umask=False, hardening_sysctl=False)
    assert again.changed == 0 and "is off" not in again.said
    assert converge().code == 0
    assert converge().changed == 0


def test_drift_names_what_was_changed_behind_its_back(host):
    wanted = host.file("/etc/issue").content_string
    host.check_output("echo welcome > /etc/issue")
    asked = {"drift_playbook": str(SCENARIO / "converge.yml")}
    run = play("drift", INVENTORY, "--limit", "host1", **asked)
    assert run.code != 0
    assert "host1: hardening: Install settings: /etc/issue (+2 -1)" in run.said
    assert "1 difference on 1 of 1 hosts" in run.said
    assert host.file("/etc/issue").content_string == "welcome\n"
    assert converge().changed == 1
    assert host.file("/etc/issue").content_string == wanted
    assert play("drift", INVENTORY, "--limit", "host1", **asked).code == 0
