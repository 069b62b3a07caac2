from __future__ import annotations

import base64

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import scram

# RFC 7677, section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_verifier_is_that_of_the_rfc():
    assert scram.verifier("pencil", SALT) == PENCIL


def test_a_fresh_salt_each_time_and_both_match():
    first, second = scram.verifier("pencil"), scram.verifier("pencil")
    assert first != second
    assert scram.matches("pencil", first) and scram.matches("pencil", second)


@pytest.mark.parametrize("stored", [None, "", "md5" + "0" * 32, PENCIL.replace("4096", "4097"), PENCIL[:-4] + "AAA="])
def test_another_password_or_kind_of_secret_does_not_match(stored):
    assert not scram.matches("pencil", stored)
    assert not scram.matches("pen", PENCIL)


def test_a_verifier_may_stand_in_for_the_password():
    assert scram.is_verifier(PENCIL) and not scram.is_verifier("pencil")
    assert scram.matches(PENCIL, PENCIL) and not scram.matches(PENCIL, scram.verifier("pencil"))


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("pencil", "pencil"),
        ("I\u00adX", "IX"),  # RFC 4013's examples
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0031", "\u0627\u0031"),  # refused by the RFC: taken as it is
        ("비밀번호", "비밀번호"),
        ("e\u0301", "é"),
        ("a\u0007b", "a\u0007b"),
    ],
)
def test_letters_beyond_ascii_are_prepared_as_the_server_does(password, prepared):
    assert scram.saslprep(password) == prepared
