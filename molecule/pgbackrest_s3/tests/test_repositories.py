"""Two repositories, one of them an object store: both get everything, and the store's tells nothing without its key."""

from __future__ import annotations

import uuid

import pytest
from machine import until
from playbook import module, play
from store_hosts import (
    BUCKET,
    DISK,
    INVENTORY,
    KEY,
    SECRET,
    archived,
    backup,
    configure,
    db1,
    objects1,
    sql,
    switch,
    verdicts,
)

testinfra_hosts = ["db1"]
MARKER = f"known-words-{uuid.uuid4().hex}"


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    """With words in the database's files, and in the WAL after it."""
    sql(f"create table if not exists words (it text); insert into words values ('{MARKER}'); checkpoint")
    made = backup("full")
    assert made.rc == 0, made.stdout
    sql(f"insert into words values ('{MARKER}')")


def pgbackrest(words: str, configuration: str = "/etc/pgbackrest/pgbackrest.conf"):
    return db1.run(f"runuser -u postgres -- pgbackrest --config={configuration} --stanza=main {words}")


def test_both_get_backups_and_wal():
    assert verdicts("data.backup.full") == ["pass", "pass"]
    made = backup("incr")
    assert made.rc == 0 and verdicts("data.backup.incr") == ["pass", "pass"], made.stdout
    segment = switch()
    assert until(lambda: archived(segment, 1) and archived(segment, 2), 200)
    states = module(INVENTORY, "db1", "slipway.ops.backup_info", engines=["postgresql"])["db1"]["backups"]
    assert [(state["name"], state["kind"], state["trouble"]) for state in states] == [
        ("main/repo1", "incr", None),
        ("main/repo2", "incr", None),
    ]


def test_the_bucket_tells_nothing_without_the_key():
    words = f"-e {MARKER} -e known-words -e '[backrest]'"
    # In the other repository, which is neither encrypted nor compressed, it is found in data, in WAL and beside them.
    for place in ("backup/main/backup.info", "backup/main/*/bundle", "archive/main/*-1/*/"):
        assert db1.run(f"grep -rqF {words} {DISK}/{place}").rc == 0, place
    assert objects1.run(f"grep -rlF {words} {BUCKET}").rc == 1
    assert int(objects1.check_output(f"find {BUCKET}/shop -type f | wc -l")) > 10
    assert "[backrest]" in pgbackrest("--repo=2 repo-get backup/main/backup.info").stdout


def test_a_wrong_key_opens_nothing():
    other = "/var/lib/postgresql/wrong-key.conf"
    db1.check_output(f"install -o postgres -m 0600 /etc/pgbackrest/pgbackrest.conf {other}")
    assert "[backrest]" in pgbackrest("--repo=2 repo-get backup/main/backup.info", other).stdout
    db1.check_output(f"sed -i 's/^repo2-cipher-pass=.*/repo2-cipher-pass=another-key-of-some-length/' {other}")
    try:
        for words in ("repo-get backup/main/backup.info", "--pg1-path=/var/lib/postgresql/none --type=none restore"):
            refused = pgbackrest(f"--repo=2 {words} | tr -cd '[:print:]'", other)
            assert "ERROR" in refused.stdout + refused.stderr and "[backrest]" not in refused.stdout, refused
    finally:
        db1.check_output(f"rm {other}")


def test_a_drill_restores_from_the_store():
    run = play("drill", INVENTORY)
    assert run.code == 0 and "main/repo2 passed" in run.output, run.output
    assert KEY not in run.output and SECRET not in run.output


def test_what_keeps_the_store_from_being_reached_is_said():
    wrong = {"s3_key_secret": "another-secret-that-is-not-right"}
    try:
        for changes, words in (
            (wrong, "HTTP request failed with 403 (Forbidden): SignatureDoesNotMatch: "),
            (wrong, "SignatureDoesNotMatch"),  # nor is it passed over when nothing changed
            ({"s3_ca_file": "/etc/ssl/certs/ISRG_Root_X1.pem"}, "unable to verify certificate presented by 'objects1"),
        ):
            run = configure(**changes)
            assert run.code != 0 and "Repository 2 cannot be read: " in run.said and words in run.said, run.output
            assert "Traceback" not in run.output and SECRET not in run.output and KEY not in run.output
    finally:
        run = configure()
    assert run.code == 0, run.output
