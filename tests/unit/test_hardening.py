"""What may be hardened on a host, and what must not be: hosts are directories here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import hardening
from ansible_collections.slipway.ops.plugins.module_utils.host.hardening import Host


def make(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def setting(root: Path, name: str, value: str) -> Path:
    path = root / "proc/sys" / name.replace(".", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def test_what_the_host_needs_is_never_blocked(tmp_path: Path) -> None:
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/dockerd").touch(mode=0o755)
    make(tmp_path, etc__fstab="# x / jffs2\n/dev/b /data hfsplus rw 0 0\n", proc__self__mounts="a /x cramfs rw 0 0\n")
    wanted = [
        "vfat",
        "nls_utf8",
        "overlay",
        "br_netfilter",
        "nft_chain_nat",
        "hfsplus",
        "cramfs",
        "jffs2",
        "dccp",
        "ipv6",
    ]
    allowed, kept = hardening.blocked_modules(Host(tmp_path), wanted)
    assert allowed == ["jffs2", "dccp"]
    assert "UEFI" in kept["vfat"] and kept["overlay"] == "Docker needs it" and "mounted" in kept["cramfs"]


def test_on_a_host_that_needs_none_of_them_all_are_blocked(tmp_path: Path) -> None:
    assert hardening.blocked_modules(Host(tmp_path), ["vfat", "overlay", "hfs"]) == (["vfat", "overlay", "hfs"], {})
    assert hardening.blocked_modules(Host(tmp_path, docker=True), ["overlay"])[0] == []


@pytest.mark.parametrize(
    ("name", "value", "docker", "ipv6", "kept"),
    [
        ("net.ipv4.ip_forward", 0, True, False, "cut off"),
        ("net.ipv4.ip_forward", 1, True, False, ""),
        ("net.ipv4.ip_forward", 0, False, False, ""),
        ("net.ipv6.conf.all.forwarding", "0", True, False, "cut off"),
        ("net.ipv6.conf.all.disable_ipv6", 1, False, True, "IPv6 addresses"),
        ("net.ipv6.conf.all.disable_ipv6", 1, False, False, ""),
    ],
)
def test_a_setting_that_would_cut_the_host_off_is_not_made(
    tmp_path: Path, name: str, value: object, docker: bool, ipv6: bool, kept: str
) -> None:
    address = "20010db8000000000000000000000007 02 40 00 80 eth0\n" if ipv6 else ""
    local = "00000000000000000000000000000001 01 80 10 80 lo\nfe80000000000000 02 40 20 80 eth0\n"
    make(tmp_path, proc__net__if_inet6=local + address)
    allowed, refused = hardening.allowed_sysctl(Host(tmp_path, docker), {name: value})
    assert bool(allowed) is not bool(kept)
    assert kept in refused.get(name, "")


def test_settings_are_made_once_and_only_said_in_check_mode(tmp_path: Path) -> None:
    path = setting(tmp_path, "net.ipv4.ip_local_port_range", "32768\t60999")
    wanted = {"net.ipv4.ip_local_port_range": "10240 60999", "net.ipv4.nosuch": "1"}
    assert hardening.set_sysctl(Host(tmp_path), wanted, dry=True).changes
    assert path.read_text() == "32768\t60999\n"
    found = hardening.set_sysctl(Host(tmp_path), wanted, dry=False)
    assert found.changes == ["net.ipv4.ip_local_port_range = 10240 60999 (was 32768 60999)"]
    assert found.not_applicable == {"net.ipv4.nosuch": "this kernel has no such setting"}
    path.write_text("10240\t60999\n")
    assert hardening.set_sysctl(Host(tmp_path), wanted, dry=False).changes == []


def test_a_container_leaves_the_machine_beneath_alone(tmp_path: Path) -> None:
    make(tmp_path, run__systemd__container="docker")
    kernel, network = setting(tmp_path, "kernel.sysrq", "438"), setting(tmp_path, "net.ipv4.tcp_rfc1337", "0")
    found = hardening.set_sysctl(Host(tmp_path), {"kernel.sysrq": "0", "net.ipv4.tcp_rfc1337": "1"}, dry=False)
    assert (kernel.read_text(), network.read_text()) == ("438\n", "1\n")
    assert "machine beneath" in found.not_applicable["kernel.sysrq"]


def test_what_cannot_be_written_does_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(tmp_path, "kernel.sysrq", "438")
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = hardening.set_sysctl(Host(tmp_path), {"kernel.sysrq": "0"}, dry=False)
    assert "Read-only file system" in found.not_applicable["kernel.sysrq"] and found.changes == []


def test_login_defs_keeps_every_other_line_its_mode_and_is_written_once(tmp_path: Path) -> None:
    text = "# PASS_MIN_DAYS 9\nPASS_MIN_DAYS\t0\nOTHER x y\nPASS_MIN_DAYS 5\n"
    path = make(tmp_path, etc__login__defs="") / "etc/login.defs"
    path.write_text(text)
    path.chmod(0o640)
    found = hardening.set_login_defs(Host(tmp_path), {"PASS_MIN_DAYS": 1, "NEW": "a"}, dry=False)
    assert path.read_text() == "# PASS_MIN_DAYS 9\nPASS_MIN_DAYS\t1\nOTHER x y\nNEW\ta\n"
    assert path.stat().st_mode & 0o777 == 0o640 and len(found.changes) == 2
    assert hardening.set_login_defs(Host(tmp_path), {"PASS_MIN_DAYS": 1, "NEW": "a"}, dry=False).changes == []


def test_a_mount_point_that_is_none_does_not_apply(tmp_path: Path) -> None:
    make(tmp_path, proc__self__mounts="tmpfs /dev/shm tmpfs rw,nosuid 0 0\n")
    found = hardening.remount(Host(tmp_path), {"/dev/shm": ["nosuid", "noexec"], "/home": ["nodev"]}, dry=True)
    assert found.changes == ["/dev/shm mounted with noexec"]
    assert found.not_applicable == {"/home": "it is no file system of its own"}


def test_a_check_tells_apart_what_is_as_wanted_what_differs_and_what_does_not_apply(tmp_path: Path) -> None:
    state = {
        "sysctl": {"files": ["/etc/sysctl.d/x.conf"], "values": {"net.ipv4.tcp_rfc1337": "1"}},
        "audit": {"files": [], "not_applicable": "the kernel has none"},
    }
    make(tmp_path, etc__slipway__hardening="")
    (tmp_path / hardening.STATE).write_text(json.dumps(state))
    host = Host(tmp_path)
    assert hardening.check(host, "audit") == (77, "the kernel has none")
    assert hardening.check(host, "cron")[0] == 1
    assert hardening.check(host, "sysctl") == (1, "/etc/sysctl.d/x.conf is gone")
    (tmp_path / "etc/sysctl.d").mkdir()
    (tmp_path / "etc/sysctl.d/x.conf").touch()
    assert "was not written down when it was set up; run site.yml" in hardening.check(host, "sysctl")[1]
    hardening.record(host, ["/etc/sysctl.d/x.conf"])
    assert hardening.check(host, "sysctl")[0] == 77
    path = setting(tmp_path, "net.ipv4.tcp_rfc1337", "0")
    assert hardening.check(host, "sysctl") == (1, "net.ipv4.tcp_rfc1337 = 1 (was 0)")
    path.write_text("1\n")
    assert hardening.check(host, "sysctl")[0] == 0


def set_up(root: Path, topic: str, **said: object) -> Host:
    """A host as a run left it, with what it wrote down."""
    make(root, etc__slipway__hardening="")
    (root / hardening.STATE).write_text(json.dumps({topic: said}))
    hardening.record(Host(root), said.get("files", []))  # type: ignore[arg-type]
    return Host(root)


def test_a_file_that_was_emptied_or_opened_is_seen(tmp_path: Path) -> None:
    path = make(tmp_path, etc__sudoers__d__x="Defaults use_pty\n") / "etc/sudoers/d/x"
    path.chmod(0o440)
    host = set_up(tmp_path, "sudo", files=["/etc/sudoers/d/x"])
    assert hardening.check(host, "sudo") == (0, "sudo is as it was set up")
    path.chmod(0o666)
    assert hardening.check(host, "sudo") == (1, "/etc/sudoers/d/x has mode 0666 (was set up with 0440)")
    path.write_text("")
    assert hardening.check(host, "sudo") == (1, "/etc/sudoers/d/x has another content than it was set up with")


def test_directories_are_as_open_as_they_were_set_up(tmp_path: Path) -> None:
    place = tmp_path / "etc/cron.d"
    place.mkdir(parents=True, mode=0o700)
    host = set_up(tmp_path, "cron", files=[], directories={"/etc/cron.d": "0700"})
    assert hardening.check(host, "cron")[0] == 0
    place.chmod(0o755)
    assert hardening.check(host, "cron") == (1, "/etc/cron.d has mode 0755 (was set up with 0700)")
    place.rmdir()
    assert hardening.check(host, "cron") == (1, "/etc/cron.d is gone")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    return place


def program(place: Path, name: str, script: str) -> None:
    (place / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / name).chmod(0o755)


def test_rules_of_audit_that_the_kernel_has_not_are_named(tmp_path: Path, programs: Path) -> None:
    rules = "-w /etc/passwd -p wa -k identity\n-a always,exit -F arch=b64 -S execve -k root\n"
    make(tmp_path, etc__audit__rules=rules)
    host = set_up(tmp_path, "audit", files=["/etc/audit/rules"])
    assert hardening.check(host, "audit") == (1, "auditctl cannot be run: No such file or directory")
    program(programs, "auditctl", "echo '-w /etc/passwd -p wa -k identity'")
    assert hardening.check(host, "audit") == (1, "the kernel has no audit rules of root: augenrules --load")
    program(programs, "auditctl", "echo No rules")
    assert "no audit rules of identity, root" in hardening.check(host, "audit")[1]
    listed = "echo '-w /etc/passwd -p wa -k identity'; echo '-a always,exit -F arch=b64 -S execve -F key=root'"
    program(programs, "auditctl", listed)
    assert hardening.check(host, "audit")[0] == 0
    program(programs, "auditctl", "echo You must be root >&2; exit 4")
    assert hardening.check(host, "audit") == (1, "auditctl -l fails: You must be root")


def test_apparmor_enforces_something(tmp_path: Path) -> None:
    host = set_up(tmp_path, "apparmor", files=[])
    assert hardening.check(host, "apparmor")[0] == 1
    place = make(tmp_path, sys__kernel__security__apparmor__profiles="man (complain)\n")
    assert "of 1 profiles of AppArmor that are loaded none is enforced" in hardening.check(host, "apparmor")[1]
    (place / "sys/kernel/security/apparmor/profiles").write_text("man (complain)\n/usr/sbin/chronyd (enforce)\n")
    assert hardening.check(host, "apparmor")[0] == 0


def test_processes_are_accounted(tmp_path: Path, programs: Path) -> None:
    host = set_up(tmp_path, "accounting", files=[])
    program(programs, "true", "exit 0")
    assert "was not written" in hardening.check(host, "accounting")[1]
    log = make(tmp_path, var__log__account__pacct="") / "var/log/account/pacct"
    assert "was not written" in hardening.check(host, "accounting")[1]
    program(programs, "true", f"echo x >> {log}")
    assert hardening.check(host, "accounting")[0] == 0


def test_packages_that_came_back_or_went_are_named(tmp_path: Path, programs: Path) -> None:
    host = set_up(tmp_path, "packages", files=[], unwanted=["telnetd", "nis"], wanted=["debsums"])
    program(programs, "dpkg-query", 'for name in "$@"; do case $name in telnetd) echo "$name installed";; esac; done')
    assert hardening.check(host, "packages") == (1, "telnetd is installed; debsums is not installed")
    program(programs, "dpkg-query", 'for name in "$@"; do case $name in debsums) echo "$name installed";; esac; done')
    assert hardening.check(host, "packages")[0] == 0


def test_topics_that_were_left_are_remembered_and_a_damaged_memory_is_said(tmp_path: Path) -> None:
    make(tmp_path, etc__slipway__x="")
    assert hardening.earlier(Host(tmp_path), ["sudo"]) == {}
    (tmp_path / hardening.STATE).write_text('{"sudo": {}, "umask": {"files": ["/x"]}}')
    assert hardening.earlier(Host(tmp_path), ["sudo"]) == {"umask": {"files": ["/x"]}}
    (tmp_path / hardening.STATE).write_text("{")
    with pytest.raises(hardening.HardeningError, match="Remove it and run again"):
        hardening.earlier(Host(tmp_path), ["sudo"])


def test_reasons_are_told_once() -> None:
    assert hardening.by_reason({"a": "x", "b": "y", "c": "x"}) == ["a, c: x", "b: y"]
