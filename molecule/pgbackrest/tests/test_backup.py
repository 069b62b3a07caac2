"""Backups as an operator sees them: made, shown, recorded, unreadable without the key, verified."""

from __future__ import annotations

import datetime
import re
import uuid
from zoneinfo import ZoneInfo

import pytest
from backup_hosts import (
    INVENTORY,
    KEY,
    REPOSITORY,
    Held,
    backup,
    backup1,
    db1,
    db2,
    files_with_key,
    fill,
    info,
    kinds,
    pgbackrest,
    results,
    service,
    sql,
    until,
)
from playbook import attempt, module, play

testinfra_hosts = ["backup1"]
TEXTFILE = "/var/lib/prometheus/node-exporter/slipway_backup_postgresql.prom"


def test_a_full_backup_and_what_came_after_it():
    fill(50_000, "filling")
    full = backup("full")
    assert full.rc == 0 and re.search(r"copying, [\d.]+\w+ read, [\d.]+ %", full.stdout), full.stdout + full.stderr
    before = info()["backup"][-1]
    incremental = backup("incr")
    assert incremental.rc == 0, incremental.stdout + incremental.stderr
    after = info()["backup"][-1]
    assert (before["type"], after["type"], after["prior"]) == ("full", "incr", before["label"])
    assert after["info"]["repository"]["delta"] < before["info"]["repository"]["delta"] / 5
    # Bundled, in blocks, compressed: 23 MB of empty cluster become a fraction in a handful of files.
    files = int(backup1.check_output(f"find {REPOSITORY}/backup/main/{before['label']} -type f | wc -l"))
    assert files < 20 and before["info"]["repository"]["delta"] < before["info"]["size"] / 2
    made = results("data.backup.full")
    assert (made["verdict"], made["unit"], made["subject"]) == ("pass", "s", "main") and made["measured"] > 0


def test_the_standby_is_copied_and_the_primary_when_there_is_none():
    def copied() -> str:
        """The log of the newest backup."""
        return backup1.check_output("tac /var/log/pgbackrest/main-backup.log | sed '/PROCESS START/q'")

    assert backup("incr").rc == 0
    assert "replay on the standby reached" in copied()
    db2.check_output("systemctl stop postgresql@17-main")
    try:
        alone = backup("incr")
    finally:
        db2.check_output("systemctl start postgresql@17-main")
    assert alone.rc == 0 and "replay on the standby" not in copied(), alone.stdout


def test_progress_comes_while_it_runs():
    with Held():
        first = backup1.file("/run/slipway-backup/full.jsonl").content_string
        assert until(lambda: len(backup1.file("/run/slipway-backup/full.jsonl").content_string) > len(first))
    assert results("data.backup.full")["verdict"] == "pass"


def test_the_repository_tells_nothing_without_the_key():
    secret = f"known-words-{uuid.uuid4().hex}"
    sql(f"create table if not exists words (it text); insert into words values ('{secret}')")
    segment = sql("select pg_walfile_name(pg_current_wal_insert_lsn())")
    sql("checkpoint; select pg_switch_wal()")
    assert backup("incr").rc == 0
    # The words are in the database's files and, for who has the key, in the archive.
    assert db1.run(f"grep -rqF {secret} /var/lib/postgresql/17/main/base").rc == 0
    fetched = "/var/lib/postgresql/fetched-segment"
    pgbackrest(db1, f"archive-get {segment} {fetched}")
    assert db1.run(f"grep -qF {secret} {fetched}").rc == 0
    db1.check_output(f"rm {fetched}")
    assert backup1.run(f"grep -rlF -e {secret} -e '[backrest]' -e known-words {REPOSITORY}").rc == 1
    # Neither compression alone nor luck: what is compressed with zst begins with this, and nothing here does.
    magic = backup1.check_output(f"find {REPOSITORY} -type f -exec head -qc 8 {{}} \\; | grep -aoF Salted__ | wc -l")
    assert int(magic) > 10
    assert "[backrest]" in pgbackrest(backup1, "repo-get backup/main/backup.info")


def test_a_wrong_key_opens_nothing():
    wrong = "env PGBACKREST_REPO1_CIPHER_PASS=another-key-of-some-length"
    text = "tr -cd '[:print:]'"  # what a wrong key makes of a file is not UTF-8
    for words, refusal in (
        ("info", "status: error"),
        ("repo-get backup/main/backup.info", "unable to flush"),
        ("verify --output=text", "No usable backup.info file"),
        ("check", "unable to load info file"),
    ):
        told = backup1.run(f"runuser -u postgres -- {wrong} pgbackrest --stanza=main {words} 2>&1 | {text}").stdout
        assert refusal in told or "FormatError" in told, (words, told)
        assert "[backrest]" not in told
    target = "/var/lib/postgresql/wrong-key"
    restore = f"pgbackrest --stanza=main --pg1-path={target} --archive-mode=off restore"
    db1.check_output(f"install -d -o postgres -m 0700 {target}")
    ran = db1.run(f"runuser -u postgres -- {wrong} PGBACKREST_REPO1_CIPHER_TYPE=aes-256-cbc {restore}")
    assert ran.rc == 75 and "no backup set found to restore" in ran.stdout, ran.stdout
    db1.check_output(f"rmdir {target}")  # which is empty still


def test_who_lost_the_key_learns_it():
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    backup1.check_output(f"cp -p {configuration} /run/kept && sed -i 's/^repo1-cipher-pass=.*/&x/' {configuration}")
    try:
        made = backup("incr")
        verified = backup("verify")
        status = backup1.check_output("slipway-backup status")
    finally:
        backup1.check_output(f"cp -p /run/kept {configuration} && rm /run/kept")
    assert made.rc == verified.rc == 3
    assert (
        "does not open with the repository's cipher_pass: another key made it" in results("data.backup.incr")["reason"]
    )
    assert "No usable" in results("data.backup.verified")["reason"]
    assert "the repository of main cannot be read: " in status and "another key made it" in status, status
    assert backup("incr").rc == backup("verify").rc == 0


def test_the_database_host_does_not_keep_the_key():
    places = ("/etc", "/root", "/var/log", "/var/lib/slipway", "/var/spool", "/var/lib/postgresql")
    assert files_with_key("db1", *places) == []
    assert files_with_key("backup1", "/etc") == ["/etc/pgbackrest/pgbackrest.conf"]
    configuration = backup1.file("/etc/pgbackrest/pgbackrest.conf")
    assert (configuration.mode, configuration.user, configuration.group) == (0o640, "root", "postgres")
    assert db1.run("runuser -u postgres -- cat /etc/pgbackrest/pgbackrest.conf").rc == 0
    assert db1.run("runuser -u nobody -- cat /etc/pgbackrest/pgbackrest.conf").rc != 0


def test_an_incremental_that_meets_a_full_one_is_skipped():
    before = kinds()
    with Held():
        met = backup("incr")
        assert met.rc == 0 and "skip: " in met.stdout, met.stdout + met.stderr
        result = results("data.backup.incr")
        assert (result["verdict"], result["measured"]) == ("skip", None)
        assert "another backup of main is running" in result["reason"]
        backup1.check_output("systemctl start slipway-backup@incr.service")
        assert service("incr") == {"ActiveState": "inactive", "Result": "success"}
    assert service("full") == {"ActiveState": "inactive", "Result": "success"}
    assert kinds() == [*before, "full"]


def test_of_two_full_backups_the_second_waits():
    before = kinds()
    with Held() as first:
        second = "/run/second-backup"
        backup1.check_output(f"sh -c 'slipway-backup full >{second} 2>&1; echo code $? >>{second}' </dev/null &")
        assert until(lambda: "waiting: another backup of main is running" in backup1.file(second).content_string)
        assert kinds() == before
        first.release()
        assert until(lambda: "code " in backup1.file(second).content_string, 200)
    assert "code 0" in backup1.file(second).content_string
    assert kinds() == [*before, "full", "full"]
    spans = [(item["timestamp"]["start"], item["timestamp"]["stop"]) for item in info()["backup"][-2:]]
    assert spans[0][1] <= spans[1][0]


def test_the_playbook_shows_progress_and_records():
    run = play("backup", INVENTORY, type="full", evidence_host="backup1")
    assert run.code == 0, run.output
    for words in ("1/3 Look", "2/3 Back up", "backup1: A full backup of main begins", " %\n", "3/3 Record"):
        assert words in run.output, (words, run.output)
    assert re.search(r"postgresql main +\d{4}-\d\d-\d\d \d\d:\d\dZ full", run.output), run.output
    assert KEY not in run.output
    latest = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.backup.*"])["backup1"]["records"]
    verdicts = {record["id"]: record["verdict"] for record in latest}
    assert verdicts["data.backup.full"] == verdicts["data.backup.size"] == "pass"
    assert backup1.run("ls /var/lib/slipway/results/*.jsonl").rc != 0  # taken


def test_the_playbook_waits_when_it_meets_another_backup():
    with Held() as full:
        skipped = play("backup", INVENTORY, backup_wait=0)
        assert skipped.code == 0 and "skip: An incremental backup of main" in skipped.output, skipped.output
        full.release()
        run = play("backup", INVENTORY, backup_wait=300)
    assert run.code == 0 and "pass: An incremental backup of main" in run.output, run.output


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"type": "differential"}, "type is 'differential', wanted is one of full, incr, verify"),
        ({}, "unable to find primary cluster"),
    ],
    ids=["nonsense", "PostgreSQL is down"],
)
def test_the_playbook_fails_with_the_reason(variables, words):
    if not variables:
        db1.check_output("systemctl stop postgresql@17-main")
    try:
        run = play("backup", INVENTORY, **variables)
    finally:
        db1.check_output("systemctl start postgresql@17-main")
    assert run.code != 0 and words in run.said, run.output
    assert "Traceback" not in run.output


def test_a_stale_backup_fails_the_check():
    def check(**options):
        arguments = {"checks": [{"kind": "backup", "of": "main", **options}], "deadline": 0, "fail_on": []}
        return module(INVENTORY, "backup1", "slipway.ops.health_check", **arguments)["backup1"]["results"][0]

    assert check()["verdict"] == check(age="< 1 h", full_age="< 2 h")["verdict"] == "pass"
    stale = check(age="< 0.01 s")
    assert stale["verdict"] == "fail" and stale["reason"].startswith("the age of the newest backup of main is ")
    assert check(drill="< 8 d")["reason"] == "no restore of main was ever drilled"
    assert "this host makes no backup of other" in check(of="other")["reason"]


def test_backup_info_has_the_one_shape_and_its_metrics():
    record = {
        "id": "data.drill.postgresql.rto",
        "subject": "main",
        "measured": 20_000.0,
        "verdict": "fail",
        "at": "2026-11-20T10:00:00.000Z",
    }
    told = module(INVENTORY, "backup1", "slipway.ops.backup_info", records=[record])["backup1"]
    (state,) = told["backups"]
    assert (state["engine"], state["name"], state["rto"], state["verdict"]) == ("postgresql", "main", 20_000.0, "fail")
    assert "the RTO of main is 5h33m20s, more than 4h" in state["problems"]
    assert any("5h33m (<= 4h)" in line for line in told["lines"]), told["lines"]
    assert backup("incr").rc == 0
    metrics = backup1.file(TEXTFILE).content_string
    assert 'slipway_backup_rto_seconds{engine="postgresql",name="main"} 20000.0' in metrics
    success = float(re.search(r"^slipway_backup_last_success_timestamp_seconds{.*} (\S+)$", metrics, re.M)[1])
    assert abs(success - info()["backup"][-1]["timestamp"]["stop"]) < 1
    code, failed = attempt(INVENTORY, "db1", "slipway.ops.backup_info", {"engines": []})
    assert code != 0 and "this host makes no backups: there is no" in failed["db1"]["msg"]


def test_the_exporter_tells_on_loopback_alone():
    def metrics():
        return backup1.check_output("curl -sS --max-time 5 http://127.0.0.1:9854/metrics")

    assert until(lambda: 'pgbackrest_stanza_status{stanza="main"} 0' in metrics())
    assert re.search(r'pgbackrest_backup_since_last_completion_seconds{.*stanza="main"} \d', metrics())
    assert db1.run("curl -sS --max-time 5 http://backup1:9854/metrics").rc == 7


def test_timers_keep_to_their_time_zone():
    timer = "slipway-backup-full.timer"
    shown = backup1.check_output(f"systemctl show {timer} -p NextElapseUSecRealtime --value")
    elapses = datetime.datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=datetime.timezone.utc)
    due = elapses.astimezone(ZoneInfo("Asia/Seoul"))
    assert (due.month, due.day, due.hour) == (1, 1, 2) and due.minute < 5  # five minutes of chance
    assert backup1.run(f"systemctl is-enabled {timer}").stdout.strip() == "enabled"


def test_retention_is_by_time():
    kept = kinds()
    planned = pgbackrest(backup1, "--dry-run --log-level-console=info expire")
    assert "time-based archive retention" in planned and "remove expired backup" not in planned, planned
    by_count = "--repo1-retention-full-type=count --repo1-retention-full=1"
    planned = pgbackrest(backup1, f"--dry-run --log-level-console=info {by_count} expire")
    assert "expire full backup" in planned, planned
    assert kinds() == kept


@pytest.fixture(scope="class")
def two_backups():
    assert backup("full").rc == 0
    sql("select pg_switch_wal()")
    sql("insert into words values ('later'); select pg_switch_wal()")
    assert backup("incr").rc == 0


@pytest.mark.usefixtures("two_backups")
class TestVerification:
    def test_a_sound_repository_passes(self):
        assert backup("verify").rc == 0
        assert results("data.backup.verified")["verdict"] == "pass"

    def test_one_wrong_byte_fails(self):
        label = next(item["label"] for item in reversed(info()["backup"]) if item["type"] == "full")
        file = f"{REPOSITORY}/backup/main/{label}/bundle/1"
        backup1.check_output(f"cp -p {file} /tmp/kept")
        backup1.check_output(f"printf wrong | dd of={file} bs=1 seek=2000 conv=notrunc status=none")
        ran = backup("verify")
        backup1.check_output(f"cp -p /tmp/kept {file}")
        result = results("data.backup.verified")
        assert (ran.rc, result["verdict"]) == (3, "fail")
        assert f"{label} is invalid" in result["reason"] and "bundle/1" in result["reason"]

    @pytest.mark.parametrize(
        ("which", "words"), [("wal_start", "cannot be restored"), ("between", "no restore can stop")]
    )
    def test_a_missing_segment_is_seen(self, which, words):
        backups = info()["backup"]
        first, last = backups[-2]["archive"]["stop"], backups[-1]["archive"]["start"]
        segment = last if which == "wal_start" else f"{int(first, 16) + 1:024X}"
        assert which == "wal_start" or first < segment < last
        path = backup1.check_output(f"find {REPOSITORY}/archive -name '{segment}-*'")
        backup1.check_output(f"mv {path} /tmp/segment")
        backup("verify")
        backup1.check_output(f"mv /tmp/segment {path}")
        result = results("data.backup.verified")
        assert result["verdict"] == ("fail" if which == "wal_start" else "warn") and words in result["reason"], result


def test_results_wait_for_a_playbook_that_can_record_them():
    def spooled(*taken: str):
        return module(INVENTORY, "backup1", "slipway.ops.spooled_results", taken=list(taken))["backup1"]

    assert backup("incr").rc == 0
    found = spooled()
    assert "data.backup.incr" in [record["id"] for record in found["records"]]
    assert spooled(*found["files"])["records"] == spooled()["records"] == []
    assert results("data.backup.incr")  # the host itself still knows
