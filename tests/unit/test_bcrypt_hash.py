from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.bcrypt_hash import (
    HashError,
    _crypt,
    bcrypt_hash,
    salt,
)

# From the bcrypt test vectors of John the Ripper, which libxcrypt and py-bcrypt share.
VECTORS = [
    (b"U*U", b"$2b$05$CCCCCCCCCCCCCCCCCCCCC.", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    (b"U*U*U", b"$2b$05$XXXXXXXXXXXXXXXXXXXXXO", "$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
]


@pytest.mark.parametrize(("secret", "setting", "expected"), VECTORS)
def test_the_c_library_agrees_with_published_vectors(secret, setting, expected):
    assert _crypt(secret, setting) == expected


def test_same_input_same_hash_and_any_other_another():
    first = bcrypt_hash("secret", "app@one", 4)
    assert bcrypt_hash("secret", "app@one", 4) == first
    others = {
        bcrypt_hash("Secret", "app@one", 4),
        bcrypt_hash("secret", "app@two", 4),
        bcrypt_hash("secret", "app@one", 5),
    }
    assert first not in others and len(others) == 3


def test_the_salt_does_not_tell_the_password():
    assert bcrypt_hash("secret", "app@one", 4)[:29] == bcrypt_hash("other", "app@one", 4)[:29] == salt("app@one", 4)


@pytest.mark.parametrize("identity", [f"user{number}@host" for number in range(50)])
def test_every_salt_is_bcrypts_own_spelling(identity):
    setting = salt(identity, 4)
    assert len(setting) == 29 and bcrypt_hash("x", identity, 4).startswith(setting)


@pytest.mark.parametrize(
    ("password", "identity", "cost"),
    [("", "a@b", 10), ("x" * 73, "a@b", 10), ("a\0b", "a@b", 10), ("x", "", 10), ("x", "a@b", 3)],
)
def test_what_bcrypt_would_silently_cut_is_refused(password, identity, cost):
    with pytest.raises(HashError):
        bcrypt_hash(password, identity, cost)
