"""A controller that dies after any change of a role: the next run goes on, and what was meant runs in the end."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from playbook import module, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
host = testinfra.get_host("docker://slipway-killed-one1")
given: dict[str, Any] = {}


@dataclass(frozen=True)
class Role:
    """``then`` is what changes later. A command each tells that the host does what was meant before and after it."""

    name: str
    then: dict[str, Any]
    before: str
    after: str


def answers(name: str, then: dict[str, Any], *ports: int) -> Role:
    """One that listens on another port later, and no longer on the first."""
    before, after = (f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'" for port in ports)
    return Role(name, then, f"{before} && ! {after}", f"{after} && ! {before}")


def timer(name: str, then: dict[str, Any], unit: str, before: str, after: str) -> Role:
    said = f"systemctl is-active {unit} && systemctl show --property=TimersCalendar --value {unit}"
    return Role(name, then, f"{said} | grep -F '{before}'", f"{said} | grep -F '{after}'")


RELOADED = "cmp /run/listener.pem /etc/slipway/certificates/public/fullchain.pem"
NAMED = "openssl x509 -noout -ext subjectAltName -in /run/listener.pem"
JOURNAL = "journalctl --unit=systemd-journald --output=cat | grep '^System Journal' | tail -1 | grep -F 'max {},'"
SSH = "ssh -o StrictHostKeyChecking=no -o BatchMode=yes -o Ciphers=aes128-ctr nobody@127.0.0.1 2>&1 | grep -F '{}'"
ROLES = [
    Role("baseline", {"baseline_journal_max_use": "200M"}, JOURNAL.format("1G"), JOURNAL.format("200M")),
    Role("certificate", {"public_names": ["one1", "two1"]}, RELOADED, f"{RELOADED} && {NAMED} | grep -w two1"),
    answers("node_exporter", {"node_exporter_port": 9101}, 9100, 9101),
    answers("nginx", {"nginx_http_port": 8080}, 80, 8080),
    answers("nginx_exporter", {"nginx_exporter_port": 9114}, 9113, 9114),
    answers("haproxy", {"haproxy_metrics_bind": "127.0.0.1:8405"}, 8404, 8405),
    answers("redis", {"redis_port": 6380}, 6379, 6380),
    answers("redis_exporter", {"redis_exporter_port": 9122}, 9121, 9122),
    answers("registry", {"registry_port": 5010}, 5000, 5010),
    timer("evidence", {"evidence_schedule": "weekly"}, "slipway-evidence.timer", "OnCalendar=*-*-*", "OnCalendar=Mon"),
    Role(
        "fail2ban",
        {"fail2ban_ssh_retries": 4},
        "fail2ban-client get sshd maxretry | grep -x 5",
        "fail2ban-client get sshd maxretry | grep -x 4",
    ),
    timer("restic", {"restic_schedule": {"backup": "03:33"}}, "slipway-backup-files-incr.timer", "02:30", "03:33"),
    timer("jobs", {"jobs_timezone": "Asia/Seoul"}, "slipway-job-readiness.timer", "UTC", "Seoul"),
    Role(
        "wireguard",
        {"wireguard_port": 51821},
        "wg show slipway0 listen-port | grep -x 51820",
        "wg show slipway0 listen-port | grep -x 51821",
    ),
    Role(
        "ssh",
        {"ssh_settings": {"Ciphers": "aes256-gcm@openssh.com"}},
        SSH.format("Permission denied"),
        SSH.format("no matching cipher"),
    ),
    answers("postgresql", {"postgresql_port": 5433}, 5432, 5433),
    timer("pgbackrest", {"pgbackrest_schedule": {"full": "03:33"}}, "slipway-backup-full.timer", "OnCalendar", "03:33"),
    answers("logs", {"logs_port": 19533}, 19532, 19533),
    answers("blackbox_exporter", {"blackbox_exporter_port": 9116}, 9115, 9116),
    answers("prometheus", {"prometheus_port": 9091}, 9090, 9091),
    Role(
        "firewall",
        {"firewall_rules": [{"name": "seven", "port": 7001, "from": ["anywhere"]}]},
        "nft list table inet slipway && ! nft list table inet slipway | grep -w 7001",
        "nft list table inet slipway | grep -w 7001",
    ),
]


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ANSIBLE_CALLBACK_PLUGINS", str(SCENARIO / "killer"))
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "killer")
    return monkeypatch


@functools.cache
def seen() -> dict[str, Any]:
    """What role baseline reads of a host in a run of the site, so that others need not ask apt again."""
    return dict(module(INVENTORY, "one1", "slipway.ops.baseline_info", names=[])["one1"])


def killed_after_each_change(deadly: pytest.MonkeyPatch, role: str) -> list[str]:
    """The tasks after which a run was killed; the last run was not, and ended well."""
    killed: list[str] = []
    known = {} if role == "baseline" else {"__baseline_seen": seen()}
    while True:
        deadly.setenv("KILLED", "\n".join(killed))
        run = play(SCENARIO / "role.yml", INVENTORY, one=role, **given, **known)
        told = re.findall(r"^KILLED after (.*)$", run.stdout, re.MULTILINE)
        if not told:
            assert run.code == 0, f"after {killed}: {run.output}"
            return killed
        killed += told


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_was_meant_runs_although_runs_were_killed(deadly: pytest.MonkeyPatch, role: Role) -> None:
    """First on the bare host, then for a change."""
    first = killed_after_each_change(deadly, role.name)
    told = host.run(role.before)
    assert first and told.rc == 0, (first, told)
    given.update(role.then)
    then = killed_after_each_change(deadly, role.name)
    told = host.run(role.after)
    assert then and told.rc == 0, (then, told)


def test_nothing_is_left_to_do() -> None:
    (all_roles,) = yaml.safe_load((SCENARIO / "converge.yml").read_text())
    assert all_roles["roles"] == [f"slipway.ops.{role.name}" for role in ROLES]
    run = play(SCENARIO / "converge.yml", INVENTORY, **given)
    assert run.code == 0 and run.changed == 0, run.output
