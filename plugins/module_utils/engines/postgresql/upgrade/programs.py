# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs of an upgrade, run as the owner of the data: initdb, pg_upgrade, vacuumdb."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import control
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import SOCKET, SUPERUSER, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import UpgradeError
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.run import as_user

CONFIGURATION = Path("/etc/postgresql")
_MIB = 2**20
# pg_upgrade's servers talk to it alone.
_QUIET = ("ssl=off", "archive_mode=off", "logging_collector=off", "external_pid_file=", "synchronous_standby_names=")
# What a new cluster must have as the old one has it.
_SHAPE = """
SELECT to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(encoding),
  'checksums', current_setting('data_checksums')::bool, 'libraries', current_setting('shared_preload_libraries'),
  'segment', (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'))
FROM pg_database d WHERE datname = 'template0'
"""


@dataclass(frozen=True)
class Side:
    """One of the two clusters; ``libraries`` are preloaded where no configuration says so yet."""

    version: int
    name: str
    directory: Path
    libraries: str = ""

    @property
    def programs(self) -> Path:
        return Path(f"/usr/lib/postgresql/{self.version}/bin")

    @property
    def configuration(self) -> Path:
        return CONFIGURATION / str(self.version) / self.name

    @property
    def label(self) -> str:
        return f"PostgreSQL {self.version}"

    @property
    def options(self) -> str:
        """For pg_upgrade, which starts the server with them."""
        file = self.configuration / "postgresql.conf"
        own = f"config_file={file}" if file.exists() else f"shared_preload_libraries={self.libraries.replace(' ', '')}"
        return " ".join(f"-c {setting}" for setting in (own, *_QUIET))

    def start_at_boot(self, wanted: bool) -> None:
        """What Debian's tools read."""
        (self.configuration / "start.conf").write_text("auto\n" if wanted else "manual\n", encoding="utf-8")


def shape(connection: Any) -> dict[str, Any]:
    """The options of the running old cluster that the new one must have."""
    return rows(connection, _SHAPE)[0][0]


def initdb_options(found: Mapping[str, Any], version: int) -> list[str]:
    """As arguments of the new version's initdb."""
    options = [
        f"--encoding={found['encoding']}",
        f"--lc-collate={found['datcollate']}",
        f"--lc-ctype={found['datctype']}",
        f"--wal-segsize={int(found['segment']) // _MIB}",
        "--auth-local=peer",
        "--auth-host=scram-sha-256",
        "--no-instructions",
    ]
    locale = found.get("datlocale") or found.get("daticulocale")
    kind = {"i": "icu", "b": "builtin"}.get(found.get("datlocprovider", "c"))
    if kind:
        options += [f"--locale-provider={kind}", f"--{kind}-locale={locale}"]
    if found["checksums"]:
        options.append("--data-checksums")
    elif version >= 18:
        options.append("--no-data-checksums")
    return options


def initdb(new: Side, found: Mapping[str, Any], timeout: float) -> None:
    """A cluster of the old one's shape in the empty directory."""
    argv = [str(new.programs / "initdb"), f"--pgdata={new.directory}", *initdb_options(found, new.version)]
    ended = _run(argv, Path("/"), timeout)
    if ended.returncode:
        raise UpgradeError(f"initdb of {new.directory} failed: {_last_line(ended)}")


def pg_upgrade(old: Side, new: Side, *, link: bool, check: bool, timeout: float) -> None:
    """Checks whether the upgrade is possible, or makes it; UpgradeError with its reason."""
    argv = [
        str(new.programs / "pg_upgrade"),
        f"--old-bindir={old.programs}",
        f"--new-bindir={new.programs}",
        f"--old-datadir={old.directory}",
        f"--new-datadir={new.directory}",
        f"--old-options={old.options}",
        f"--new-options={new.options}",
        f"--username={SUPERUSER}",
        f"--jobs={os.cpu_count() or 1}",
        *(["--link"] if link else []),
        *(["--check"] if check else []),
    ]
    work = new.directory.with_name(f"{new.directory.name}.upgrading")
    shutil.rmtree(work, ignore_errors=True)
    make_directory(work, 0o700)
    owner = as_user(SUPERUSER)
    os.chown(work, owner.get("user", -1), owner.get("group", -1))
    try:
        ended = _run(argv, work, timeout)
        if ended.returncode:
            raise UpgradeError(f"pg_upgrade says: {words(ended.stdout + ended.stderr, new.directory)}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def words(output: str, directory: Path) -> str:
    """Why pg_upgrade ended, in one line, with the first lines of the files that it refers to."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.rstrip().endswith("ok")]
    fatal = next((index for index, line in enumerate(lines) if re.search(r"\bfatal\b|^Failure|failed", line)), 0)
    told = [line for line in lines[fatal:] if not re.match(r"/\S+$|Performing|-+$", line)][:8]
    for name in [line for line in lines[fatal:] if re.match(r"/\S+\.(txt|log)$", line)][:2]:
        told += _beginning(Path(name))
    return " ".join(" ".join(told).split()) or f"nothing; see {directory}/pg_upgrade_output.d"


def _beginning(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line]
    return [f"({line.strip()})" for line in (errors or lines)[:3]]


def identifier(side: Side) -> str:
    """The system identifier of the data."""
    told = control.read(side.version, side.directory, SUPERUSER)
    found = control.field(told, control.IDENTIFIER)
    if not found:
        said = (told.errors or told.output).strip()[-500:]
        raise UpgradeError(f"pg_controldata of {side.directory} says no system identifier: {said}")
    return found


def refuse_running(new: Side) -> None:
    """A pg_upgrade that outlived its killed run is left to its end."""
    program = os.fsencode(new.programs / "pg_upgrade")
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes().split(b"\0")[0] == program:
                raise UpgradeError(
                    f"pg_upgrade of a run that was killed still runs (process {file.parent.name}): run upgrade.yml"
                    " again when it has ended"
                )
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue


def stop_stray(side: Side, unit: str) -> None:
    """Ends a server that a killed pg_upgrade left; what a unit runs is none. ``unit`` is empty where none would."""
    asked = ["systemctl", "is-active", "--quiet", unit]
    if (side.directory / "postmaster.pid").exists() and (not unit or subprocess.run(asked, check=False).returncode):
        argv = [str(side.programs / "pg_ctl"), "stop", f"--pgdata={side.directory}", "--mode=fast", "--wait"]
        _run(argv, Path("/"), 300)  # a file that a dead server left fails, and means nothing


def statistics(new: Side, port: int, timeout: float) -> None:
    """Has the planner know the data again: a rough idea of everything first, then a good one."""
    argv = [str(new.programs / "vacuumdb"), "--all", f"--host={SOCKET}", f"--port={port}", f"--username={SUPERUSER}"]
    argv += ["--no-password", "--quiet", f"--jobs={os.cpu_count() or 1}"]
    # From 18 on pg_upgrade brings what was known; extended statistics are missing.
    rounds = [["--analyze-in-stages", "--missing-stats-only"], ["--analyze-only"]] if new.version >= 18 else []
    for options in rounds or [["--analyze-in-stages"]]:
        ended = _run([*argv, *options], Path("/"), timeout)
        if ended.returncode:
            raise UpgradeError(
                f"{new.label} serves, and its statistics are not whole; vacuumdb says: {_last_line(ended)}"
            )


def _run(argv: list[str], directory: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    if not Path(argv[0]).exists():
        raise UpgradeError(f"{argv[0]} is not there: install both versions' packages")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
    try:
        return subprocess.run(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            **as_user(SUPERUSER),
        )
    except subprocess.TimeoutExpired as error:
        raise UpgradeError(f"{Path(argv[0]).name} did not end within {timeout:g} s") from error


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"nothing, status {ended.returncode}"
