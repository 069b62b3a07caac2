"""Inserts numbered rows through the writer entry point and notes those that were acknowledged, until it is stopped.

A row whose commit was not acknowledged is never tried again under its number: it may be there or not, and counts for
nothing.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import psycopg2

SERVER = " ".join(
    [
        "host=127.0.0.1 port=5000 dbname=shop user=shop password=writes-in-this-scenario connect_timeout=2",
        "sslmode=verify-ca sslrootcert=/usr/local/share/ca-certificates/slipway-internal-ca.crt",
    ]
)
connection = None
number = int(sys.argv[1])
while True:
    number += 1
    try:
        if connection is None:
            connection = psycopg2.connect(SERVER)
            connection.autocommit = True
        connection.cursor().execute("INSERT INTO rows VALUES (%s)", (number,))
        print(number, time.time(), flush=True)
    except psycopg2.Error as error:
        print("error", time.time(), " ".join(str(error).split()), flush=True)
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()
            connection = None
        time.sleep(0.05)
    time.sleep(0.02)
