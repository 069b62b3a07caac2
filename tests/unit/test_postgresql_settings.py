from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.postgresql import postgresql_problems, postgresql_settings
from ansible_collections.slipway.ops.plugins.module_utils.core.units import byte_size
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, settings

GIB = 2**30


def size(text):
    return byte_size(text.replace("MB", "MiB"))


@pytest.mark.parametrize(
    ("memory", "cores", "disk", "expected"),
    [
        (GIB, 2, 50 * GIB, {"shared_buffers": "256MB", "work_mem": "4MB", "max_wal_size": "5120MB"}),
        (8 * GIB, 4, 100 * GIB, {"shared_buffers": "2048MB", "work_mem": "10MB", "max_slot_wal_keep_size": "20480MB"}),
        (256 * GIB, 64, 4096 * GIB, {"shared_buffers": "32768MB", "max_wal_size": "8192MB", "work_mem": "160MB"}),
        (128 * 2**20, 1, 2 * GIB, {"shared_buffers": "32MB", "maintenance_work_mem": "16MB", "max_wal_size": "256MB"}),
    ],
)
def test_settings_grow_with_the_host(memory, cores, disk, expected):
    derived = settings.derive(memory, cores, disk)
    assert {name: derived[name] for name in expected} == expected


@pytest.mark.parametrize("memory", [200 * 2**20, GIB, 3 * GIB, 8 * GIB, 24 * GIB, 256 * GIB, 2048 * GIB])
@pytest.mark.parametrize("disk", [0, GIB, 20 * GIB, 5000 * GIB])
def test_a_server_fits_into_its_host(memory, disk):
    derived = settings.derive(memory, 8, disk)
    assert size(derived["shared_buffers"]) <= memory / 4
    assert size(derived["effective_cache_size"]) <= memory
    assert size(derived["min_wal_size"]) < size(derived["max_wal_size"])
    if disk >= 20 * GIB:
        assert size(derived["max_wal_size"]) + size(derived["max_slot_wal_keep_size"]) < disk / 3


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 64])
def test_no_host_has_fewer_parallel_workers_than_postgresqls_own_default(cores):
    derived = settings.derive(GIB, cores, 0)
    assert 2 <= derived["max_parallel_workers_per_gather"] <= derived["max_parallel_workers"]


def test_a_little_more_memory_asks_for_no_restart():
    assert settings.derive(8 * GIB, 4, 0) == settings.derive(8 * GIB + 200 * 2**20, 4, 0)


def test_storage_and_connections_count():
    slow = settings.derive(8 * GIB, 4, 0, storage="hdd", max_connections=500)
    fast = settings.derive(8 * GIB, 4, 0)
    assert (slow["random_page_cost"], slow["effective_io_concurrency"], slow["max_connections"]) == (4, 2, 500)
    assert size(slow["work_mem"]) < size(fast["work_mem"])


def test_an_operators_settings_win_whatever_their_case():
    combined = settings.combine(settings.derive(GIB, 2, 0), settings.production(17), {"Work_Mem": "64MB"})
    assert combined["work_mem"] == "64MB" and "Work_Mem" not in combined


@pytest.mark.parametrize(
    ("given", "libraries"),
    [
        ({}, "pg_stat_statements"),
        ({"shared_preload_libraries": "auto_explain"}, "pg_stat_statements, auto_explain"),
        ({"shared_preload_libraries": "auto_explain, pg_stat_statements"}, "auto_explain, pg_stat_statements"),
        ({"shared_preload_libraries": ""}, "pg_stat_statements"),
    ],
)
def test_statements_are_always_counted(given, libraries):
    assert settings.combine(settings.production(17), given)["shared_preload_libraries"] == libraries


def test_values_are_written_so_that_they_are_read_back():
    text = settings.render({"b": True, "a": "it's a\\b", "c": 1.1, "d": 4, "e": "10MB"})
    assert text == "a = 'it''s a\\\\b'\nb = on\nc = 1.1\nd = 4\ne = '10MB'\n"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"port": 5433}, "port is not set here: use postgresql_port"),
        ({"SSL": False}, "SSL is not set here: TLS is on with"),
        ({"work mem": 1}, "'work mem' is not the name of a setting"),
        ({"work_mem": None}, "work_mem: None is not the value of a setting"),
        ({"work_mem": ["4MB"]}, "work_mem: ['4MB'] is not the value"),
        ({"work_mem": "4MB\nport = 1"}, "has a line break"),
    ],
)
def test_settings_that_make_no_sense_are_refused(overrides, said):
    with pytest.raises(PostgresqlError) as caught:
        settings.check_overrides(overrides)
    assert said in str(caught.value)


def test_the_filters_take_what_an_inventory_has():
    host = {"memory": 64 * GIB, "cores": 2, "disk": 0}
    assert postgresql_settings(host, {"max_connections": 50}, 14, memory="1GiB")["shared_buffers"] == "256MB"
    with pytest.raises(AnsibleFilterError, match="is not a size"):
        postgresql_settings(host, memory="much")
    problems = postgresql_problems(
        {
            "users": [{"name": "shop", "password": "secret-in-this-test", "databases": {"shop": "write"}}],
            "databases": [{"name": "shop"}],
            "access": [{"address": "10.0.0.0/8", "method": "md5"}],
            "settings": {"ssl": False},
            "memory": "much",
        }
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "postgresql_access",
        "postgresql_users and postgresql_databases",
        "postgresql_settings",
        "postgresql_memory",
    ]
    assert "secret-in-this-test" not in str(problems)
