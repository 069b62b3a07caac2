"""What breaks while WAL is archived and backups run: the repository goes away, is full, the database host dies."""

from __future__ import annotations

import subprocess

import pytest
from backup_hosts import (
    CONTAINER,
    REPOSITORY,
    WAL,
    Held,
    backup,
    backup1,
    db1,
    fill,
    info,
    kinds,
    pgbackrest,
    results,
    service,
    sql,
    until,
    waiting,
)

testinfra_hosts = ["backup1"]


def archived() -> str:
    """The newest segment in the repository."""
    return info()["archive"][-1]["max"]


def switch(times: int = 1) -> str:
    """The last WAL segment that was finished, each with something in it."""
    for _ in range(times):
        last = sql("insert into words values ('more'); select pg_walfile_name(pg_switch_wal())")
    return last


def sound() -> bool:
    """A verification finds every file in order, and no segment missing between two others."""
    return backup("verify").rc == 0 and results("data.backup.verified")["verdict"] == "pass"


@pytest.fixture(scope="module", autouse=True)
def _a_full_backup():
    sql("create table if not exists words (it text)")
    assert backup("full").rc == 0


def test_wal_waits_while_the_repository_is_down():
    switch()
    assert until(lambda: waiting() == 0)
    failures = int(sql("select failed_count from pg_stat_archiver"))
    backup1.check_output("systemctl stop pgbackrest.service")
    try:
        last = switch(5)
        assert until(lambda: int(sql("select failed_count from pg_stat_archiver")) > failures, 200)
        assert waiting() == 5
        assert db1.file(f"{WAL}/{last}").exists and archived() < last
        assert sql("insert into words values ('PostgreSQL goes on') returning 1") == "1"
    finally:
        backup1.check_output("systemctl start pgbackrest.service")
    last = switch()  # PostgreSQL would try again a minute after the last of three failures; a new segment wakes it
    assert until(lambda: waiting() == 0, 300)
    assert archived() >= last
    assert sound()
    assert db1.run("grep -rq archive-push-queue-max /etc/pgbackrest").rc == 1  # beyond it WAL would be dropped


def test_a_full_repository_disk_drops_nothing():
    """The repository on a small disk of its own that fills up during a backup, and is enlarged."""
    small, copy = "/run/small", "/var/tmp/repository"
    fill(300_000, "too_much")
    switch()
    assert until(lambda: waiting() == 0)
    used = int(backup1.check_output(f"du -sm {REPOSITORY}").split()[0])
    backup1.check_output("systemctl stop pgbackrest.service")
    backup1.check_output(f"mkdir -p {small} && mount -t tmpfs -o size={used + 8}M tmpfs {small}")
    backup1.check_output(f"cp -a {REPOSITORY}/. {small} && chown postgres: {small} && chmod 0750 {small}")
    backup1.check_output(f"mount --bind {small} {REPOSITORY} && systemctl start pgbackrest.service")
    try:
        failed = backup("full")
        told = results("data.backup.full")
        assert failed.rc == 3 and told["verdict"] == "fail", failed.stdout
        assert f"the disk of {REPOSITORY} has " in told["reason"] and "pgBackRest says: " in told["reason"], told
        fill(200_000, "too_much")  # so that WAL fills what was left
        last = switch(3)
        assert waiting() > 0
        backup1.check_output(f"mount -o remount,size=1G {small}")
        last = switch()
        assert until(lambda: waiting() == 0, 300)
        assert archived() >= last
        assert backup("full").rc == 0, results("data.backup.full")
        assert sound()
    finally:
        sql("drop table if exists too_much")
        backup1.check_output("systemctl stop pgbackrest.service")
        backup1.check_output(f"umount {REPOSITORY} && rm -rf {copy} && cp -a {small} {copy}")
        backup1.check_output(f"find {REPOSITORY} -mindepth 1 -delete && cp -a {copy}/. {REPOSITORY} && rm -rf {copy}")
        backup1.check_output(f"umount {small} && systemctl start pgbackrest.service")
    assert sound()


def test_a_backup_that_was_stopped_says_so():
    before = kinds()
    with Held() as full:
        backup1.check_output("systemctl stop --no-block slipway-backup@full.service")
        full.release()
    told = results("data.backup.full")
    assert told["verdict"] == "fail" and "terminated on signal" in told["reason"], told
    assert kinds() == before and backup("incr").rc == 0


def test_the_database_host_dies_during_a_backup():
    before = kinds()
    fill(200_000, "half_copied")
    with Held() as full:
        subprocess.run(["docker", "kill", f"{CONTAINER}db1"], check=True, capture_output=True)
        full.release()
    try:
        assert service("full") == {"ActiveState": "inactive", "Result": "success"}  # it was recorded
        told = results("data.backup.full")
        assert told["verdict"] == "fail" and "pgBackRest says: " in told["reason"], told
        assert "[" in told["reason"].partition("pgBackRest says: ")[2], told  # a reason has a number
    finally:
        subprocess.run(["docker", "start", f"{CONTAINER}db1"], check=True, capture_output=True)
    assert until(lambda: db1.run("pg_isready -q").rc == 0, 200)
    assert kinds() == before
    assert until(lambda: backup("full").rc == 0, 200, 2), results("data.backup.full")
    sql("drop table half_copied")
    assert sound()
    assert "ok" in pgbackrest(backup1, "info")
