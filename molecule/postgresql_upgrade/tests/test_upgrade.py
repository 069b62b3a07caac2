"""PostgreSQL 15 becomes 17 with all that is in it, its backups go on, and there is a way back; or there is a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import testinfra
from machine import until
from playbook import Run, module, play
from secret_watch import SecretWatch

testinfra_hosts = ["backup1"]

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-postgresql-upgrade-"
KEY = "only-for-this-scenario-not-a-secret-3vLw"  # of the inventory
OLD, NEW = (f"/var/lib/postgresql/{version}/main" for version in (15, 17))

db1, backup1 = (testinfra.get_host(f"docker://{CONTAINER}{host}") for host in ("db1", "backup1"))


@pytest.fixture(scope="module", autouse=True)
def watch():
    """Looks for the key where it must not be, as long as there are tests, and fails after the last."""
    places = ("/var/log", "/var/lib/slipway/results", "/var/lib/slipway/evidence")
    with SecretWatch({"cipher_pass": KEY}, [CONTAINER + host for host in ("db1", "backup1")], places) as watch:
        yield watch
    assert watch.saw(f"{CONTAINER}db1", "pg_upgrade")
    watch.verify()


def sql(statement: str, database: str = "shop") -> str:
    return db1.check_output("runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s %s", statement, database)


def serving() -> int:
    return int(sql("select current_setting('server_version_num')::int / 10000"))


def upgrade(version: int = 17, **variables):
    return play("upgrade", INVENTORY, evidence_host="backup1", postgresql_version=version, **variables)


def evidence() -> dict[str, dict]:
    found = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.upgrade.*"])["backup1"]["records"]
    return {record["id"].rpartition(".")[2]: record for record in found}


def archived(statement: str) -> bool:
    """Whether the WAL with this statement reaches the repository."""
    segment = sql(f"{statement}; select pg_walfile_name(pg_switch_wal())")
    return until(lambda: backup1.run(f"find /var/lib/pgbackrest/archive -name '{segment}-*' | grep .").rc == 0)


def newest() -> dict:
    told = backup1.check_output("runuser -u postgres -- pgbackrest --stanza=main --output=json info")
    stanza = json.loads(told)[0]
    versions = {entry["id"]: entry["version"] for entry in stanza["db"]}
    last = stanza["backup"][-1]
    return {"type": last["type"], "version": versions[last["database"]["id"]]}


def test_what_cannot_be_is_refused_before_anything_changes():
    sql("create table orders (number bigint, words text); create index on orders using gin (words gin_trgm_ops)")
    sql("insert into orders select n, md5(n::text) from generate_series(1, 100000) n; analyze")
    started = sql("select pg_postmaster_start_time()")
    for run, words in (
        (upgrade(), "no restore drill of main is on record. Run drill.yml first"),
        (upgrade(15), "has PostgreSQL 15 already"),
        (upgrade(17, upgrade_mode="move"), "upgrade_mode is 'move', wanted is one of copy, link"),
        (upgrade(15, rollback=True), "has no upgrade of main that could be taken back"),
    ):
        assert words in run.said and run.changed == 0, run.output
    assert sql("select pg_postmaster_start_time()") == started


def test_an_upgrade_that_pg_upgrade_refuses_changes_nothing():
    sql("create table odd (number regconfig)")  # of a type whose values are of one version
    run = upgrade(upgrade_reason="the test of the drill comes later")
    assert run.code != 0 and "pg_upgrade says: " in run.said and "PostgreSQL 15 serves" in run.said, run.output
    assert serving() == 15 and evidence()["result"]["verdict"] == "fail", evidence()
    sql("drop table odd")


def test_there_and_on():
    hashed = sql("select count(*), sum(hashtextextended(orders::text, 0)) from orders")
    run = upgrade(upgrade_reason="the test of the drill comes later")
    assert run.code == 0 and "PostgreSQL 17 serves; nothing answered for " in run.said, run.output
    assert KEY not in run.output
    assert serving() == 17 and sql("select count(*), sum(hashtextextended(orders::text, 0)) from orders") == hashed
    # Its statistics are known, its extensions are those of the new packages, pages have checksums as before.
    assert int(sql("select count(*) from pg_stats where tablename = 'orders'")) > 0
    assert sql("select count(*) from pg_available_extensions where installed_version <> default_version") == "0"
    assert sql("show data_checksums") == "on"
    assert archived("insert into orders values (-1, 'written after')")
    assert newest() == {"type": "full", "version": "17"}
    told = evidence()
    assert told["result"]["verdict"] == "warn" and "the test of the drill comes later" in told["result"]["reason"]
    assert 0 < told["downtime"]["measured"] < 600
    again = play(SCENARIO / "converge.yml", INVENTORY, postgresql_version=17)
    assert again.code == 0 and again.changed == 0, again.output
    assert "has PostgreSQL 17 already" in upgrade().output


def test_and_back():
    refused = upgrade(15, rollback=True)
    assert refused.code != 0 and "upgrade_confirm=db1/main" in refused.said and serving() == 17, refused.output
    assert "set postgresql_version back to 15" in upgrade(17, rollback=True, upgrade_confirm="db1/main").said
    run = upgrade(15, rollback=True, upgrade_confirm="db1/main")
    assert run.code == 0 and "PostgreSQL 15 serves again" in run.output, run.output
    assert serving() == 15 and sql("select count(*) from orders where number = -1") == "0"
    assert sql("select count(*) from orders") == "100000"
    assert archived("insert into orders values (-2, 'written after')") and newest()["version"] == "15"
    assert evidence()["rollback"]["verdict"] == "pass"


def test_after_a_good_drill_no_reason_is_needed_and_a_killed_run_is_finished():
    assert db1.run("slipway-drill postgresql").rc == 0
    first = Run("upgrade", INVENTORY, evidence_host="backup1", postgresql_version=17, upgrade_mode="link")
    assert until(lambda: db1.run("pgrep -f 'pg_upgrade.*--link$'").rc == 0, 200, 0.05), first.output
    first.kill()
    db1.run("for pid in $(pgrep -f '[p]ostgresql_upgrade') $(pgrep -x pg_upgrade); do kill -9 $pid; done 2>/dev/null")
    run = upgrade(upgrade_mode="link")
    assert run.code == 0 and "goes on with the upgrade" in run.output, run.output
    assert serving() == 17 and sql("select count(*) from orders where number = -2") == "1"
    assert evidence()["result"]["verdict"] == "pass"
    refused = upgrade(15, rollback=True, upgrade_confirm="db1/main")
    assert refused.code != 0 and "were linked and not copied" in refused.said and serving() == 17, refused.output
    discarded = upgrade(upgrade_discard=True)
    assert discarded.code == 0 and not db1.file(OLD).exists and serving() == 17, discarded.output
