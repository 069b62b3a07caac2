"""A database host that keeps its backups on a disk of its own: it makes them itself, and needs nobody."""

from __future__ import annotations

import json

from backup_hosts import INVENTORY, lone1, until
from playbook import module

testinfra_hosts = ["lone1"]
SIGNAL = "/var/lib/postgresql/17/main/standby.signal"


def made(kind: str) -> dict:
    """What it left last."""
    ran = lone1.run(f"slipway-backup {kind}")
    latest = json.loads(lone1.file("/var/lib/slipway/results/latest.json").content_string)
    identifier = f"data.backup.{'verified' if kind == 'verify' else kind}"
    result = max((record for record in latest if record["id"] == identifier), key=lambda record: record["at"])
    assert ran.rc == (result["verdict"] == "fail"), ran.stdout + ran.stderr
    return result


def test_it_backs_itself_up():
    listed = json.loads(lone1.check_output("runuser -u postgres -- pgbackrest info --output=json"))
    before = len(listed[0]["backup"])
    assert [made(kind)["verdict"] for kind in ("full", "incr", "verify")] == ["pass", "pass", "pass"]
    (state,) = module(INVENTORY, "lone1", "slipway.ops.backup_info", engines=["postgresql"])["lone1"]["backups"]
    assert (state["name"], state["kind"], state["backups"]) == ("lone", "incr", before + 2)
    timers = lone1.check_output("systemctl list-timers --all --no-legend 'slipway-backup-*'")
    assert len(timers.splitlines()) == 3


def test_without_encryption_it_can_be_read():
    """What the tests of encryption look for is there when there is none."""
    assert lone1.run("grep -rqF '[backrest]' /srv/backups").rc == 0


def test_it_listens_to_nobody():
    assert lone1.check_output("ss -Hltn 'sport = :8432'") == ""
    assert lone1.check_output("ss -Hltn 'sport = :9854'") == ""


def test_a_standby_leaves_it_to_its_primary():
    lone1.check_output(f"runuser -u postgres -- touch {SIGNAL} && systemctl restart postgresql@17-main")
    try:
        skipped = made("incr")
    finally:
        lone1.check_output(f"rm {SIGNAL} && systemctl restart postgresql@17-main")
    assert (skipped["verdict"], skipped["subject"]) == ("skip", "lone on lone1")
    assert "its primary makes the backups" in skipped["reason"]
    assert until(lambda: made("incr")["verdict"] == "pass")
