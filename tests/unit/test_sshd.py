"""Settings of sshd fit the version that reads them."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.host.sshd import settings

OLD = [
    "passwordauthentication yes",
    "KexAlgorithms curve25519-sha256",
    "KexAlgorithms diffie-hellman-group14-sha1",
    "Ciphers aes128-ctr",
    "MACs hmac-sha2-256-etm@openssh.com",
    "HostKeyAlgorithms ssh-ed25519",
    "HostKeyAlgorithms ssh-dss",
]
WANTED = {"PasswordAuthentication": False, "PerSourcePenaltyExemptList": "10.0.0.0/8", "RequiredRSASize": 3072}


def test_an_old_version_gets_what_it_knows_and_nothing_weak() -> None:
    assert settings(WANTED, OLD) == [
        "KexAlgorithms curve25519-sha256",
        "Ciphers aes128-ctr",
        "MACs hmac-sha2-256-etm@openssh.com",
        "HostKeyAlgorithms ssh-ed25519",
        "PasswordAuthentication no",
    ]


def test_a_new_version_gets_its_own() -> None:
    lines = settings(WANTED, [*OLD, "persourcepenaltyexemptlist none", "KexAlgorithms mlkem768x25519-sha256"])
    assert "KexAlgorithms mlkem768x25519-sha256,curve25519-sha256" in lines
    assert "PerSourcePenaltyExemptList 10.0.0.0/8" in lines and "RequiredRSASize 3072" not in lines


def test_where_nothing_is_installed_yet_everything_is_said() -> None:
    lines = settings(WANTED, [])
    assert {"RequiredRSASize 3072", "PasswordAuthentication no"} <= set(lines)
    assert any(line.startswith("KexAlgorithms mlkem768x25519-sha256,") for line in lines)


def test_the_inventory_has_the_last_word() -> None:
    lines = settings({"MACs": "", "AllowGroups": ["admins", "ops"], "X11Forwarding": True}, OLD)
    assert {"AllowGroups admins ops", "X11Forwarding yes"} <= set(lines)
    assert [line for line in lines if line.startswith("MACs")] == []
