# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sshd's settings for the version that a host has: what it does not know it would not start with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Best first. Whatever a version lacks is left out; of what it has, nothing else is taken.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "KexAlgorithms": (
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
    ),
    "Ciphers": (
        "chacha20-poly1305@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    ),
    "MACs": ("hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"),
    "HostKeyAlgorithms": (
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519",
        "rsa-sha2-512-cert-v01@openssh.com",
        "rsa-sha2-256-cert-v01@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ),
}
# Settings that not every version in use has: 9.1 and 9.8.
NEWER = ("RequiredRSASize", "PerSourcePenaltyExemptList")


def settings(wanted: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    """The lines of a file for ``sshd_config.d``. ``told`` is what ``sshd -T`` prints, and ``ssh -Q`` of each of the
    algorithms behind its name; nothing of it, where sshd is not there yet, stands for the newest version.

    Of ``wanted`` an empty value leaves a setting to the distribution.
    """
    known = {line.partition(" ")[0].lower() for line in told}
    supported = {name: [line.split()[1] for line in told if line.startswith(f"{name} ")] for name in ALGORITHMS}
    chosen = {
        name: ",".join(one for one in best if one in supported[name] or not supported[name])
        for name, best in ALGORITHMS.items()
    }
    merged = {name: _value(value) for name, value in {**chosen, **wanted}.items()}
    return [
        f"{name} {value}"
        for name, value in merged.items()
        if value and (not known or name not in NEWER or name.lower() in known)
    ]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)
