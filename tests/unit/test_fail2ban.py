"""Who is banned, read from what fail2ban 1.1 says, and whose bans are lifted."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import fail2ban
from ansible_collections.slipway.ops.plugins.module_utils.host.fail2ban import Ban, Fail2banError

SAID = {
    ("status",): "Status\n|- Number of jail:\t2\n`- Jail list:\tslipway-edge, sshd\n",
    ("get", "sshd", "banip", "--with-time"): (
        "192.0.2.7 \t2026-11-29 11:19:55 + 600 = 2026-11-29 11:29:55\n"
        "2001:db8::7 \t2026-11-29 11:19:55 + -1 = 9999-12-31 23:59:59\n"
    ),
    ("get", "slipway-edge", "banip", "--with-time"): "\n",
}
KNOWN = [Ban("sshd", "192.0.2.7", "2026-11-29 11:29:55"), Ban("sshd", "2001:db8::7", "")]


def test_bans_of_all_jails_are_read_with_their_end() -> None:
    assert fail2ban.bans(lambda *asked: SAID[asked]) == KNOWN
    assert [ban.line() for ban in KNOWN] == [
        "192.0.2.7 is banned for sshd until 2026-11-29 11:29:55",
        "2001:db8::7 is banned for sshd for ever",
    ]


def test_without_fail2ban_nobody_is_banned() -> None:
    assert fail2ban.bans(lambda *_: "") == []


def test_an_address_is_found_in_whatever_spelling_and_no_other_is_lifted() -> None:
    asked: list[tuple[str, ...]] = []
    found = fail2ban.of_address("2001:0DB8:0::7", KNOWN)
    fail2ban.lift(found, lambda *words: asked.append(words) or "")  # type: ignore[func-returns-value]
    assert asked == [("unban", "2001:db8::7")]
    assert fail2ban.of_address("192.0.2.8", KNOWN) == []


@pytest.mark.parametrize("address", ["--all", "192.0.2.0/24", "kim", "192.0.2.7 192.0.2.8"])
def test_what_is_no_address_lifts_nothing(address: str) -> None:
    with pytest.raises(Fail2banError, match="Nothing was changed"):
        fail2ban.of_address(address, KNOWN)
