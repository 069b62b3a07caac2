# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The running pooler: started, reloaded when its files are newer than what it has read, restarted when that is allowed.

Decided from what the pooler and systemd say, not from what a run remembers: what a killed run left, the next one does.
"""

from __future__ import annotations

import configparser
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.admin import SOCKET, Admin, Row
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl

UNIT = "pgbouncer.service"
_systemctl = Systemctl(PgbouncerError)
CONFIGURATION = Path("/etc/pgbouncer")
_DROP_IN = Path("/etc/systemd/system/pgbouncer.service.d/slipway.conf")
_LOADED = Path(SOCKET) / "loaded"
_START_SECONDS = 20.0
_POLL = 0.1


@dataclass
class Outcome:
    """What was done, each a sentence, settings that wait for a restart, and what an operator should hear."""

    actions: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def settle(port: int, sources: Iterable[str], may_restart: bool, check_mode: bool) -> Outcome:
    """Brings the running pooler to what its files say."""
    outcome = Outcome()
    if not check_mode:
        _systemctl.refresh(UNIT)
    state = _unit_state()
    # Without the time of its last reload it runs as the package started it: nobody depends on that.
    if state["ActiveState"] not in ("active", "reloading") or not _LOADED.exists():
        outcome.actions.append(f"started {UNIT}")
        if not check_mode:
            _start()
    elif _newest(sources) > _LOADED.stat().st_mtime:
        outcome.actions.append(f"reloaded {UNIT}")
        if not check_mode:
            _systemctl("reload", UNIT)
    if state["UnitFileState"] != "enabled":
        outcome.actions.append(f"enabled {UNIT}")
        if not check_mode:
            _systemctl("enable", UNIT)
    if check_mode and outcome.actions:
        return outcome
    with _running(port) as admin:
        outcome.pending = waiting(written(CONFIGURATION / "pgbouncer.ini"), admin.show("CONFIG"))
    if outcome.pending:
        _apply_pending(outcome, may_restart, check_mode)
    return outcome


def written(file: Path) -> dict[str, str]:
    """The settings of the section [pgbouncer]."""
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes=(";", "#"), strict=False)
    parser.read_string(file.read_text(encoding="utf-8"))
    return dict(parser["pgbouncer"])


def waiting(settings: Mapping[str, str], shown: Iterable[Row]) -> list[str]:
    """Settings that only a restart changes and that are not what is written."""
    fixed = {row["key"]: str(row["value"] or "") for row in shown if row["changeable"] == "no"}
    return sorted(name for name, value in settings.items() if name in fixed and value != fixed[name])


def _apply_pending(outcome: Outcome, may_restart: bool, check_mode: bool) -> None:
    names = ", ".join(outcome.pending)
    if not may_restart:
        outcome.notices.append(
            f"{names}: only a restart applies this, which ends all connections. Run with -e pgbouncer_restart=true"
            f" when that suits, or: systemctl restart {UNIT}"
        )
        return
    outcome.actions.append(f"restarted {UNIT} for {names}")
    if not check_mode:
        _start()


def _start() -> None:
    try:
        _systemctl("restart", UNIT)
    except PgbouncerError as error:
        said = _program("journalctl", "--no-pager", "--output=cat", "--lines=3", f"--unit={UNIT}").stdout
        raise PgbouncerError(f"{error} {' / '.join(said.splitlines())}") from error


def _running(port: int) -> Admin:
    """Its administration; the socket may be named after a port that a restart is to change."""
    give_up = time.monotonic() + _START_SECONDS
    while True:
        ports = [int(path.suffix[1:]) for path in Path(SOCKET).glob(".s.PGSQL.*") if path.suffix[1:].isdigit()]
        try:
            return Admin(SOCKET, ports[0] if ports else port)
        except PgbouncerError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(_POLL)


def _newest(sources: Iterable[str]) -> float:
    """When the newest file was changed or put in its place; a rename sets the second."""
    files = [*CONFIGURATION.iterdir(), _DROP_IN, *map(Path, sources)]
    return max(max(file.stat().st_mtime, file.stat().st_ctime) for file in files if file.exists())


def _unit_state() -> dict[str, str]:
    return _systemctl.show(UNIT, "ActiveState", "UnitFileState")


def _program(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
