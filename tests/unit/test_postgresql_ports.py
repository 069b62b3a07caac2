from __future__ import annotations

import os
import pwd
import socket

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.ports import listeners, strangers

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
OTHER = next(user.pw_name for user in pwd.getpwall() if user.pw_uid != os.geteuid())


def test_the_kernels_table_is_read():
    table = HEAD + "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 1 1\n"
    table += "   1: 0100007F:1538 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   100        0 1 1\n"
    assert list(listeners(table)) == [("127.0.0.1", 5432, 100)]
    six = HEAD + (
        "   0: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A"
        " 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
    )
    assert list(listeners(six)) == [("::1", 5432, 0)]


@pytest.mark.parametrize(
    ("address", "ours", "found"),
    [
        ("127.0.0.1", ["*"], True),
        ("127.0.0.1", ["localhost"], True),
        ("0.0.0.0", ["10.1.1.5"], True),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.2", ["localhost"], False),
    ],
)
def test_only_who_is_in_the_way_is_a_stranger(address, ours, found):
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        told = strangers(port, ours, owner=OTHER)
        assert told == ([f"{address}:{port} ({pwd.getpwuid(os.geteuid()).pw_name})"] if found else [])
        assert strangers(port, ours, owner=pwd.getpwuid(os.geteuid()).pw_name) == []
