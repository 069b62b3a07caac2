"""Looks at the pools of app1 from db1, as a client would, and at app1 as its operator."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import testinfra

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
PASSWORD = "sells-in-this-scenario"
ROTATED = "rotates-in-this-scenario"

client, pooler = (testinfra.get_host(f"docker://slipway-pgbouncer-{name}") for name in ("db1", "app1"))


def login(sql, database="shop", user="shop", password=PASSWORD, options="sslmode=verify-full sslrootcert=system"):
    """A client on another host. What it has of the system's authorities it trusts."""
    conninfo = f"host=app1 port=6432 user={user} dbname={database} connect_timeout=20 {options}"
    return client.run(f"PGPASSWORD={shlex.quote(password)} psql -XAtc {shlex.quote(sql)} {shlex.quote(conninfo)}")


def as_superuser(sql, database="postgres"):
    return client.check_output("runuser -u postgres -- psql -XAtc %s %s", sql, database)


def until(seconds, condition):
    """Whether the condition comes true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def play(*options):
    """Runs the roles again, as their operator does."""
    inventory, playbook = (str(SCENARIO / name) for name in ("inventory.yml", "pgbouncer.yml"))
    argv = ["ansible-playbook", "-i", inventory, playbook, "--diff", "-v", *options]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def module(where, name, **arguments):
    """A module of the collection on a host of the scenario; what it returns."""
    argv = ["ansible", "-i", str(SCENARIO / "inventory.yml"), where, "-m", f"slipway.ops.{name}", "-a"]
    json_output = os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    told = subprocess.run(
        [*argv, json.dumps(arguments)], cwd=ROOT, env=json_output, capture_output=True, text=True, check=False
    )
    return json.loads(told.stdout[told.stdout.index("=> {") + 3 :])


def check(*definitions):
    """The results of health checks on the pooler's host."""
    checks = [{"kind": "pgbouncer", "name": f"n{number}", **item} for number, item in enumerate(definitions)]
    return module("app1", "health_check", checks=checks, deadline="0", fail_on=[])["results"]


def main_pid():
    return pooler.check_output("systemctl show -p MainPID --value pgbouncer")


# --- who gets in, and how


def test_a_client_is_let_through_over_tls_on_both_sides():
    answer = login("SELECT session_user")
    assert answer.stdout == "shop\n", answer.stderr
    seen = as_superuser(
        "SELECT DISTINCT usename, ssl, version, client_addr FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
        " WHERE backend_type = 'client backend' AND datname = 'shop'"
    )
    assert seen == f"shop|t|TLSv1.3|{pooler.check_output('hostname -i')}"


def test_a_user_whose_name_needs_quotes_is_let_through_too():
    answer = login("SELECT session_user", user="'Sales & Co'")
    assert answer.stdout == "Sales & Co\n", answer.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": "sslmode=disable"}, "SSL required"),
        ({"options": "sslmode=require require_auth=password"}, "server requested SASL authentication"),
        ({"password": "wrong"}, "SASL authentication failed"),
        ({"user": "nobody"}, "no such user"),
        ({"user": "postgres"}, "no such user"),  # a superuser is not looked up
        ({"user": "root", "database": "pgbouncer"}, "login rejected"),
        ({"user": "shop", "database": "pgbouncer"}, "bouncer config error"),
        ({"user": "shop", "database": "lookup.db1.5432"}, "login rejected"),
        ({"user": "pgbouncer"}, "login rejected"),
        ({"database": "postgres"}, "SASL authentication failed"),
    ],
)
def test_nobody_else_is(changes, said):
    answer = login("SELECT 1", **changes)
    assert answer.rc == 2 and said in answer.stderr


def test_the_pooler_may_look_up_and_nothing_else():
    def as_pooler(sql):
        return client.run(f"runuser -u postgres -- psql -XAtc 'SET ROLE pgbouncer' -c {shlex.quote(sql)}")

    assert as_pooler("SELECT name FROM pgbouncer.lookup('shop')").stdout == "SET\nshop\n"
    assert as_pooler("SELECT name FROM pgbouncer.lookup('postgres')").stdout == "SET\n"
    assert "permission denied" in as_pooler("SELECT rolpassword FROM pg_authid").stderr
    owner = "SELECT rolsuper, rolcanlogin FROM pg_roles WHERE rolname = 'pgbouncer_lookup'"
    assert as_superuser(owner) == "f|f"
    assert as_superuser("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'pgbouncer'") == "t"
    others = "SELECT has_function_privilege('shop', 'pgbouncer.lookup(text)', 'EXECUTE')"
    assert as_superuser(others) == "f"


def test_the_administration_is_roots_alone_and_the_process_is_nobody_elses():
    def tries(user):
        ask = 'import psycopg2; psycopg2.connect("host=/run/pgbouncer port=6432 user=root dbname=pgbouncer")'
        return pooler.run("runuser -u %s -- python3 -c %s", user, ask)

    assert tries("root").rc == 0
    for user in ("games", "postgres"):
        answer = tries(user)
        assert answer.rc == 1 and "FATAL" in answer.stderr
    assert pooler.check_output("ps -o user= -p %s", main_pid()) == "pgbouncer"
    assert pooler.run("runuser -u games -- cat /run/pgbouncer/tls/key.pem").rc == 1


# --- more clients than connections

HELD = "SELECT pg_advisory_xact_lock_shared(7)"
HOLD = "SELECT pg_advisory_lock(7), pg_sleep(300)"


def of_shop(condition):
    """How many connections the server has for which that is true."""
    return int(as_superuser(f"SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND {condition}"))


@contextmanager
def held_up(clients):
    """So many clients whose statements do not end before the block does; their answers are there after it."""
    answers = []
    with ThreadPoolExecutor() as many:
        many.submit(client.run, f"runuser -u postgres -- psql -XAtc '{HOLD}' shop")
        try:
            assert until(60, lambda: of_shop("wait_event = 'PgSleep'") == 1)
            waiting = [many.submit(login, HELD) for _ in range(clients)]
            assert until(60, lambda: of_shop("wait_event = 'advisory'") == min(clients, 2))
            yield answers
        finally:
            as_superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        answers += [each.result() for each in waiting]


def test_more_clients_than_connections_wait_and_are_counted():
    limits = {"waiting": "= 0"}, {"pool_use": "< 90 %", "database": "shop"}, {"waited": "< 1 ms"}
    with held_up(5) as answers:
        waiting, use, waited = check(*limits)
        assert of_shop("wait_event = 'advisory'") == 2
    assert [answer.rc for answer in answers] == [0] * 5, answers
    assert [result["verdict"] for result in (waiting, use, waited)] == ["fail"] * 3
    assert (waiting["measured"], use["measured"], use["unit"]) == (3, 100, "%")
    assert [result["verdict"] for result in check(*limits, {})] == ["pass"] * 4


def test_transactions_share_connections_and_sessions_keep_theirs():
    steps = "PREPARE p AS SELECT 7; EXECUTE p"
    assert login(steps, "shop-sessions").stdout.endswith("7\n")
    with ThreadPoolExecutor() as many:
        clients = [many.submit(login, "SELECT pg_backend_pid(), pg_sleep(0.1)", "shop-sessions") for _ in range(3)]
        assert len({each.result().stdout for each in clients}) == 1


# --- what happens


def test_it_survives_a_restart_of_the_server():
    pid = main_pid()
    assert login("SELECT 1").stdout == "1\n"
    client.check_output("systemctl restart postgresql@17-main")
    assert until(60, lambda: login("SELECT 1").stdout == "1\n")
    assert main_pid() == pid


def test_clients_wait_during_a_pause_and_notice_no_error():
    paused = module("app1", "pgbouncer_pause", state="paused", databases=["shop"])
    assert (paused["changed"], paused["databases"]) == (True, ["shop"])
    with ThreadPoolExecutor() as waiting:
        try:
            answer = waiting.submit(login, "SELECT 2")
            client.check_output("systemctl stop postgresql@17-main")
            late = waiting.submit(login, "SELECT 3")  # waits to be looked up
            client.check_output("systemctl start postgresql@17-main")
            assert check({})[0]["verdict"] == "warn" and not answer.done() and not late.done()
        finally:
            resumed = module("app1", "pgbouncer_pause", state="resumed")
        assert resumed["databases"] == ["shop"]
        assert (answer.result().stdout, late.result().stdout) == ("2\n", "3\n")


def test_a_pause_that_nobody_ends_ends_by_itself():
    """As when the controller is killed between the two: clients wait, and get on without anybody."""
    paused = module("app1", "pgbouncer_pause", state="paused", longest=5)
    assert paused["changed"]
    assert login("SELECT 4").stdout == "4\n"
    assert module("app1", "pgbouncer_pause", state="resumed")["databases"] == []


def test_a_pause_that_is_ended_leaves_no_timer():
    timers = "systemctl list-units --all --plain --no-legend 'slipway-pgbouncer-resume-*'"
    module("app1", "pgbouncer_pause", state="paused")
    assert "slipway-pgbouncer-resume-6432.timer" in pooler.check_output(timers)
    module("app1", "pgbouncer_pause", state="resumed")
    assert pooler.check_output(timers) == ""


def test_a_pause_that_a_transaction_prevents_leaves_nothing_paused():
    with held_up(1) as answers:
        refused = module("app1", "pgbouncer_pause", state="paused", timeout=1)
        assert "shop could not be paused within 1 s" in refused["msg"]
        assert login("SELECT 3").stdout == "3\n"
    assert answers[0].rc == 0


def test_it_comes_back_when_killed():
    before = main_pid()
    pooler.check_output(f"kill -9 {before}")
    assert until(60, lambda: login("SELECT 1").stdout == "1\n")
    assert main_pid() != before


# --- changes


def test_a_rotated_password_works_at_once():
    pid = main_pid()
    try:
        as_superuser(f"ALTER ROLE shop PASSWORD '{ROTATED}'")
        assert login("SELECT 1", password=ROTATED).stdout == "1\n"
        assert "SASL authentication failed" in login("SELECT 1").stderr
    finally:
        as_superuser(f"ALTER ROLE shop PASSWORD '{PASSWORD}'")
    assert login("SELECT 1").stdout == "1\n" and main_pid() == pid


def test_changes_are_reloaded_what_needs_a_restart_waits_and_nonsense_is_refused():
    pid = main_pid()
    changed = play("-e", "{settings: {query_wait_timeout: 40, listen_backlog: 256}}")
    assert changed.returncode == 0 and "listen_backlog: only a restart applies this" in changed.stdout, changed.stdout
    refused = play("-e", "{settings: {query_wait_timout: 40}}")
    assert refused.returncode == 2 and "query_wait_timout" in refused.stdout, refused.stdout
    assert login("SELECT 1").stdout == "1\n" and main_pid() == pid
    allowed = module("app1", "pgbouncer_server", restart=True)
    assert allowed["actions"] == ["restarted pgbouncer.service for listen_backlog"]
    assert until(60, lambda: login("SELECT 1").stdout == "1\n") and main_pid() != pid
    assert module("app1", "pgbouncer_server", restart=True)["changed"] is False


def test_secrets_are_in_no_file_log_or_command_line():
    secrets = "sells-in-this|rotates-in-this|SCRAM-SHA-256[$]"
    assert pooler.run(f"grep -rE '{secrets}' /etc/pgbouncer /etc/systemd /run/pgbouncer").stdout == ""
    for each in (pooler, client):
        assert each.run(f"journalctl --no-pager | grep -E '{secrets}'").stdout == ""
    assert pooler.run("grep -aE '[s]ells-in-this|[r]otates-in-this' /proc/[0-9]*/cmdline").stdout == ""


# --- what Prometheus learns


def metrics():
    lines = pooler.check_output("curl -s --max-time 9 http://127.0.0.1:9127/metrics").splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def administer(account, command):
    """As the exporter's user of pgBouncer, by whatever account of the system."""
    connect = "psycopg2.connect(host='/run/pgbouncer', port=6432, user='pgbouncer-exporter', dbname='pgbouncer')"
    program = f"import psycopg2\nc = {connect}\nc.autocommit = True\nc.cursor().execute('{command}')"
    return pooler.run(f"runuser -u {account} -- python3 -c {shlex.quote(program)}")


def test_the_exporter_tells_who_waits_and_may_administer_nothing():
    assert login("SELECT 1").rc == 0
    assert until(30, lambda: metrics().get("pgbouncer_up") == 1), metrics()
    waits = 'pgbouncer_pools_client_waiting_connections{database="shop",user="shop"}'
    with held_up(3) as answers:
        assert until(30, lambda: metrics().get(waits) == 1), metrics()
    assert [answer.rc for answer in answers] == [0] * 3, answers
    pid = pooler.check_output("systemctl show -p MainPID --value prometheus-pgbouncer-exporter")
    assert pooler.check_output(f"ps -o user:32= -p {pid}").strip() == "pgbouncer-exporter"
    assert administer("pgbouncer-exporter", "SHOW POOLS").rc == 0
    refused = administer("pgbouncer-exporter", "PAUSE")
    assert refused.rc != 0 and "admin access needed" in refused.stderr, refused.stderr
    assert "login rejected" in administer("games", "SHOW POOLS").stderr
    assert client.run("curl -s --max-time 9 http://app1:9127/metrics").rc == 7, "loopback is nobody else's"


def test_a_pgbouncer_that_stops_is_told_and_the_exporter_stays():
    pooler.check_output("systemctl stop pgbouncer")
    try:
        assert until(30, lambda: metrics().get("pgbouncer_up") == 0), metrics()
    finally:
        pooler.check_output("systemctl start pgbouncer")
    assert until(30, lambda: metrics().get("pgbouncer_up") == 1), metrics()
