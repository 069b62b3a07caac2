"""A host's PostgreSQL as its superuser sees it, and somebody who writes into it all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from machine import until

WRITER = r"""
import sys, time, psycopg2
connection = None
number = 0
while True:
    number += 1
    begin = time.time()
    try:
        connection = connection or psycopg2.connect("dbname=shop host=/var/run/postgresql user=postgres")
        connection.autocommit = True
        connection.cursor().execute("insert into orders values (%s, %s)", (number, "x" * (number % 50)))
        print(number, begin, time.time(), flush=True)
    except psycopg2.Error as error:
        if connection is not None and connection.closed:
            connection = None
        time.sleep(0.05)
    time.sleep(0.01)
"""


class Database:
    """``host`` is Testinfra's."""

    def __init__(self, host: Any, name: str = "shop") -> None:
        self.host = host
        self.name = name

    def sql(self, statement: str, database: str = "") -> str:
        """The answer; it must not fail."""
        command = "runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s %s"
        return self.host.check_output(command, statement, database or self.name)

    def timeline(self) -> int:
        return int(self.sql("select timeline_id from pg_control_checkpoint()"))

    @contextmanager
    def writer(self) -> Iterator[str]:
        """Rows come into `orders`, and those that were acknowledged into the file that this gives."""
        log = f"/tmp/writer-{time.time_ns()}"
        self.host.check_output("printf %%s %s > /tmp/writer.py", WRITER)
        self.host.check_output(
            f"systemd-run --quiet --unit=test-writer --uid=postgres -p StandardOutput=file:{log} python3 /tmp/writer.py"
        )
        try:
            assert until(lambda: self.host.run(f"test -s {log}").rc == 0)
            yield log
        finally:
            self.host.run("systemctl stop test-writer")

    def acknowledged(self, log: str) -> list[tuple[int, float, float]]:
        """Number, begin and end of each row that was acknowledged."""
        lines = (line.split() for line in self.host.file(log).content_string.splitlines())
        return [(int(a), float(b), float(c)) for a, b, c in (words for words in lines if len(words) == 3)]
