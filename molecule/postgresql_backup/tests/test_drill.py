"""A drill passes on what can be restored, and fails on everything else with the reason; nothing of it stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playbook import module, play
from two_hosts import (
    INVENTORY,
    KEY,
    REPOSITORY,
    acknowledged,
    archived,
    backup,
    backup1,
    db1,
    drill,
    labels,
    leftovers,
    results,
    sql,
    timeline,
    until,
    writer,
)

testinfra_hosts = ["backup1"]

PEOPLE = """
drop table if exists orders, "Odd ""name", nothing, parts, scribbles;
create table orders (number bigint, words text);
create table "Odd ""name" (
  a float8, b numeric, c bytea, d jsonb, e timestamptz, f interval, g text[], slipway_row int
);
insert into "Odd ""name" values
  (0.1::float8 + 0.2, 1.10, '\\x00ff', '{"k": [1, null]}', now(), '1 month 2 days', '{"a,b",NULL}', 1),
  ('NaN', 'Infinity', null, null, 'infinity', null, '{}', null), (null, null, null, null, null, null, null, null);
create table nothing ();
create table parts (n int) partition by range (n);
create table parts_1 partition of parts for values from (0) to (1000000);
insert into parts select generate_series(1, 20000);
create unlogged table scribbles as select 1 as one;
create index parts_n on parts (n);
"""


@pytest.fixture(scope="module", autouse=True)
def _backups():
    """A full backup, changes, an incremental one, changes that are in the WAL alone."""
    sql(PEOPLE)
    backup("full")
    sql("insert into orders select n, md5(n::text) from generate_series(1000000, 1010000) n")
    backup("incr")
    sql("update orders set words = 'changed' where number % 7 = 0")


def test_a_sound_backup_passes_while_somebody_writes():
    before = timeline()
    with writer() as log:
        run = play("drill", INVENTORY, evidence_host="backup1")
        rows = acknowledged(log)
    assert run.code == 0, run.output
    for words in (
        "2/3 Drill",
        "db1:     0.",
        "Restore",
        "RTO ",
        "RPO ",
        "tables the same",
        "at this speed 100GiB take",
    ):
        assert words in run.output, (words, run.output)
    assert KEY not in run.output
    longest = max(end - begin for _, begin, end in rows)
    assert longest < (rows[-1][2] - rows[0][1]) / 4  # writers go on for most of it
    assert leftovers() == ""
    # The copy became a server of its own and never reached the archive.
    assert timeline() == before
    assert backup1.run(f"find {REPOSITORY}/archive -name '{before + 1:08X}*' | grep .").rc == 1


def test_what_was_measured_is_evidence():
    found = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.drill.*"])["backup1"]["records"]
    records = {record["id"].rpartition(".")[2]: record for record in found}
    assert {name: record["verdict"] for name, record in records.items()} == dict.fromkeys(
        [
            "result",
            "rto",
            "restore",
            "start",
            "replay",
            "size",
            "rto_at_size",
            "size_within",
            "rpo",
            "rows",
            "checksums",
        ],
        "pass",
    )
    assert 0 < records["rto"]["measured"] < 600 and records["rto"]["limit"] == "<= 14400"
    assert 0 <= records["rpo"]["measured"] < 600 and records["rpo"]["limit"] == "<= 86400"
    artifact = f"/var/lib/slipway/evidence/{records['result']['artifacts'][0]}"
    report = json.loads(backup1.file(artifact).content_string)
    tables = {table["name"]: table for table in report["tables"]}
    for name in ("shop.public.orders", 'shop.public.Odd "name', "shop.public.parts_1", "shop.public.nothing"):
        assert tables[name]["hash"] == tables[name]["restored_hash"], name
    assert tables["shop.public.parts_1"]["rows"] == 20000 and "shop.public.scribbles" not in tables
    assert {"restore", "start", "replay", "compare", "amcheck", "checksums", "clean"} <= {
        phase["name"] for phase in report["phases"]
    }
    told = module(INVENTORY, "backup1", "slipway.ops.backup_info", records=found)["backup1"]["backups"][0]
    assert told["drill_verdict"] == "pass" and told["rto"] == records["rto"]["measured"]


@contextmanager
def moved(path: str) -> Iterator[None]:
    """A file or directory of the repository that is not where it was, or that a test may spoil."""
    backup1.check_output(f"rm -rf /tmp/kept && cp -a {path} /tmp/kept")
    try:
        yield
    finally:
        backup1.check_output(f"rm -rf {path} && cp -a /tmp/kept {path}")


def fails(*words: str) -> str:
    """The reason why the drill fails, which has these words in one line; nothing of it stays."""
    code, found = drill()
    reason = found["result"]["reason"] or ""
    assert (code, found["result"]["verdict"]) == (3, "fail"), found["result"]
    assert all(word in reason for word in words) and "\n" not in reason, reason
    assert KEY not in reason and leftovers() == ""
    return reason


def bundle() -> str:
    """The file with most of the newest full backup."""
    full = next(label for label in reversed(labels()) if label.endswith("F"))
    return backup1.check_output(f"ls -S {REPOSITORY}/backup/main/{full}/bundle/* | head -n 1")


def test_a_wrong_byte_fails():
    with moved(bundle()):
        backup1.check_output(f"printf wrong | dd of={bundle()} bs=1 seek=5000 conv=notrunc status=none")
        reason = fails("cannot be restored; pgBackRest says: ")
        assert "does not match expected checksum" in reason or "Data corruption detected" in reason, reason


def test_a_truncated_file_fails():
    with moved(bundle()):
        backup1.check_output(f"truncate -s 20000 {bundle()}")
        reason = fails("cannot be restored; pgBackRest says: ")
        assert re.search(r"says: \[\d+\]: raised from local-\d+ protocol: \w+", reason), reason


def test_a_missing_backup_fails():
    newest = labels()[-1]
    with moved(f"{REPOSITORY}/backup/main/{newest}"):
        backup1.check_output(f"rm -r {REPOSITORY}/backup/main/{newest}")
        fails(newest, "pgBackRest says: ", "missing")


def test_a_stale_backup_fails_and_who_makes_it_is_told():
    configuration = "/etc/slipway/drill/postgresql.json"
    db1.check_output(f'cp {configuration} /tmp/kept && sed -i \'s/"age": [0-9.]*/"age": 0.5/\' {configuration}')
    backup1.check_output(f"mkdir -p {TEXTFILES}")
    try:
        run = play("drill", INVENTORY, evidence_host="backup1")
        told = told_verdict()
    finally:
        db1.check_output(f"cp /tmp/kept {configuration}")
        backup1.check_output(f"rm -r {TEXTFILES}")
    assert run.code != 0 and leftovers() == ""
    reason = run.output.partition("Fail where a drill failed")[2]
    assert labels()[-1] in reason and " old, more than 500ms" in reason, run.output
    assert told == "2"


TEXTFILES = "/var/lib/prometheus/node-exporter"


def told_verdict() -> str:
    """What the metrics of the host that makes the backups say of the last drill: 0 pass, 2 fail."""
    metrics = backup1.check_output(f"cat {TEXTFILES}/*.prom")
    (verdict,) = re.findall(r"(?m)^slipway_backup_drill_verdict\{.*\} (\S+)$", metrics)
    return verdict


def test_a_wrong_key_fails():
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    with moved(configuration):
        another = r"s/^(repo1-cipher-pass)=.*/\1=another-key-that-is-not-the-right-one/"
        backup1.check_output(f"sed -i -E '{another}' {configuration}")
        backup1.check_output("systemctl restart pgbackrest")
        try:
            fails("cannot be read", "another key made it")
        finally:
            backup1.check_output(f"cp /tmp/kept {configuration} && systemctl restart pgbackrest")


def test_a_missing_wal_segment_fails():
    switch = "insert into orders values (-1, 'later'); select pg_walfile_name(pg_switch_wal())"
    sql(switch)
    middle, last = sql(switch), sql(switch)
    archived(last)
    with moved(archived(middle)):
        backup1.check_output(f"rm {archived(middle)}")
        fails(f"WAL segment {middle} is missing", "make a full backup now")


def test_a_killed_drill_leaves_nothing():
    assert db1.run("systemctl start --no-block slipway-drill@postgresql").rc == 0
    assert until(lambda: "slipway-drill-postgresql-server" in leftovers(), 200, 0.02)
    db1.check_output("systemctl kill --signal=SIGKILL slipway-drill@postgresql")
    assert until(lambda: leftovers() == "", 120), leftovers()
    db1.check_output("sh -c 'slipway-drill postgresql >/tmp/drill.log 2>&1 & echo $! > /tmp/drill.pid'")
    assert until(lambda: "slipway-drill-postgresql-server" in leftovers(), 200, 0.02)
    second = db1.run("slipway-drill postgresql")
    assert second.rc == 0 and "skip" in second.stdout and "another drill of PostgreSQL is under way" in second.stdout
    db1.check_output("kill -9 $(cat /tmp/drill.pid)")
    assert leftovers() != ""
    assert drill()[0] == 0
    assert leftovers() == ""


def test_a_stopped_drill_says_so():
    assert db1.run("systemctl start --no-block slipway-drill@postgresql").rc == 0
    assert until(lambda: "slipway-drill-postgresql-server" in leftovers(), 200, 0.02)
    db1.check_output("systemctl stop slipway-drill@postgresql")
    assert "was stopped" in results("data.drill.postgresql.")["result"]["reason"] and leftovers() == ""
