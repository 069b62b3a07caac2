# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Data directories: a new one, or a copy of another server's, and never over data that nobody here knows.

What is being made is written down before it is begun (``/var/lib/slipway/postgresql``), so that a run that is killed
leaves a half-made directory that the next run recognises and begins anew. Everything else that is not empty is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, tablespaces
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

OWNER = "postgres"
CONFIGURATION = Path("/etc/postgresql")
STATE = Path("/var/lib/slipway/postgresql")
_SHOWN_LINES = 3
_ERROR = re.compile("ERROR|FATAL|PANIC|error:|could not|no such", re.IGNORECASE)
_TRY_AGAIN_AFTER = 2.0


@dataclass(frozen=True)
class Source:
    """The server that a standby copies and follows. ``conninfo`` names the file with the password."""

    name: str
    conninfo: str
    slot: str


@dataclass(frozen=True)
class Wanted:
    """``mount`` must be a mount point that holds ``directory``; ``wait`` is seconds for the source to answer."""

    version: int
    name: str
    directory: str
    locale: str = "C.UTF-8"
    mount: str = ""
    source: Source | None = None
    adopt: bool = False
    wait: float = 60.0

    @property
    def programs(self) -> Path:
        return Path(f"/usr/lib/postgresql/{self.version}/bin")

    @property
    def journal(self) -> Path:
        return STATE / f"{self.version}-{self.name}.json"


@dataclass(frozen=True)
class Found:
    """What is there. ``version`` is that of the data, empty for none; ``making`` a run that was killed began it.
    ``others`` are other major versions whose clusters of this name have data on this host."""

    entries: int = 0
    version: str = ""
    standby: bool = False
    started: bool = False
    making: bool = False
    known: bool = False
    elsewhere: str = ""
    others: str = ""


@contextmanager
def alone(wanted: Wanted) -> Iterator[None]:
    """One run at a time. The programs hold the lock as well, so that one that outlives its killed run is waited for."""
    make_directory(STATE)
    with wanted.journal.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PostgresqlError(
                f"another run is making {wanted.directory}, or a killed one left initdb, pg_basebackup or pg_rewind"
                " running; try again when it has ended"
            ) from error
        os.set_inheritable(lock.fileno(), True)
        yield


def look(wanted: Wanted) -> Found:
    """What is in the data directory, and what this host knows of it; PostgresqlError when its volume is not mounted."""
    _check_mount(wanted)
    directory = Path(wanted.directory)
    journal = _read_journal(wanted.journal)
    configured = _configured_directory(wanted)
    try:
        entries = len(list(directory.iterdir()))
    except FileNotFoundError:
        entries = 0
    except NotADirectoryError as error:
        raise PostgresqlError(f"{directory} is not a directory; nothing was changed") from error
    version = directory / "PG_VERSION"
    mine = journal.get("directory") == wanted.directory
    return Found(
        entries=entries,
        version=version.read_text().strip() if version.exists() else "",
        standby=(directory / "standby.signal").exists(),
        started=(directory / "postmaster.opts").exists(),
        making=mine and journal.get("phase") == "making",
        known=(mine and journal.get("phase") == "made") or configured == wanted.directory,
        elsewhere=configured if configured not in ("", wanted.directory) else "",
        others=", ".join(_other_versions(wanted)),
    )


def decide(wanted: Wanted, found: Found) -> str:
    """``keep`` what is there, ``adopt`` it, or ``make`` it; PostgresqlError where that would lose or confuse data."""
    where = f"{wanted.directory} ({wanted.version}/{wanted.name})"
    if found.elsewhere:
        raise PostgresqlError(
            f"the cluster {wanted.version}/{wanted.name} has its data in {found.elsewhere}, the inventory says"
            f" {wanted.directory}. Move it there yourself with the server stopped, or set postgresql_data_directory"
            " back"
        )
    if found.making and not found.started:
        return "make"
    if not found.entries:
        if found.known:
            begin_anew = (
                f"set postgresql_rejoin: true for one run, which copies {wanted.source.name}"
                if wanted.source
                else "restore it from the backup; to begin with an empty one remove"
                f" {wanted.journal} and {CONFIGURATION / str(wanted.version) / wanted.name}"
            )
            raise PostgresqlError(
                f"{where} was made by an earlier run and is empty now: is its volume mounted? Nothing was changed. If"
                f" the data is really gone, {begin_anew}"
            )
        if found.others:
            raise PostgresqlError(
                f"this host has {wanted.name} with data of PostgreSQL {found.others}, and the inventory says"
                f" {wanted.version}; an empty one was not made beside it. Major versions are changed by upgrade.yml."
                " Nothing was changed"
            )
        return "make"
    if not (found.known or found.making or wanted.adopt):
        holds = f"data of PostgreSQL {found.version}" if found.version else f"{found.entries} entries"
        raise PostgresqlError(
            f"{where} is not empty ({holds}) and not known to this host; it was not touched. If it is to be this"
            " server's data, set postgresql_adopt: true for one run; otherwise move it away"
        )
    if found.version != str(wanted.version):
        raise PostgresqlError(
            f"{where} holds {'data of PostgreSQL ' + found.version if found.version else 'no PostgreSQL data'}; it was"
            " not touched. Major versions are changed by upgrade.yml"
        )
    _check_role(wanted, found, where)
    return "keep" if found.known else "adopt"


def _check_role(wanted: Wanted, found: Found, where: str) -> None:
    if wanted.source and not found.standby:
        raise PostgresqlError(
            f"{where} is a server of its own, the inventory says that it follows {wanted.source.name}. If it was"
            " promoted on purpose, change postgresql_primary; if it is to follow again, set postgresql_rejoin: true for"
            " one run"
        )
    if not wanted.source and found.standby:
        raise PostgresqlError(
            f"{where} is a standby, the inventory says that it is the primary. Set postgresql_primary to the server"
            " that it follows, or promote it first"
        )


def make(wanted: Wanted) -> None:
    """Makes the data directory, from nothing or from the source; on failure nothing is left of it."""
    directory = Path(wanted.directory)
    _write_journal(wanted, "making")
    tablespaces.remove_data(directory, wanted.version)
    try:
        _own_directory(directory)
        if wanted.source:
            _copy(wanted, wanted.source)
        else:
            _initialise(wanted)
    except (PostgresqlError, OSError):
        tablespaces.remove_data(directory, wanted.version)
        wanted.journal.unlink(missing_ok=True)
        raise
    _write_journal(wanted, "made")


def clear(wanted: Wanted, check_mode: bool) -> bool:
    """Has the data directory without any data, for a restore to fill; whether it was missing. What is in it stays."""
    _check_mount(wanted)
    directory = Path(wanted.directory)
    if directory.exists():
        return False
    if not check_mode:
        _own_directory(directory)
    return True


def adopt(wanted: Wanted) -> None:
    """From now on the directory is known."""
    _write_journal(wanted, "made")


def rejoin(wanted: Wanted) -> str:
    """Lets a stopped server follow its source again; one sentence on how.

    The data of one that was promoted is rewound, or kept aside where that is not possible. A standby's is a copy and
    goes.
    """
    if wanted.source is None:
        raise PostgresqlError(
            "a primary follows nobody: postgresql_rejoin needs postgresql_primary to name another host"
        )
    _wait_for(wanted, wanted.source)
    found = look(wanted)
    if found.standby or not found.entries:
        make(wanted)
        return f"{wanted.source.name} was copied anew to {wanted.directory}"
    source = f"--source-server={wanted.source.conninfo} dbname=postgres"
    rewound = _run(wanted, "pg_rewind", [f"--target-pgdata={wanted.directory}", source])
    if rewound.returncode == 0:
        _follow(wanted)
        return f"{wanted.directory} was rewound to where {wanted.source.name} went on"
    return f"{_copy_beside(wanted)} ({_told(rewound)})"


def _copy_beside(wanted: Wanted) -> str:
    """Copies the source anew; the former data stays beside it, and comes back when copying fails."""
    directory = Path(wanted.directory)
    aside = directory.with_name(f"{directory.name}.{time.strftime('%Y%m%dT%H%M%S')}")
    directory.rename(aside)
    try:
        make(wanted)
    except (PostgresqlError, OSError):
        shutil.rmtree(directory, ignore_errors=True)
        aside.rename(directory)
        _write_journal(wanted, "made")
        raise
    return f"a new copy is in {directory}, the former data in {aside}"


def _initialise(wanted: Wanted) -> None:
    _succeed(
        wanted,
        "initdb",
        [
            f"--pgdata={wanted.directory}",
            "--data-checksums",
            "--encoding=UTF8",
            f"--locale={wanted.locale}",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
            "--no-instructions",
        ],
    )


def _copy(wanted: Wanted, source: Source) -> None:
    """A base backup over TLS, with a slot of its own made afresh: one that was lost cannot be used again."""
    _wait_for(wanted, source)
    dropped = _replication_command(wanted, source, f'DROP_REPLICATION_SLOT "{source.slot}"')
    if dropped.returncode and "does not exist" not in dropped.stderr:
        raise PostgresqlError(f"{source.name} does not let its slot {source.slot} be made anew: {_told(dropped)}")
    argv = [
        f"--pgdata={wanted.directory}",
        f"--dbname={source.conninfo}",
        f"--slot={source.slot}",
        "--create-slot",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-password",
    ]
    ended = _run(wanted, "pg_basebackup", argv)
    if ended.returncode:
        raise PostgresqlError(f"copying {source.name} to {wanted.directory} failed: {_told(ended)}")
    _follow(wanted)


def _replication_command(wanted: Wanted, source: Source, command: str) -> subprocess.CompletedProcess[str]:
    return _run(wanted, "psql", ["--no-psqlrc", f"--command={command}", f"{source.conninfo} replication=1"])


def _wait_for(wanted: Wanted, source: Source) -> None:
    """The source may be starting at this moment, in the same run."""
    give_up = time.monotonic() + wanted.wait
    while True:
        ended = _replication_command(wanted, source, "IDENTIFY_SYSTEM")
        if ended.returncode == 0:
            return
        if time.monotonic() >= give_up:
            raise PostgresqlError(
                f"{source.name} does not let this host replicate ({source.conninfo}): {_told(ended)}. Run the role on"
                f" {source.name} first; both need the same postgresql_replication_password"
            )
        time.sleep(_TRY_AGAIN_AFTER)


def _follow(wanted: Wanted) -> None:
    signal = Path(wanted.directory) / "standby.signal"
    signal.touch(mode=0o600)
    account = pwd.getpwnam(OWNER)
    os.chown(signal, account.pw_uid, account.pw_gid)


def _check_mount(wanted: Wanted) -> None:
    if not wanted.mount:
        return
    if not os.path.ismount(wanted.mount):
        raise PostgresqlError(
            f"nothing is mounted on {wanted.mount}, where the inventory (postgresql_data_mount) has the data on a"
            " volume of its own; nothing was changed"
        )
    if Path(wanted.mount) not in [Path(wanted.directory), *Path(wanted.directory).parents]:
        raise PostgresqlError(f"{wanted.directory} is not on the volume {wanted.mount} (postgresql_data_mount)")


def _own_directory(directory: Path) -> None:
    """The directory, 0700 of its owner. Parents that are missing belong to the owner too."""
    account = pwd.getpwnam(OWNER)
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        make_directory(path)
        os.chown(path, account.pw_uid, account.pw_gid)
    os.chown(directory, account.pw_uid, account.pw_gid)
    directory.chmod(0o700)


def _other_versions(wanted: Wanted) -> Iterator[str]:
    for path in sorted(CONFIGURATION.glob(f"*/{wanted.name}")):
        version = path.parent.name
        if version.isdigit() and int(version) != wanted.version:
            directory = _configured_directory(replace(wanted, version=int(version)))
            if directory and (Path(directory) / "PG_VERSION").exists():
                yield version


def _configured_directory(wanted: Wanted) -> str:
    """The data directory that the cluster's postgresql.conf names, empty when there is none."""
    configuration = CONFIGURATION / str(wanted.version) / wanted.name / "postgresql.conf"
    if not configuration.exists():
        return ""
    found = re.findall(r"^\s*data_directory\s*=\s*'([^']*)'", configuration.read_text(), re.MULTILINE)
    return found[-1] if found else ""


def _read_journal(journal: Path) -> dict[str, str]:
    try:
        return json.loads(journal.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PostgresqlError(f"{journal} is damaged: {error}; remove it when you know whose data that is") from error


def _write_journal(wanted: Wanted, phase: str) -> None:
    """Whole or not at all, and on the disk."""
    make_directory(STATE)
    fresh = wanted.journal.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump({"directory": wanted.directory, "phase": phase}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(wanted.journal)


def _run(wanted: Wanted, program: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs one of PostgreSQL's programs as the owner of the data."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}
    path = wanted.programs / program
    if not path.exists():
        raise PostgresqlError(f"{path} is not there: PostgreSQL {wanted.version} is not installed")
    account = pwd.getpwnam(OWNER)
    return subprocess.run(
        [str(path), *arguments],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        close_fds=False,  # the lock
    )


def _succeed(wanted: Wanted, program: str, arguments: list[str]) -> None:
    ended = _run(wanted, program, arguments)
    if ended.returncode:
        raise PostgresqlError(f"{program} of {wanted.directory} failed and left nothing behind: {_told(ended)}")


def _told(ended: subprocess.CompletedProcess[str]) -> str:
    """The first errors that a program told, which are the cause of those that follow."""
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    errors = [line.partition("] ")[2] or line for line in lines if _ERROR.search(line)]
    return " / ".join(line.strip() for line in errors[:_SHOWN_LINES] or lines[-1:]) or f"status {ended.returncode}"
