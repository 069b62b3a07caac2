"""Which options each host's pgbackrest.conf has, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.settings import (
    clients_of,
    problems,
    sections,
    site,
    text,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import INFO_TIMEOUT

KEY = "k" * 24
HOST = {"type": "host", "host": "backup1", "path": "/backup", "cipher_pass": KEY, "retention_days": 30}
S3 = {
    "type": "s3",
    "path": "/shop",
    "cipher_pass": KEY,
    "retention_days": 90,
    "s3_bucket": "backups",
    "s3_endpoint": "s3.example.test",
    "s3_region": "eu",
    "s3_key": "id",
    "s3_key_secret": "secret",
    "s3_uri_style": "path",
}
OTHER = {"pgbackrest_stanza": "other", "postgresql_version": 16}
PATH = {"type": "path", "path": "/backup", "cipher_pass": KEY, "retention_days": 7}


def place(name, *repositories, hosts=("db1",), **changes):
    clients = clients_of(list(hosts), {host: {} for host in hosts}, name)
    data = {
        "name": name,
        "address": "10.0.0.5",
        "port": 8432,
        "certificates": "/c",
        "processes": 2,
        "release": 55,
        "clients": clients,
        "repositories": list(repositories),
        "settings": {},
    }
    return site(data | changes)


def options(name, *repositories, section="global", **changes):
    return sections(place(name, *repositories, **changes))[section]


def test_a_client_neither_knows_the_key_nor_the_retention():
    found = options("db1", HOST)
    assert found["repo1-host"] == "backup1" and found["repo1-host-type"] == "tls"
    assert KEY not in text(sections(place("db1", HOST)))
    assert not [name for name in found if "retention" in name or "cipher" in name or name == "repo1-path"]
    assert found["tls-server-auth"] == ["backup1=main"]
    assert (found["archive-async"], found["compress-type"]) == ("y", "zst")
    assert "archive-push-queue-max" not in found  # beyond it WAL would be dropped


def test_the_repository_host_keeps_encrypts_and_expires():
    found = options("backup1", HOST)
    assert {name: found[f"repo1-{name}"] for name in ("path", "cipher-type", "bundle", "block")} == {
        "path": "/backup",
        "cipher-type": "aes-256-cbc",
        "bundle": "y",
        "block": "y",
    }
    assert (found["repo1-retention-full-type"], found["repo1-retention-full"]) == ("time", 30)
    assert found["tls-server-auth"] == ["db1=main"]
    stanza = options("backup1", HOST, section="main")
    assert (stanza["pg1-host"], stanza["pg1-path"]) == ("db1", "/var/lib/postgresql/17/main")


def test_standbys_are_copied_where_there_are_some():
    assert "backup-standby" not in options("backup1", HOST)
    hosts = ("db1", "db2")
    assert options("backup1", HOST, hosts=hosts)["backup-standby"] == "prefer"
    assert options("backup1", HOST, section="main", hosts=hosts)["pg2-host"] == "db2"
    assert options("backup1", HOST, hosts=hosts)["tls-server-auth"] == ["db1=main", "db2=main"]
    # Each knows itself alone; another stanza is another cluster.
    assert "pg2-path" not in options("db2", HOST, section="main", hosts=hosts)
    clients = clients_of(["db1", "db2"], {"db1": {}, "db2": OTHER}, "backup1")
    apart = sections(place("backup1", HOST, clients=clients))
    assert "backup-standby" not in apart["global"] and apart["other"]["pg1-path"] == "/var/lib/postgresql/16/main"


def test_a_copy_reads_the_backups_and_is_in_none():
    variables = {"db1": {}, "db9": {"pgbackrest_backed_up": False}}
    keeper = sections(place("backup1", HOST, clients=clients_of(["db1", "db9"], variables, "backup1")))
    assert keeper["global"]["tls-server-auth"] == ["db1=main", "db9=main"]
    assert "backup-standby" not in keeper["global"] and "pg2-path" not in keeper["main"]
    copy = place("db9", HOST, clients=clients_of(["db1", "db9"], variables, "db9"))
    assert sections(copy)["main"]["pg1-path"] == "/var/lib/postgresql/17/main" and not copy.runs_backups
    assert not place("db9", S3, clients=clients_of(["db9"], variables, "db9")).runs_backups


def test_older_releases_get_the_options_they_know():
    hosts = ("db1", "db2")
    found = options("backup1", HOST, hosts=hosts, release=50)
    assert "backup-standby" not in found and found["repo1-block"] == "y"
    found = options("backup1", HOST, hosts=hosts, release=44)
    assert "repo1-block" not in found and found["repo1-bundle"] == "y"


def test_a_directory_on_the_database_host_needs_no_server():
    found = options("db1", PATH)
    assert found["repo1-path"] == "/backup" and not [name for name in found if name.startswith("tls-")]
    assert place("db1", PATH).runs_backups and not place("db1", PATH).keepers


def test_an_object_store_of_its_own_beside_a_repository_host():
    client, keeper = options("db1", HOST, S3), options("backup1", HOST, S3)
    assert client["repo2-s3-bucket"] == keeper["repo2-s3-bucket"] == "backups"
    assert keeper["repo2-retention-full"] == 90 and "repo2-retention-full" not in client
    through = options("db1", HOST, S3 | {"host": "backup1"})
    assert through["repo2-host"] == "backup1" and "secret" not in through.values()


def test_a_store_that_is_down_does_not_hold_up_the_other_repository():
    found = sections(place("db1", PATH, S3))
    attempts = 9 * found["global"]["io-timeout"]  # until pgBackRest has given a store up
    assert attempts < INFO_TIMEOUT / 2
    # WAL comes after archive.info and its copy were asked for, at worst by the run after the one under way.
    assert found["global:backup"]["archive-timeout"] > 4 * attempts
    assert list(found) == ["global", "global:backup", "main"]
    assert "io-timeout" in options("db1", S3) and "global:backup" not in sections(place("db1", S3))
    assert "io-timeout" not in options("db1", PATH) and "io-timeout" not in options("backup1", HOST)


def test_two_repository_hosts():
    second = HOST | {"host": "backup2"}
    first, other = place("backup1", HOST, second), place("backup2", HOST, second)
    assert (first.runs_backups, other.runs_backups) == (True, False)
    assert sections(first)["global"]["repo2-host"] == "backup2"
    assert sections(first)["global"]["repo2-retention-full"] == 30
    assert sections(other)["global"]["tls-server-auth"] == ["db1=main", "backup1=main"]
    assert sections(place("db1", HOST, second))["global"]["tls-server-auth"] == ["backup1=main", "backup2=main"]


def test_the_operators_settings_win():
    found = text(
        sections(place("db1", PATH, settings={"process-max": 7, "delta": True, "tls-server-auth": ["a", "b"]}))
    )
    assert "process-max=7\n" in found and "delta=y\n" in found and "tls-server-auth=a\ntls-server-auth=b\n" in found


def test_a_host_knows_itself_and_those_it_keeps_a_repository_of():
    hostvars = {"db1": {"pgbackrest_repositories": [HOST]}, "lone1": {"pgbackrest_repositories": [PATH]}, "new1": {}}

    def known(name):
        return [client["host"] for client in clients_of(list(hostvars), hostvars, name)]

    assert (known("backup1"), known("lone1"), known("backup2")) == (["db1", "new1"], ["lone1", "new1"], ["new1"])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (place("db1"), "it needs one or two"),
        (place("db1", HOST, HOST, HOST), "it needs one or two"),
        (place("db1", HOST | {"cipher_pass": None}), "openssl rand -base64 48"),
        (place("db1", HOST | {"encryption": False}), "leave one out"),
        (place("db1", HOST | {"cipher_pass": "short"}), "of 5 characters"),
        (place("db1", HOST | {"host": ""}), "has no host"),
        (place("db1", PATH | {"host": "backup1"}), "is of type host"),
        (place("db1", HOST, PATH), "make it type host"),
        (place("db1", {**S3, "s3_region": ""}), "needs s3_region"),
        (place("db1", HOST, release=37), "set postgresql_source: pgdg"),
        (place("web1", HOST), "neither in pgbackrest_clients"),
        (place("db1", HOST, address="127.0.0.1"), "which only db1 itself reaches"),
        (
            place("db1", PATH, clients=clients_of(["db1"], {"db1": {"pgbackrest_stanza": "a b"}}, "db1")),
            "'a b'; use letters",
        ),
    ],
)
def test_what_cannot_work_is_told(found, words):
    assert words in " ".join(problems(found))


def test_what_works_is_not_complained_about():
    for name, repositories in (("db1", [HOST]), ("backup1", [HOST, S3]), ("db1", [PATH]), ("db1", [S3])):
        assert problems(place(name, *repositories)) == []
    assert problems(place("db1", PATH | {"cipher_pass": None, "encryption": False})) == []
    assert problems(place("db1", S3 | {"s3_key_type": "auto", "s3_key": None})) == []
