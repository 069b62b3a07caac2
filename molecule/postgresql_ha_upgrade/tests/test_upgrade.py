"""A cluster of Patroni goes from PostgreSQL 15 to 17 and back; every member follows, also one that was lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import testinfra
from machine import until
from playbook import Run, module, play

testinfra_hosts = ["backup1"]

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-postgresql-ha-upgrade-"
SECRETS = ("only-for-this-scenario-not-a-secret-6mTz", "copies-in-this-scenario")
REASON = "the drill of another scenario was good"

hosts = {name: testinfra.get_host(f"docker://{CONTAINER}{name}") for name in ("db1", "db2", "backup1")}


def sql(statement: str, member: str) -> str:
    return hosts[member].check_output("runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s shop", statement)


def members(asked: str = "db1") -> dict[str, dict]:
    listed = hosts[asked].run("patronictl list --format json")
    return {entry["Member"]: entry for entry in json.loads(listed.stdout)} if listed.rc == 0 else {}


def leader() -> str:
    found = [name for name, entry in (members("db1") or members("db2")).items() if entry["Role"] == "Leader"]
    assert found, "nobody leads"
    return found[0]


def whole(version: int) -> bool:
    """One leads, the other streams synchronously, and both have that version."""
    roles = sorted((entry["Role"], entry["State"]) for entry in members(leader()).values())
    if roles != [("Leader", "running"), ("Sync Standby", "streaming")]:
        return False
    return all(sql("SHOW server_version_num", name).startswith(str(version)) for name in ("db1", "db2"))


def upgrade(version: int = 17, **variables):
    ran = play("upgrade", INVENTORY, postgresql_version=version, **variables)
    assert not any(secret in ran.output for secret in SECRETS)
    return ran


def evidence() -> dict[str, dict]:
    found = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.upgrade.*"])["backup1"]["records"]
    return {record["id"].rpartition(".")[2]: record for record in found}


def newest_backup() -> dict:
    told = hosts["backup1"].check_output("runuser -u postgres -- pgbackrest --stanza=main --output=json info")
    stanza = json.loads(told)[0]
    versions = {entry["id"]: entry["version"] for entry in stanza["db"]}
    last = stanza["backup"][-1]
    return {"type": last["type"], "version": versions[last["database"]["id"]]}


def rows(member: str) -> str:
    return sql("SELECT count(*), sum(hashtextextended(orders::text, 0)) FROM orders", member)


@pytest.fixture
def lost():
    """The replica's host has lost its power, and gets it back at the end or with the function."""
    name = next(name for name in ("db1", "db2") if name != leader())

    def back() -> None:
        subprocess.run(["docker", "start", CONTAINER + name], check=True, capture_output=True)

    subprocess.run(["docker", "kill", CONTAINER + name], check=True, capture_output=True)
    yield name, back
    back()


def test_what_cannot_be_is_refused_before_anything_changes():
    sql(
        "CREATE TABLE orders (number bigint, words text); CREATE INDEX ON orders USING gin (words gin_trgm_ops)",
        leader(),
    )
    sql("INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 50000) n", leader())
    assert until(lambda: whole(15), 60)
    started = sql("SELECT pg_postmaster_start_time()", leader())
    site = play(SCENARIO / "converge.yml", INVENTORY, "--limit", "patroni", postgresql_version=17)
    assert site.code != 0 and "Major versions are changed by upgrade.yml" in site.said, site.output
    for run, words in (
        (upgrade(), "no restore drill of main is on record"),
        (upgrade(15, rollback=True), "has no upgrade of main that could be taken back"),
        (upgrade(upgrade_reason=REASON, upgrade_host=sorted({"db1", "db2"} - {leader()})[0]), "is a standby"),
    ):
        assert words in run.said and run.changed == 0, run.output
    assert sql("SELECT pg_postmaster_start_time()", leader()) == started and whole(15)


def test_what_pg_upgrade_refuses_leaves_the_cluster_serving():
    sql("CREATE TABLE odd (number regconfig)", leader())
    run = upgrade(upgrade_reason=REASON)
    assert run.code != 0 and "pg_upgrade says: " in run.said and "PostgreSQL 15 serves" in run.said, run.output
    assert until(lambda: whole(15), 60), members()
    sql("DROP TABLE odd", leader())


def test_a_run_that_was_killed_while_nothing_served_goes_on():
    former, before = leader(), rows(leader())
    first = Run("upgrade", INVENTORY, postgresql_version=17, upgrade_reason=REASON)
    journal = "/var/lib/slipway/postgresql/main.upgrade.json"
    assert until(lambda: hosts[former].run(f"grep -q upgraded {journal}").rc == 0, 300, 0.05), first.output
    first.kill()
    run = upgrade(upgrade_reason=REASON, upgrade_host=former)
    assert run.code == 0 and "PostgreSQL 17 serves; nothing answered for " in run.said, run.output
    assert until(lambda: whole(17), 60), members()
    assert leader() == former and rows("db1") == rows("db2") == before
    assert newest_backup() == {"type": "full", "version": "17"}
    told = evidence()
    assert told["result"]["verdict"] == "warn" and REASON in told["result"]["reason"]
    assert told["downtime"]["measured"] > 0
    again = play(SCENARIO / "converge.yml", INVENTORY, postgresql_version=17)
    assert again.code == 0 and again.changed == 0, again.output


def test_and_back():
    former = leader()
    sql("INSERT INTO orders VALUES (-1, 'written after')", former)
    refused = upgrade(15, rollback=True)
    assert refused.code != 0 and f"upgrade_confirm={former}/main" in refused.said and whole(17), refused.output
    run = upgrade(15, rollback=True, upgrade_confirm=f"{former}/main")
    assert run.code == 0 and "PostgreSQL 15 serves again" in run.said, run.output
    assert until(lambda: whole(15), 60), members()
    for member in ("db1", "db2"):
        assert sql("SELECT count(*), min(number) FROM orders", member) == "50000|1"
    assert newest_backup() == {"type": "full", "version": "15"}
    assert evidence()["rollback"]["verdict"] == "pass"


def test_a_member_that_was_lost_follows_when_it_is_back(lost):
    name, back = lost
    run = upgrade(upgrade_reason=REASON)
    assert "PostgreSQL 17 serves; nothing answered for " in run.said, run.output
    other = next(it for it in ("db1", "db2") if it != name)
    assert sql("SHOW server_version_num", other).startswith("17")
    back()
    assert until(lambda: hosts[name].run("systemctl is-active patroni").stdout.strip() == "active", 60)
    run = upgrade()
    assert run.code == 0, run.output
    assert until(lambda: whole(17), 60), members()
    assert rows("db1") == rows("db2")
    discarded = upgrade(upgrade_discard=True)
    assert discarded.code == 0 and whole(17), discarded.output
    for member in ("db1", "db2"):
        assert hosts[member].run("ls -d /var/lib/postgresql/15/main /etc/postgresql/15/main").stdout == ""
