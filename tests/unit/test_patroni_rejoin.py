"""Whose data is given up when members of a cluster shall follow again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError, ctl, rejoin
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import journal


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data directory of db1, which does not follow db2, the leader."""
    here: Any = SimpleNamespace(name="db1", version=17, directory=tmp_path / "main")
    here.directory.mkdir()
    (here.directory / "PG_VERSION").write_text("17")
    monkeypatch.setattr(journal, "STATE", tmp_path)
    monkeypatch.setattr(Client, "of_this_host", lambda: here)
    monkeypatch.setattr(ctl, "leader", lambda: "db2")
    monkeypatch.setattr(rejoin, "_follows", lambda _: False)
    monkeypatch.setattr(rejoin, "Systemctl", lambda _: lambda *_: None)
    monkeypatch.setattr(rejoin.member, "settle", lambda *_, **__: None)
    return here.directory


@pytest.mark.parametrize("phase", ["moved", "recovering"])
def test_restored_data_is_not_given_up_for_a_member_that_came_back(data, phase):
    entry = journal.Journal("r", str(data), "", "label", "the latest state")
    journal.keep(journal.path(17, "main"), entry, phase)
    with pytest.raises(PatroniError, match=r"the restore r of .*main is not finished, and db2 leads"):
        rejoin.rejoin(60, check_mode=False)
    assert (data / "PG_VERSION").exists()


def test_what_a_finished_restore_left_is_no_reason(data):
    journal.keep(journal.path(17, "main"), journal.Journal("r", str(data), "", "label", "the latest state"), "done")
    assert rejoin.rejoin(60, check_mode=False)
    assert not list(data.iterdir())


def test_the_leader_keeps_its_own(data, monkeypatch):
    monkeypatch.setattr(ctl, "leader", lambda: "db1")
    with pytest.raises(PatroniError, match="db1 leads"):
        rejoin.rejoin(60, check_mode=False)
    assert (data / "PG_VERSION").exists()
