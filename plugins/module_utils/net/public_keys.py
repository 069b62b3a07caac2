# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a line is a public key that every sshd in use reads. One that it cannot read makes it refuse everybody, where
it stands among revoked keys, so the whole key is looked at: a torn one looks like a key."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence

# Others, such as ssh-dss, are unknown to some version in use.
TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
# How many fields follow the type (RFC 4253, 5656, 8709; OpenSSH's PROTOCOL.u2f).
_FIELDS = {"ssh-ed25519": 1, "sk-ecdsa-sha2-nistp256@openssh.com": 3}
_LINE = re.compile(rf"({'|'.join(map(re.escape, TYPES))})[ \t]+([A-Za-z0-9+/]+={{0,2}})([ \t].*)?")
_LENGTH = 4  # bytes
_ED25519 = 32  # bytes


def is_public_key(line: str) -> bool:
    """Whether it is a whole public key in one line, perhaps with a comment behind it."""
    parts = _LINE.fullmatch(line.strip())
    if not parts:
        return False
    try:
        kind, *fields = _fields(base64.b64decode(parts[2], validate=True))
    except (ValueError, binascii.Error):
        return False
    if kind != parts[1].encode() or len(fields) != _FIELDS.get(parts[1], 2):
        return False
    return not parts[1].endswith(("ssh-ed25519", "ssh-ed25519@openssh.com")) or len(fields[0]) == _ED25519


def key_problems(keys: Sequence[object], variable: str) -> list[str]:
    """A sentence for each that is none. The key itself is told as far as it tells which one it is."""
    return [
        f"{variable}: entry {number}, {str(key).strip()[:30]!r}…, is no whole public key in one line, such as"
        " ssh-ed25519 AAAA… anna."
        for number, key in enumerate(keys, 1)
        if not is_public_key(str(key))
    ]


def _fields(blob: bytes) -> Iterator[bytes]:
    """Of a key's blob; raises ValueError where it does not end with one."""
    while blob:
        length = int.from_bytes(blob[:_LENGTH], "big")
        field, blob = blob[_LENGTH : _LENGTH + length], blob[_LENGTH + length :]
        if len(field) != length or not field:
            raise ValueError("it is torn")
        yield field
