"""What of the sample service needs no web framework; the rest is tested in its container."""

from __future__ import annotations

import contextlib
import sys
import types
from pathlib import Path
from typing import ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "testbed" / "sample-service"))

from sample_service.faults import ErrorRate
from sample_service.settings import SettingsError, load
from sample_service.store import StoreError, open_store


@pytest.mark.parametrize(("rate", "failing"), [(0, 0), (0.2, 200), (0.001, 1), (0.3, 300), (1, 1000)])
def test_the_error_rate_is_exact(rate, failing):
    errors = ErrorRate(rate)
    assert sum(errors.strikes() for _ in range(1000)) == failing


def test_settings_come_from_the_environment():
    settings = load({"SERVICE_VERSION": "3.2.0", "PORT": "8001", "LATENCY_MS": "1500", "FAIL_HEALTH": "true"})
    assert (settings.version, settings.port, settings.latency, settings.fail_health) == ("3.2.0", 8001, 1.5, True)
    assert settings.metrics_port is None


@pytest.mark.parametrize(
    "environment",
    [{"PORT": "http"}, {"PORT": "70000"}, {"ERROR_RATE": "20"}, {"FAIL_HEALTH": "maybe"}, {"LOG_LEVEL": "loud"}],
)
def test_a_wrong_setting_is_named(environment):
    with pytest.raises(SettingsError, match=next(iter(environment))):
        load(environment)


def test_the_store_keeps_items(tmp_path):
    url = f"sqlite:///{tmp_path}/items.db"
    store = open_store(url)
    store.add("a", "text")
    assert store.unfinished(10) == [("a", "text")]
    store.finish("a", "0f")
    store.close()
    again = open_store(url)
    assert again.get("a") == ("text", "0f")
    assert again.get("b") is None
    assert again.unfinished(10) == []
    again.close()


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "sqlite:////nowhere/items.db", "items.db"])
def test_a_store_that_cannot_be_opened_says_so_without_its_password(url):
    with pytest.raises(StoreError, match="DATABASE_URL") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


class Pool:
    """A pool that gives connections only once its database is there; what it once lost it never gives again."""

    opened: ClassVar[list[Pool]] = []
    there = True

    def __init__(self, *_arguments, **_options):
        self.lost, self.closed = not Pool.there, False
        Pool.opened.append(self)

    @staticmethod
    def check_connection(_connection): ...

    @contextlib.contextmanager
    def connection(self, _wait):
        self.lost = self.lost or not Pool.there
        if self.lost:
            raise sys.modules["psycopg"].Error("couldn't get a connection after 1.00 sec")
        yield types.SimpleNamespace(
            execute=lambda *_: types.SimpleNamespace(fetchone=lambda: None), commit=lambda: None
        )

    def close(self, timeout=None):
        self.closed = True


def test_a_pool_that_lost_its_database_comes_back_with_it(monkeypatch):
    """Its service would stay unready for ever; a warm release is one that nobody looks at."""
    conninfo = types.SimpleNamespace(conninfo_to_dict=lambda _url: {})
    driver = types.SimpleNamespace(
        Error=type("Error", (Exception,), {}), ProgrammingError=ValueError, conninfo=conninfo, Connection=object
    )
    monkeypatch.setitem(sys.modules, "psycopg", driver)
    monkeypatch.setitem(sys.modules, "psycopg_pool", types.SimpleNamespace(ConnectionPool=Pool))
    monkeypatch.delitem(sys.modules, "sample_service.postgres", raising=False)
    clock = iter(range(100, 1000, 60))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    store = open_store("postgresql://sample@db1/sample")
    store.ping()
    Pool.there = False
    with pytest.raises(driver.Error):
        store.ping()
    Pool.there = True
    for _attempt in range(2):
        with contextlib.suppress(driver.Error):
            store.ping()
    store.ping()
    assert Pool.opened[0].closed and not Pool.opened[-1].closed
