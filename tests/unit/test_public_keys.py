"""Every key that ssh-keygen makes is one, and nothing that is torn, foreign or of a kind that sshd may not know."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.net.public_keys import is_public_key, key_problems

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1SRUoyA1V8W0yvZ0yqN8rO5gWcXfZ1m3bX0T7o5cY9"
FIDO = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIJ1SRUoyA1V8W0yvZ0yqN8rO5gWcXfZ1m3bX0T7o"
    "5cY9"
    "AAAABHNzaDo="
)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen to make keys with")
@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-b", "3072"), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "521")])
def test_a_key_is_one_and_cut_anywhere_it_is_none(kind: tuple[str, ...], tmp_path: Path) -> None:
    place = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "anna home", "-f", str(place)], check=True)
    line = place.with_suffix(".pub").read_text()
    assert is_public_key(line)
    bare = " ".join(line.split()[:2])
    assert is_public_key(bare)
    assert [end for end in range(len(bare.rstrip("="))) if is_public_key(bare[:end])] == []


def test_a_key_on_a_stick_is_one() -> None:
    assert is_public_key(FIDO)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "# a comment",
        "SHA256:ZPoVW/y6KEXI9gSs6NAiB7mPyCmUtQ8JWyHXZZaK0bo",
        f"cert-authority {KEY}",
        f"{KEY}\n{KEY}",
        KEY.replace("ssh-ed25519 ", "ssh-rsa "),
        KEY.replace("ssh-ed25519 ", "ssh-dss "),
        "ssh-ed25519 AAAA_not",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA==",
    ],
)
def test_anything_else_is_none(line: str) -> None:
    assert not is_public_key(line)


def test_what_is_told_names_the_entry() -> None:
    found = key_problems([KEY, KEY[:50]], "ssh_revoked_keys")
    assert len(found) == 1 and found[0].startswith("ssh_revoked_keys: entry 2, 'ssh-ed25519 AAAAC3NzaC1lZDI1NT'…,")
