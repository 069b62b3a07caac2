"""How the cluster looks from outside: who leads, who is let in, and what is refused."""

from __future__ import annotations

from machine import crowding, until
from playbook import play
from three_hosts import (
    CA,
    INVENTORY,
    MEMBERS,
    SCENARIO,
    cluster,
    hosts,
    leader,
    others,
    patroni,
    proxy,
    sql,
    wait_until_whole,
)

CERTIFICATE = "/etc/slipway/certificates/database"


def ask(port: int) -> str:
    """Which server an entry point leads to, as the client sees it."""
    words = f"host=127.0.0.1 port={port} dbname=shop user=shop password=writes-in-this-scenario"
    words += f" sslmode=verify-ca sslrootcert={CA}"
    program = f"import psycopg2; c = psycopg2.connect('{words}').cursor();"
    query = "c.execute('SELECT inet_server_addr(), pg_is_in_recovery()'); print(*c.fetchone())"
    return proxy.check_output("python3 -c %s", program + query)


def test_writers_reach_the_leader_and_readers_the_others():
    wait_until_whole()
    addresses = {proxy.check_output(f"getent hosts {name}").split()[0]: name for name in MEMBERS}
    address, replica = ask(5000).split()
    assert (addresses[address], replica) == (leader(), "False")
    found: list[list[str]] = []

    def spread() -> bool:
        found[:] = [ask(5001).split() for _ in range(4)]
        return {addresses[address] for address, _ in found} == set(others(leader()))

    assert until(spread, 30 * crowding()), found  # HAProxy looks twice more than Patroni
    assert {replica for _, replica in found} == {"True"}


def test_replicas_follow_by_tls_and_their_own_slots():
    wait_until_whole()
    rows = sql(
        "SELECT application_name, sync_state, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) ORDER BY 2, 1",
        leader(),
    ).splitlines()
    states = [row.split("|") for row in rows]
    assert [(state, tls) for _, state, tls in states] == [("async", "t"), ("sync", "t")]
    slots = sql("SELECT slot_name FROM pg_replication_slots WHERE active ORDER BY 1", leader()).split()
    assert slots == others(leader())
    assert sql("SHOW data_checksums", leader()) == "on"
    assert sql("SELECT count(*) FROM pg_roles WHERE rolsuper", leader()) == "1"


def test_only_members_command_patroni():
    wait_until_whole()
    former = leader()
    post = f"curl --silent --cacert {CA} --output /dev/null --write-out '%{{http_code}}' --request POST --data '{{}}'"
    assert proxy.check_output(f"{post} https://{former}:8008/restart") == "403"
    inside = hosts[former].check_output(f"{post} https://{former}:8008/restart")
    assert inside == "403"
    assert patroni("/cluster", former)


def test_etcd_is_closed_to_whoever_has_no_certificate():
    ran = proxy.run(f"curl --silent --cacert {CA} https://db1:2379/health")
    assert ran.rc != 0
    assert proxy.run("curl --silent http://db1:2379/health").rc != 0
    known = f"--cacert {CA} --cert {CERTIFICATE}/fullchain.pem --key {CERTIFICATE}/key.pem"
    assert (
        hosts["db1"].check_output(f"curl --silent {known} https://db2:2379/health") == '{"health":"true","reason":""}'
    )


def test_the_password_is_nobodys_to_read():
    listing = hosts["db1"].check_output("stat -c '%U %G %a' /etc/patroni/config.yml")
    assert listing == "root postgres 640"


def test_a_member_without_its_data_comes_back():
    """Its data directory and what etcd knew are gone, as on a new disk; the role brings both back."""
    wait_until_whole()
    proxy.check_output("slipway-backup full")
    lost = next(name for name, entry in cluster().items() if entry["role"] == "replica")
    host = hosts[lost]
    host.check_output("systemctl stop patroni etcd && rm -r /var/lib/etcd/slipway /var/lib/postgresql/17")
    ran = play(SCENARIO / "converge.yml", INVENTORY, "--limit=patroni")
    assert ran.code == 0, ran.output
    wait_until_whole(90)
    assert host.run("journalctl -u patroni -o cat --no-pager --since=-1h | grep -q 'created using pgbackrest'").rc == 0
    assert until(lambda: sql("SELECT count(*) FROM pg_stat_wal_receiver", lost) == "1", 20 * crowding())


def test_a_member_without_data_begins_no_second_cluster():
    """Beside one that remembers and one that is down; once that is back, it joins."""
    wait_until_whole()
    down, bare = others(leader())
    hosts[down].check_output("systemctl stop etcd")
    hosts[bare].check_output("systemctl stop etcd && rm -r /var/lib/etcd/slipway")
    try:
        ran = play(SCENARIO / "converge.yml", INVENTORY, f"--limit={bare}")
        assert ran.code != 0 and "could have begun a second cluster" in ran.said, ran.output
        assert hosts[bare].run("systemctl is-active --quiet etcd").rc != 0
    finally:
        hosts[down].check_output("systemctl start etcd")
    ran = play(SCENARIO / "converge.yml", INVENTORY, "--limit=patroni")
    assert ran.code == 0, ran.output
    wait_until_whole(90)
