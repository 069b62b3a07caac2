"""Inserts numbered rows and notes those that were acknowledged, until it is stopped.

By one connection for as long as that lasts, or, with a word after number and port, by a new client for each row, who
come whether or not the ones before are done.

A row whose commit was not acknowledged is never tried again under its number: it may be there or not, and counts for
nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg2

number = int(sys.argv[1])
SERVER = " ".join(
    [
        f"host=127.0.0.1 port={sys.argv[2]} dbname=shop user=shop password=writes-in-this-scenario",
        "sslmode=verify-ca sslrootcert=/usr/local/share/ca-certificates/slipway-internal-ca.crt",
    ]
)


def write(number: int, connection: Any = None, patience: int = 2) -> Any:
    """The connection for the next row, none after an error."""
    try:
        if connection is None:
            connection = psycopg2.connect(SERVER, connect_timeout=patience)
            connection.autocommit = True
        connection.cursor().execute("INSERT INTO rows VALUES (%s)", (number,))
        print(number, time.time(), flush=True)
    except psycopg2.Error as error:
        print("error", time.time(), " ".join(str(error).split()), flush=True)
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()
        time.sleep(0.05)
        return None
    return connection


def write_and_go(number: int) -> None:
    connection = write(number, patience=60)
    if connection is not None:
        connection.close()


connection = None
while True:
    number += 1
    if sys.argv[3:]:
        threading.Thread(target=write_and_go, args=(number,), daemon=True).start()
        time.sleep(0.2)
    else:
        connection = write(number, connection)
    time.sleep(0.02)
