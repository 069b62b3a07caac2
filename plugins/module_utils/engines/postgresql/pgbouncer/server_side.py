# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way from pgBouncer to its servers, gone as pgBouncer goes it: its user, its certificate, whom it trusts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.admin import Admin, Row, psycopg2
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

_LOOKS = 2
"""In a row: an entry point that leads to the former leader as well shows both by turns."""
_PAUSE = 0.2


def unwritable(admin: Admin, lookups: Sequence[Row], timeout: float) -> list[str]:
    """Waits until each server takes writes; returns those that do not after so many seconds, a sentence each."""
    settings = {row["key"]: row["value"] for row in admin.show("CONFIG")}
    give_up = time.monotonic() + timeout
    found = [_waited_for(_way(row, settings), give_up) for row in lookups]
    return [f"{told} ({timeout:g} s)" for told in found if told]


def _way(row: Row, settings: Row) -> dict[str, Any]:
    return {
        "host": row["host"],
        "port": row["port"],
        "dbname": row["database"],
        "user": settings["auth_user"],
        "sslmode": settings["server_tls_sslmode"],
        "sslrootcert": settings["server_tls_ca_file"],
        "sslcert": settings["server_tls_cert_file"],
        "sslkey": settings["server_tls_key_file"],
        "target_session_attrs": "read-write",
        "connect_timeout": 2,
    }


def _waited_for(way: dict[str, Any], give_up: float) -> str:
    """What is wrong with a way to a server in the end; empty when nothing is."""
    good = 0
    while True:
        try:
            psycopg2.connect(**way).close()
            good += 1
            told = ""
        except psycopg2.Error as error:
            good = 0
            told = f"{join_host_port(way['host'], way['port'])} takes no writes: {' '.join(str(error).split())}"
        if good == _LOOKS or (told and time.monotonic() >= give_up):
            return told
        if told:
            time.sleep(_PAUSE)
