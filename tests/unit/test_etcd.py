"""A member of etcd without data: it joins what works, begins what never was, and begins nothing beside what was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.etcd import EtcdError, member

URLS = {name: f"https://{name}:2380" for name in ("db1", "db2", "db3")}


class Cluster:
    """What etcdctl and systemctl answer; `healthy` are the members that answer a read, all of them once it runs."""

    def __init__(self) -> None:
        self.healthy: set[str] = set()
        self.called: list[tuple[str, ...]] = []

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        if argv[0] != "etcdctl":
            return subprocess.CompletedProcess(argv, 0, "", "")
        names = argv[1].removeprefix("--endpoints=").split(",")
        words = tuple(word for word in argv[2:] if not word.startswith("--"))
        if words == ("endpoint", "health"):
            (name,) = (url.removeprefix("https://").removesuffix(":2379") for url in names)
            return subprocess.CompletedProcess(argv, 0 if name in self.healthy else 1, "", "")
        self.called.append(words)
        told = {"members": [{"ID": 7, "name": "db1", "peerURLs": [URLS["db1"]]}]}
        return subprocess.CompletedProcess(argv, 0, json.dumps(told), "")

    def control(self, *words: str, **_others: Any) -> None:
        self.called.append(words)
        if words[0] == "start":
            self.healthy.add("db1")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    made = Cluster()
    control = type("Control", (), {"__call__": lambda _, *words: made.control(*words), "refresh": lambda *_: None})()
    monkeypatch.setattr(member, "_run", made.run)
    monkeypatch.setattr(member, "_systemctl", control)
    monkeypatch.setattr(member, "_unit", lambda: {"ActiveState": "inactive", "UnitFileState": "enabled"})
    monkeypatch.setattr(member, "JOIN", tmp_path / "join")
    return made


def bare(tmp_path: Path, **change: Any) -> member.Member:
    given: dict[str, Any] = {
        "client_port": 2379,
        "ca": "ca",
        "certificate": "certificate",
        "key": "key",
        "timeout": 0.0,
    }
    given |= change
    return member.Member(name="db1", members=URLS, data_directory=str(tmp_path / "data"), **given)


def test_the_first_start_of_all_begins_a_cluster_and_remembers_it(cluster: Cluster, tmp_path: Path) -> None:
    assert member.take_part(bare(tmp_path)).actions == ["started etcd.service"]
    assert (tmp_path / "data.formed").exists() and not member.JOIN.exists()


def test_it_joins_a_majority_that_works(cluster: Cluster, tmp_path: Path) -> None:
    cluster.healthy = {"db2", "db3"}
    told = member.take_part(bare(tmp_path, formed=["db2", "db3"])).actions
    assert told == ["joined the cluster of db2, db3 anew"] and ("member", "remove", "7") in cluster.called


def test_it_begins_nothing_beside_one_that_took_part(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(EtcdError, match=r"db1 has no data, db2 took part .* could have begun a second cluster"):
        member.take_part(bare(tmp_path, formed=["db2"]))
    assert cluster.called == [] and not (tmp_path / "data.formed").exists()


def test_one_with_data_is_started_whoever_took_part(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "data/member/snap").mkdir(parents=True)
    (tmp_path / "data/member/snap/db").touch()
    assert member.take_part(bare(tmp_path, formed=["db2"])).actions == ["started etcd.service"]
