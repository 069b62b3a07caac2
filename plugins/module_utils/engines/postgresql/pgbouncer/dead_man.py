# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A timer of the host that lets paused pools get on when whoever paused them does not come back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError

# Lookups first, as pause.py does it. The administration knows no transactions.
_RESUME = """
import sys
import psycopg2
admin = psycopg2.connect(host=sys.argv[1], port=int(sys.argv[2]), user="root", dbname="pgbouncer")
admin.autocommit = True
cursor = admin.cursor()
cursor.execute("SHOW DATABASES")
names = [column[0] for column in cursor.description]
databases = [dict(zip(names, row)) for row in cursor.fetchall()]
waiting = [database["name"] for database in databases if int(database["paused"])]
for each in sorted(waiting, key=lambda each: (not each.startswith("lookup."), each)):
    cursor.execute('RESUME "%s"' % each.replace('"', '""'))
print("got on by themselves, for nobody resumed them:", ", ".join(waiting) or "none was paused")
"""


def unit(port: int) -> str:
    """Of the timer and of what it starts, without the kind."""
    return f"slipway-pgbouncer-resume-{port}"


def arm(where: tuple[str, int], seconds: float) -> None:
    """From now on so many seconds, whoever asked before."""
    socket, port = where
    disarm(port)
    armed = _run(
        [
            *("systemd-run", "--quiet", "--collect", f"--unit={unit(port)}", f"--on-active={seconds:g}"),
            *("--timer-property=AccuracySec=100ms", "--description=Let pgBouncer's paused pools get on"),
            *("python3", "-c", _RESUME, socket, str(port)),
        ]
    )
    if armed.returncode:
        raise PgbouncerError(f"nothing was paused, because nothing would end the pause: {armed.stderr.strip()}")


def disarm(port: int) -> None:
    """Whether or not there is one; what it has started already ends."""
    _run(["systemctl", "stop", f"{unit(port)}.timer"])


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))
