# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""bcrypt hashes that come out the same in every run, for password files that are compared and not rewritten."""

from __future__ import annotations

import base64
import ctypes
import hashlib

# What every Linux controller has: bcrypt is a scheme of the C library's crypt().
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
_LONGEST = 72  # bytes; bcrypt ignores what comes after


class HashError(ValueError):
    """The password cannot be hashed; the message says why and what to do."""


def salt(identity: str, cost: int) -> str:
    """bcrypt settings with a salt of `identity` alone, never of the password: knowing it must not help to guess."""
    digest = hashlib.sha256(identity.encode()).digest()
    text = base64.b64encode(digest[:16]).decode().replace("+", ".")[:21]
    return f"$2b${cost:02d}${text}{'.Oeu'[digest[16] % 4]}"


def bcrypt_hash(password: str, identity: str, cost: int = 10) -> str:
    """Hash `password` (1 to 72 bytes) in 2**`cost` rounds with the salt of `identity`, such as ``app@registry1``."""
    secret = password.encode()
    if not identity or not 4 <= cost <= 16:
        raise HashError(
            f"the identity must not be empty and the cost must be between 4 and 16, not {identity!r} and {cost}"
        )
    if not 0 < len(secret) <= _LONGEST or b"\0" in secret:
        raise HashError(
            f"the password for {identity} must have 1 to {_LONGEST} bytes, none of them zero; it has {len(secret)}"
        )
    setting = salt(identity, cost).encode()
    try:
        import bcrypt  # noqa: PLC0415 - optional
    except ImportError:
        return _crypt(secret, setting)
    return bcrypt.hashpw(secret, setting).decode()


def _crypt(secret: bytes, setting: bytes) -> str:
    for name in _LIBRARIES:
        try:
            crypt = ctypes.CDLL(name).crypt
        except OSError:
            continue
        crypt.restype = ctypes.c_char_p
        crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        hashed = crypt(secret, setting)
        if hashed and hashed.startswith(b"$2b$"):
            return hashed.decode()
    raise HashError("this controller's C library has no bcrypt; install the Python package bcrypt on the controller")
