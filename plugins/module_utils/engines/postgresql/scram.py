# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802, RFC 7677): the server never sees the password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096  # PostgreSQL's own; clients repeat it at each connection
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def is_verifier(text: str) -> bool:
    """Whether a text is a verifier already, which may stand where a password does."""
    return _VERIFIER.fullmatch(text) is not None


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """The verifier of a password, with a fresh salt when none is given."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def matches(password: str, stored: str | None) -> bool:
    """Whether what the server stores is of this password (or is the verifier that was given instead of one)."""
    if is_verifier(password):
        return hmac.compare_digest(password, stored or "")
    found = _VERIFIER.fullmatch(stored or "")
    if found is None:
        return False
    expected = verifier(password, base64.b64decode(found[2]), int(found[1]))
    return hmac.compare_digest(expected, found[0])


def saslprep(password: str) -> str:
    """RFC 4013, as PostgreSQL does it: what cannot be prepared is taken as it is."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    right_to_left = [stringprep.in_table_d1(letter) for letter in prepared]
    mixed = any(right_to_left) and (
        any(map(stringprep.in_table_d2, prepared)) or not (right_to_left[0] and right_to_left[-1])
    )
    forbidden = any(table(letter) for table in _PROHIBITED for letter in prepared)
    return password if not prepared or mixed or forbidden else prepared


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
