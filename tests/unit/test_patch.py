"""What apt and needrestart say, read; and what is restarted how."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.host import patch
from ansible_collections.slipway.ops.plugins.module_utils.host.patch import PatchError, Stale, Update
from ansible_collections.slipway.ops.plugins.module_utils.host.run import NOT_FOUND, Ended

SIMULATED = """\
Reading package lists...
Inst libssl3t64 [3.5.6-1] (3.5.7-1~deb13u2 Debian:13.5/stable, Debian-Security:13/stable-security [amd64]) []
Inst linux-image-6.12.90-amd64 (6.12.90-1 Debian-Security:13/stable-security [amd64])
Inst linux-image-amd64 [6.12.74-2] (6.12.90-1 Debian-Security:13/stable-security [amd64])
Inst openssl [3.0.2-0ubuntu1.19] (3.0.2-0ubuntu1.20 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst tzdata [2026a-1] (2026b-0 Debian:13.5/stable-updates [all])
Inst security-tool [1.0] (1.1 my-security-tools:trixie [all])
Conf libssl3t64 (3.5.7-1~deb13u2 Debian:13.5/stable, Debian-Security:13/stable-security [amd64])
"""
LISTED = """\
NEEDRESTART-VER: 3.11
NEEDRESTART-KCUR: 6.12.74+deb13-amd64
NEEDRESTART-KEXP: 6.12.90+deb13-amd64
NEEDRESTART-KSTA: 3
NEEDRESTART-SVC: dbus.service
NEEDRESTART-SVC: nginx.service
NEEDRESTART-SVC: docker.service
NEEDRESTART-SESS: root @ session #3
"""


class Programs:
    """Programs that answer as they are told, and what was run."""

    def __init__(self, **answers: Ended) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, argv, _user, _timeout):
        self.asked.append(" ".join(argv))
        return self.answers.get(argv[0].rpartition("/")[2].replace("-", "_"), Ended(0, "active\n", ""))


def test_what_a_security_archive_offers_is_told_from_the_rest_and_what_is_new_comes_by_itself() -> None:
    found = patch.updates("security", Programs(apt_get=Ended(0, SIMULATED, "")))
    assert [update.name for update in found] == ["libssl3t64", "linux-image-amd64", "openssl"]
    assert found[0] == Update("libssl3t64", "3.5.6-1", "3.5.7-1~deb13u2", True)
    every = patch.updates("all", Programs(apt_get=Ended(0, SIMULATED, "")))
    assert [update.name for update in every if not update.security] == ["tzdata", "security-tool"]


def test_an_apt_that_cannot_say_is_no_host_without_updates() -> None:
    broken = Ended(100, "", "W: x\nE: Unmet dependencies. Try 'apt --fix-broken install'\n")
    with pytest.raises(PatchError, match=r"failed: E: Unmet dependencies.*apt-get check"):
        patch.updates("all", Programs(apt_get=broken))


def test_units_and_the_kernel_are_read_and_the_bus_waits(tmp_path) -> None:
    flag = tmp_path / "reboot-required"
    now = patch.stale(Programs(needrestart=Ended(0, LISTED, "")), flag)
    assert now.restartable == ["docker.service", "nginx.service"] and now.until_reboot == ["dbus.service"]
    assert now.reboot == ["kernel 6.12.74+deb13-amd64 runs, 6.12.90+deb13-amd64 is installed"]
    flag.touch()
    (tmp_path / "reboot-required.pkgs").write_text("libc6\nlibc6\n", encoding="utf-8")
    now = patch.stale(Programs(needrestart=Ended(0, "NEEDRESTART-VER: 3.11\n", "")), flag)
    assert now.units == [] and now.reboot == [f"{flag} is there for libc6"]


def test_without_needrestart_nothing_is_known_and_nonsense_is_an_error(tmp_path) -> None:
    now = patch.stale(Programs(needrestart=Ended(NOT_FOUND, "", "")), tmp_path / "none")
    assert not now.known
    verdicts = [one.verdict for one in patch.results("app1", [], now)]
    assert verdicts == ["pass", "unknown", "unknown"]
    with pytest.raises(PatchError, match="needrestart -b -r l ended with 2: no such module"):
        patch.stale(Programs(needrestart=Ended(2, "", "no such\nmodule")), tmp_path / "none")


def test_what_waits_and_what_runs_as_it_was_fails_as_evidence() -> None:
    found = patch.results(
        "app1", [Update("a", "1", "2", True), Update("b", "1", "2", False)], Stale(units=["x.service"])
    )
    assert [(one.verdict, one.measured) for one in found] == [("fail", 1), ("fail", 1), ("pass", 0)]
    assert found[0].reason == "a 1 -> 2 (security)"
    for one in found:
        validated(one.as_dict() | {"artifacts": []}, "run")


def test_what_serves_users_is_restarted_without_a_gap() -> None:
    programs = Programs()
    assert patch.restart(["haproxy.service", "nginx.service", "chrony.service"], programs) == [
        "haproxy.service",
        "nginx.service",
        "chrony.service",
    ]
    assert [said for said in programs.asked if "is-active" not in said] == [
        "systemctl reload haproxy.service",
        "/etc/init.d/nginx upgrade",
        "systemctl restart chrony.service",
    ]


def test_nginx_of_another_make_is_restarted() -> None:
    programs = Programs(nginx=Ended(NOT_FOUND, "", "not installed"))
    assert patch.restart(["nginx.service"], programs) == ["nginx.service"]
    assert "systemctl restart nginx.service" in programs.asked


def test_what_does_not_come_up_is_named_with_what_was_done_before() -> None:
    def run(argv, _user, _timeout):
        bad = argv[-1] == "b.service"
        return Ended(0, "failed\n" if bad and argv[1] == "is-active" else "active\n", "")

    with pytest.raises(
        PatchError, match=r"restart b.service: it is failed; restarted before it: a.service. journalctl"
    ):
        patch.restart(["a.service", "b.service"], run)
