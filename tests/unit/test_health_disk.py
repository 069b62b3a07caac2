"""The kind `disk`: room on one file system, and on every other one that is this host's own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding, worst
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS, disk

# place: device, blocks, free ones
PLACES = {
    "/": (1, 100, 50),
    "/etc/hosts": (2, 100, 0),
    "/proc": (3, 0, 0),
    "/srv/my data": (4, 100, 50),
    "/mnt/share": (5, 100, 0),
    "/mnt/iso": (6, 100, 0),
    "/var/lib/docker/merged": (7, 100, 0),
}
MOUNTS = r"""/dev/vda / ext4 rw,relatime 0 0
/dev/vdz /etc/hosts ext4 rw 0 0
proc /proc proc rw 0 0
/dev/vdb /srv/my\040data xfs rw 0 0
nas:/x /mnt/share nfs4 rw 0 0
/dev/sr0 /mnt/iso iso9660 ro,relatime 0 0
overlay /var/lib/docker/merged overlay rw 0 0
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with these file systems; returns how much is free of each."""
    free = {place: blocks for place, (_, _, blocks) in PLACES.items()}
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    def size(place: str) -> os.statvfs_result:
        left = free[place]
        return os.statvfs_result((4096, 4096, PLACES[place][1], left, left, 0, 0, 0, 0, 255))

    monkeypatch.setattr(disk, "device_of", lambda place: PLACES[place][0])
    monkeypatch.setattr(disk.os, "statvfs", size)
    monkeypatch.setattr(disk.Path, "is_dir", lambda path: str(path) != "/etc/hosts")
    monkeypatch.setattr(disk, "_MOUNTS", mounts)
    return free


def check(**options: Any) -> Finding:
    (defined,) = define([{"kind": "disk", **options}], KINDS)
    return worst(asyncio.run(defined.measure(HttpClient())))


def test_every_other_file_system_of_the_host_itself_counts(host):
    assert check(others=True).verdict == "pass"
    host["/"] = 0
    assert check().verdict == "fail" and check(others=True).verdict == "pass"
    host["/srv/my data"] = 5
    found = check(others=True)
    assert (found.verdict, found.measured) == ("fail", 95) and "used space of /srv/my data is 95 %" in str(found.reason)


def test_a_host_with_one_file_system_has_no_other(host, monkeypatch, tmp_path):
    (tmp_path / "mounts").write_text(MOUNTS.splitlines()[0] + "\n")
    assert check(others=True).verdict == "skip"
