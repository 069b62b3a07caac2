"""Looks at the primary db1 from its standby db2, as a client would, and at both as their operator."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import testinfra

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
SERVICE = "postgresql@17-main"
LOG = "/var/log/postgresql/postgresql-17-main.log"
PASSWORDS = {
    "shop_migrate": "migrates-in-this-scenario",
    "shop": "writes-in-this-scenario:\\'%é",
    "reports": "reads-in-this-scenario",
    "replicator": "copies-in-this-scenario",
}


@pytest.fixture(scope="module")
def standby():
    return testinfra.get_host("docker://slipway-postgresql-db2")


def as_superuser(host, sql, database="postgres"):
    """What the server's superuser gets, by the socket."""
    return host.check_output("runuser -u postgres -- psql -XAtc %s %s", sql, database)


def login(host, sql, user, database="shop", password=None, options="sslmode=verify-full"):
    """A client on the host, over the network to the primary. What it has of the system's authorities it trusts."""
    conninfo = f"host=db1 user={user} dbname={database} sslrootcert=system connect_timeout=20 {options}"
    if "verify-full" not in options:
        conninfo = conninfo.replace("sslrootcert=system ", "")
    # Not in a command line, where the watch for secrets would see it.
    secret = os.environ | {"PGPASSWORD": PASSWORDS.get(user, "") if password is None else password}
    argv = ["docker", "exec", "--env", "PGPASSWORD", host.backend.name, "psql", "-XAtc", sql, conninfo]
    return subprocess.run(argv, env=secret, capture_output=True, text=True, check=False)


def play(*options):
    """Runs the role again, as its operator does."""
    argv = [
        "ansible-playbook",
        "-i",
        str(SCENARIO / "inventory.yml"),
        str(SCENARIO / "converge.yml"),
        "--diff",
        "--skip-tags=certificate",
        *options,
    ]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def until(seconds, condition):
    """Whether the condition comes true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


# --- who gets in, and how


def test_a_client_gets_in_over_tls_with_scram(host, standby):
    answer = login(standby, "SELECT version, cipher <> '' FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "shop")
    assert answer.stdout.strip() == "TLSv1.3|t", answer.stderr
    assert "method=scram-sha-256 (/etc/postgresql/17/main/pg_hba.conf" in host.file(LOG).content_string


@pytest.mark.parametrize(
    ("user", "database", "password", "options", "said"),
    [
        ("shop", "shop", None, "sslmode=disable", "no pg_hba.conf entry for host"),
        ("shop", "shop", "wrong", "sslmode=verify-full", "password authentication failed"),
        ("shop", "shop", None, "sslmode=verify-full require_auth=md5", "server requested SASL authentication"),
        ("postgres", "postgres", "", "sslmode=verify-full", "pg_hba.conf rejects connection"),
        ("prometheus", "postgres", "", "sslmode=verify-full", "pg_hba.conf rejects connection"),
        ("shop", "postgres", None, "sslmode=verify-full", "pg_hba.conf rejects connection"),
        ("shop", "empty", None, "sslmode=verify-full", "pg_hba.conf rejects connection"),
    ],
)
def test_nobody_else_gets_in(standby, user, database, password, options, said):
    answer = login(standby, "SELECT 1", user, database, password, options)
    assert answer.returncode == 2 and said in answer.stderr


def test_even_where_access_rules_let_everybody_in_databases_are_closed(host):
    closed = "SELECT has_database_privilege('reports', datname, 'CONNECT') FROM pg_database WHERE datname = '{}'"
    granted = {name: as_superuser(host, closed.format(name)) for name in ("shop", "postgres", "empty")}
    assert granted == {"shop": "t", "postgres": "f", "empty": "f"}


def test_stored_secrets_are_scram_verifiers(host):
    assert as_superuser(host, "SELECT count(*) FROM pg_authid WHERE rolpassword !~ '^SCRAM-SHA-256'") == "0"
    assert as_superuser(host, "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL") == "4"
    assert as_superuser(host, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method IN ('md5', 'trust')") == "0"


# --- least privilege


def test_owners_make_writers_write_readers_read(standby):
    def answer(user, sql):
        return login(standby, sql, user)

    made = answer("shop_migrate", "CREATE TABLE orders (id serial PRIMARY KEY, what text)")
    assert made.returncode == 0, made.stderr
    assert answer("shop", "INSERT INTO orders (what) VALUES ('tea') RETURNING id").stdout.startswith("1\n")
    assert answer("reports", "SELECT what FROM orders").stdout == "tea\n"
    assert "permission denied" in answer("reports", "INSERT INTO orders (what) VALUES ('x')").stderr
    assert "permission denied" in answer("reports", "CREATE TABLE mine ()").stderr
    assert "permission denied" in answer("shop", "CREATE TABLE mine ()").stderr
    assert "must be owner" in answer("shop", "DROP TABLE orders").stderr
    # A schema that comes later is theirs as well.
    assert answer("shop_migrate", "CREATE SCHEMA sales; CREATE TABLE sales.t AS SELECT 7 AS n").returncode == 0
    assert answer("reports", "SELECT n FROM sales.t").stdout == "7\n"
    assert answer("shop_migrate", "DROP TABLE orders; DROP SCHEMA sales CASCADE").returncode == 0


def test_nobody_but_postgres_is_a_superuser_or_reads_the_host(host, standby):
    assert as_superuser(host, "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper") == "postgres"
    for sql in ("SELECT pg_read_file('/etc/passwd')", "COPY (SELECT 1) TO PROGRAM 'true'", "CREATE ROLE x"):
        assert "permission denied" in login(standby, sql, "shop_migrate").stderr


def test_a_users_connections_are_limited(host):
    assert as_superuser(host, "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'shop'") == "5"


# Nothing here is a plain word to the server: dash, blank, capital, reserved word, other letters, quotes.
ODD_DATABASES = {"my-app": "my-app_owner", "Sales DB": "Ann@Büro", "order": "order_owner", 'The "new"': "select"}
ODD_USERS = {
    "app-user": dict(zip(ODD_DATABASES, ("owner", "readwrite", "readonly", "connect"), strict=True)),
    "select": dict(zip(ODD_DATABASES, ("readonly", "readonly", "owner", "owner"), strict=True)),
    "Ann@Büro": dict(zip(ODD_DATABASES, ("readwrite", "owner", "connect", "readwrite"), strict=True)),
}


def have_odd(*taken_away):
    """What the role's module changes for these users, without access to what is taken away."""
    databases = [{"name": name, "owner": owner} for name, owner in ODD_DATABASES.items() if name not in taken_away[1:]]
    users = [
        {"name": user, "databases": {name: level for name, level in access.items() if name not in taken_away}}
        for user, access in ODD_USERS.items()
    ]
    made = module("db1", "postgresql_objects", {"users": users, "databases": databases})
    assert "changes" in made, made
    return made["changes"]


def test_names_that_need_quotes_get_and_lose_what_others_do(host):
    def may(user, database):
        asked = ", ".join(f"has_database_privilege('{user}', '{database}', '{what}')" for what in ("CONNECT", "TEMP"))
        return as_superuser(host, f"SELECT {asked}")

    try:
        assert have_odd()
        assert have_odd() == []
        assert may("app-user", "Sales DB") == may("Ann@Büro", "my-app") == "t|t"
        assert may("app-user", "order") == may("select", "Sales DB") == "t|f"
        made = """SET ROLE "Ann@Büro"; CREATE TABLE "Line-s" (n int); RESET ROLE; SET ROLE "app-user";
            INSERT INTO "Line-s" VALUES (7); RESET ROLE; SET ROLE "select"; SELECT n FROM "Line-s\""""
        assert as_superuser(host, made, "Sales DB").splitlines()[-1] == "7"
        assert have_odd("Sales DB", 'The "new"')  # the one from the users, the other from the list too
        for user, database in (("app-user", "Sales DB"), ("app-user", 'The "new"'), ("Ann@Büro", 'The "new"')):
            assert may(user, database) == "f|f", (user, database)
        assert may("select", 'The "new"') == may("Ann@Büro", "Sales DB") == "t|t", "who owns it"
        assert have_odd("Sales DB", 'The "new"') == []
    finally:
        for name in ODD_DATABASES:
            as_superuser(host, 'DROP DATABASE IF EXISTS "{}"'.format(name.replace('"', '""')))
        roles = [
            *ODD_USERS,
            *ODD_DATABASES.values(),
            *(f"{name}_read{x}" for name in ODD_DATABASES for x in ("only", "write")),
        ]
        for role in dict.fromkeys(roles):
            as_superuser(host, 'DROP ROLE IF EXISTS "{}"'.format(role.replace('"', '""')))


def test_extensions_are_there(host):
    names = "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension"
    assert as_superuser(host, names, "shop") == "amcheck,pg_trgm,plpgsql"


# --- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shared_buffers", "256MB"),  # a quarter of postgresql_memory
        ("effective_cache_size", "768MB"),
        ("random_page_cost", "1.1"),
        ("work_mem", "6MB"),  # the operator's
        ("jit", "off"),
        ("max_connections", "40"),
        ("data_checksums", "on"),
        ("wal_log_hints", "on"),
        ("archive_timeout", "5min"),
        ("password_encryption", "scram-sha-256"),
        ("ssl_min_protocol_version", "TLSv1.2"),
        ("log_timezone", "UTC"),
    ],
)
def test_settings_are_derived_and_can_be_set(host, name, value):
    assert as_superuser(host, f"SHOW {name}") == value


def test_statements_are_counted_and_slow_ones_and_connections_are_logged(host, standby):
    login(standby, "SELECT pg_sleep(0.15) AS slow_in_this_scenario", "shop")
    seen = as_superuser(host, "SELECT calls FROM pg_stat_statements WHERE query ~ 'slow_in_this_scenario' LIMIT 1")
    assert int(seen) >= 1
    log = host.file(LOG).content_string
    assert "slow_in_this_scenario" in log and "connection authorized: user=shop database=shop" in log
    assert "disconnection: session time" in log
    assert host.file(LOG).group == "adm"


# --- the standby


def lag(standby):
    return as_superuser(standby, "SELECT pg_last_wal_replay_lsn()")


def test_the_standby_follows_by_its_slot_over_tls(host, standby):
    slots = "SELECT slot_name, active FROM pg_replication_slots"
    assert as_superuser(host, slots) == "db2|t"
    followers = "SELECT usename, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
    assert as_superuser(host, followers) == "replicator|t"
    as_superuser(host, "CREATE TABLE seen AS SELECT 1 AS n")
    assert until(60, lambda: as_superuser(standby, "SELECT to_regclass('seen')") == "seen")
    assert "read-only transaction" in standby.run("runuser -u postgres -- psql -Xc 'DROP TABLE seen'").stderr
    as_superuser(host, "DROP TABLE seen")


def test_the_heartbeat_beats_on_the_primary_and_shows_on_the_standby(host, standby):
    host.check_output("systemctl start slipway-heartbeat")
    standby.check_output("systemctl start slipway-heartbeat")
    age = "SELECT clock_timestamp() - at < interval '30 s', count(*) OVER () FROM slipway.heartbeat"
    assert as_superuser(host, age) == "t|1"
    assert until(60, lambda: as_superuser(standby, age) == "t|1")
    for each in (host, standby):
        assert each.service("slipway-heartbeat.timer").is_running


# --- metrics and health


@pytest.mark.parametrize(
    "metric",
    [
        "pg_up 1",
        "pg_stat_archiver_archived_count{",
        "pg_replication_lag_seconds ",
        'pg_database_size_bytes{datname="shop"}',
    ],
)
def test_metrics(host, metric):
    assert metric in host.check_output("curl -s http://127.0.0.1:9187/metrics")


def test_the_exporter_says_when_the_server_is_gone_and_only_the_host_reaches_it(host, standby):
    assert standby.run("curl -s -m 5 http://db1:9187/metrics").rc == 7
    standby.check_output(f"systemctl stop {SERVICE}")
    assert "pg_up 0" in standby.check_output("curl -s http://127.0.0.1:9187/metrics")
    standby.check_output(f"systemctl start {SERVICE}")
    assert "pg_up 1" in standby.check_output("curl -s http://127.0.0.1:9187/metrics")


def module(where, name, arguments):
    """A module of the collection on a host of the scenario; what it returns."""
    argv = ["ansible", "-i", str(SCENARIO / "inventory.yml"), where, "-m", f"slipway.ops.{name}", "-a"]
    json_output = os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    told = subprocess.run(
        [*argv, json.dumps(arguments)], cwd=ROOT, env=json_output, capture_output=True, text=True, check=False
    )
    return json.loads(told.stdout[told.stdout.index("=> {") + 3 :])


def check(where, *definitions):
    """The results of health checks."""
    checks = [{"kind": "postgresql", "name": f"n{number}", **item} for number, item in enumerate(definitions)]
    return module(where, "health_check", {"checks": checks, "deadline": "0", "fail_on": []})["results"]


HEALTH = [
    ("db1", {"replication_lag": "< 30 s"}, "pass"),
    ("db2", {"replication_lag": "< 5 min"}, "pass"),
    ("db1", {"pool_use": "< 80 %"}, "pass"),
    ("db1", {"pool_use": "< 1 %"}, "fail"),
    ("db1", {"mean_query_time": "< 5 s"}, "pass"),
    ("db1", {"mean_query_time": "< 0.0001 ms"}, "fail"),
    ("db1", {"query": "SELECT count(*) FROM pg_database", "limit": "= 5"}, "pass"),
    ("db1", {"query": "SELECT count(*) FROM pg_database", "limit": "> 5"}, "fail"),
    ("db1", {"query": "DROP SCHEMA slipway CASCADE", "limit": "= 1"}, "fail"),
    ("db1", {"query": "SELECT pg_sleep(60)", "limit": "= 1", "timeout": 1}, "fail"),
    ("db1", {"database": "nowhere"}, "fail"),
    ("db1", {"port": 5433}, "fail"),
    ("db2", {"host": "db1", "username": "shop", "password": PASSWORDS["shop"], "database": "shop"}, "pass"),
    ("db2", {"host": "db1", "username": "shop", "password": "wrong", "database": "shop"}, "fail"),
]


def test_health():
    for where in ("db1", "db2"):
        cases = [(definition, verdict) for name, definition, verdict in HEALTH if name == where]
        results = check(where, *(definition for definition, _ in cases))
        for (definition, verdict), result in zip(cases, results, strict=True):
            assert result["verdict"] == verdict, (definition, result)
            assert (result["reason"] is None) == (verdict == "pass")


def test_a_standby_that_lost_its_primary_is_not_healthy(host, standby):
    standby.check_output(f"systemctl stop {SERVICE}")
    result = check("db1", {"replication_lag": "< 10 s"})[0]
    assert result["verdict"] == "fail" and "the slot db2" in result["reason"]
    standby.check_output(f"systemctl start {SERVICE}")
    host.check_output(f"systemctl stop {SERVICE}")
    result = check("db2", {"replication_lag": "< 1 h"})[0]
    assert result["verdict"] == "fail" and "receives nothing from its primary" in result["reason"]
    host.check_output(f"systemctl start {SERVICE}")
    assert until(60, lambda: check("db1", {"replication_lag": "< 10 s"})[0]["verdict"] == "pass")


# --- what happens


def test_it_comes_back_when_killed(host):
    before = host.check_output(f"systemctl show -p MainPID --value {SERVICE}")
    host.check_output(f"kill -9 {before}")
    assert until(60, lambda: host.run("runuser -u postgres -- psql -Xc 'SELECT 1'").rc == 0)
    assert host.check_output(f"systemctl show -p MainPID --value {SERVICE}") != before


def main_pid(host):
    return host.check_output("systemctl show -p MainPID --value postgresql@17-main")


def test_a_password_and_a_setting_change_by_their_variables_without_a_restart(host, standby):
    pid = main_pid(host)
    settings = "{work_mem: 7MB, log_min_duration_statement: 100ms, jit: false}"
    changes = f"{{reports_password: rotates-in-this-scenario, postgresql_settings: {settings}}}"
    run = play("-l", "db1", "-e", changes, "-vvv")
    assert run.returncode == 0, run.stdout
    assert "change the user reports: another password" in run.stdout
    assert "in-this-scenario" not in run.stdout and "SCRAM-SHA-256$" not in run.stdout
    assert "password authentication failed" in login(standby, "SELECT 1", "reports").stderr
    assert login(standby, "SELECT 1", "reports", password="rotates-in-this-scenario").stdout == "1\n"
    assert (as_superuser(host, "SHOW work_mem"), main_pid(host)) == ("7MB", pid)


def test_a_setting_that_needs_it_restarts_when_that_is_allowed(host):
    pid = main_pid(host)
    said = play("-l", "db1", "-e", "{postgresql_memory: 2GiB, postgresql_restart: false}")
    assert said.returncode == 0 and "shared_buffers: only a restart applies" in said.stdout
    assert (as_superuser(host, "SHOW shared_buffers"), main_pid(host)) == ("256MB", pid)
    assert play("-l", "db1", "-e", "postgresql_memory=2GiB").returncode == 0
    assert (as_superuser(host, "SHOW shared_buffers"), main_pid(host) == pid) == ("512MB", False)


def test_a_set_that_the_server_refuses_changes_nothing(host):
    before = host.check_output("cat /etc/postgresql/17/main/*.conf | sha256sum")
    run = play("-l", "db1", "-e", "{postgresql_memory: 4GiB, postgresql_settings: {shared_bufers: 1GB}}")
    assert run.returncode != 0 and "unrecognized configuration parameter" in run.stdout
    assert host.check_output("cat /etc/postgresql/17/main/*.conf | sha256sum") == before
    assert as_superuser(host, "SHOW shared_buffers") == "512MB"


def test_a_plain_run_brings_all_of_it_back(host, standby):
    assert play("-l", "db1").returncode == 0
    assert (as_superuser(host, "SHOW shared_buffers"), as_superuser(host, "SHOW work_mem")) == ("256MB", "6MB")
    assert login(standby, "SELECT 1", "reports").stdout == "1\n"


def test_secrets_are_in_no_log_statistic_or_command_line(host, standby, watch):
    """Both hosts are watched through all tests; here it is known that there is something to see."""
    watch.verify()
    assert all(watch.saw(name, "postgres: ") for name in watch.looked)
    for each in (host, standby):
        for look in (f"grep -F 'SCRAM-SHA-256$' {LOG}", "journalctl --no-pager | grep -F 'SCRAM-SHA-256$'"):
            assert each.run(look).stdout == ""
    statements = "migrates-in-this|writes-in-this|reads-in-this|rotates-in-this|copies-in-this|SCRAM-SHA-256[$]"
    assert as_superuser(host, f"SELECT count(*) FROM pg_stat_statements WHERE query ~ '{statements}'") == "0"
    assert standby.run("runuser -u games -- cat /var/lib/slipway/postgresql/17-main.pass").rc != 0
    assert host.run("runuser -u games -- cat /run/postgresql-tls-17-main/key.pem").rc != 0
