"""What is read off the programs of a host about nginx."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge import nginx_host

TOLD = "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.1 1 Jul 2025 (running with OpenSSL 3.5.4 30 Sep 2025)\n"


@pytest.mark.parametrize(
    ("before", "told", "version"),
    [
        ("nginx version: nginx/", TOLD, "1.26.3"),
        ("with OpenSSL ", "built with OpenSSL 3.0.17 1 Jul 2025\n", "3.0.17"),
        ("with OpenSSL ", "built by gcc\n", "0"),
        ("nginx version: nginx/", "", "0"),
    ],
)
def test_versions(before, told, version):
    assert nginx_host.version(before, told) == version


def test_packages_that_dpkg_has_not_installed_are_missing():
    told = (
        "nginx install ok installed\nlogrotate deinstall ok config-files\nold install ok half-configured\n"
        "dpkg-query: no packages found matching libnginx-mod-x\n"
    )
    packages = ["nginx", "logrotate", "old", "libnginx-mod-x"]
    assert nginx_host.missing_packages(packages, told) == ["logrotate", "old", "libnginx-mod-x"]


@pytest.mark.parametrize(
    ("told", "there", "stale"),
    [
        ("NeedDaemonReload=yes\nDropInPaths=\n", False, True),
        ("NeedDaemonReload=no\nDropInPaths=/a.conf {drop_in}\n", True, False),
        ("NeedDaemonReload=no\nDropInPaths=/a.conf {drop_in}.other\n", True, True),
        ("NeedDaemonReload=no\nDropInPaths=\n", False, False),
        ("", False, False),
    ],
)
def test_a_unit_that_systemd_has_not_read_is_stale(tmp_path, told, there, stale):
    drop_in = tmp_path / "slipway.conf"
    if there:
        drop_in.touch()
    assert nginx_host.unit_is_stale(nginx_host.properties(told.format(drop_in=drop_in)), drop_in) is stale


def test_files_newer_than_the_newest_worker_are_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(nginx_host, "PID", tmp_path / "pid")
    assert list(nginx_host._unread([tmp_path])) == []  # nothing runs
    (tmp_path / "etc").mkdir()
    old, new = tmp_path / "etc" / "old.conf", tmp_path / "etc" / "new.conf"
    old.touch()
    time.sleep(0.1)  # more than the kernel's 10 ms
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        nginx_host.PID.write_text(str(os.getpid()))
        time.sleep(0.1)
        new.touch()
        assert list(nginx_host._unread([tmp_path / "etc", tmp_path / "not-there.pem"])) == [new]
    finally:
        worker.communicate(b"\n")


@pytest.mark.parametrize(
    ("built", "has"), [("--with-http_v2_module --with-http_v3_module", True), ("--with-http_v2_module", False)]
)
def test_whether_nginx_was_built_with_http3(tmp_path, monkeypatch, built, has):
    program = tmp_path / "nginx"
    program.write_text(f"#!/bin/sh\necho 'nginx version: nginx/1.26.3\nconfigure arguments: --prefix=/ {built}' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    seen = nginx_host.look(nginx_host.Wanted([], [], [], tmp_path / "drop-in", ["127.0.0.1:0x"]))
    assert (seen.version, seen.http3) == ("1.26.3", has)
    assert "is no port" in seen.taken[0]


def test_a_host_without_nginx(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = tmp_path / "key.pem"
    missing.touch()
    seen = nginx_host.look(nginx_host.Wanted(["nginx"], ["127.0.0.1:0x"], [missing], tmp_path / "drop-in"))
    assert (seen.version, seen.running, seen.missing_packages) == ("0", False, ["nginx"])
    assert seen.missing_files == [str(missing)]
    assert "is no port" in seen.taken[0]
