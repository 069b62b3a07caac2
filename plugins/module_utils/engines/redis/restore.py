# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A snapshot back into the live server: it stops, starts on it, and is compared. All of it or nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Refused, Restore, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.former import begin, discard, end
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import Kept
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import RedisError
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.backup import Plan, Snapshots, check, keys, make
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.scratch import RDB
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.sentinel import Settings, look_at_all
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

UNCHANGED = "Nothing was changed"
APPEND = "appendonlydir"
BASE = "appendonly.aof.1.base.rdb"
_LONGEST = 4 * 3600.0  # seconds that loading may take


def restore(wanted: Plan, host: str, asked: Restore, tell: Tell) -> None:
    """Nothing is replaced that is not confirmed, and what is replaced is saved before."""
    shelf = _refusing(lambda: wanted.shelf)
    former = replace(shelf, directory=wanted.directory / "former", bucket=None)
    with shelf.alone():
        if asked.action == "discard":
            tell("what restores replaced is removed" if former.directory.exists() else "nothing is kept")
            if not asked.look:
                discard(former.directory)
            return
        undo = asked.action == "undo"
        source = former if undo else shelf
        kept = _refusing(lambda: choose(source, asked))
        with ExitStack() as held:
            _refusing(lambda: held.enter_context(source.at_hand(kept)))
            _refusing(lambda: check(wanted, source, kept))
            live = _refusing(lambda: look(wanted))
            refuse_unconfirmed(asked, live, f"{host}/{wanted.name}")
            tell(f"{kept.label} with {keys(kept)} keys is restored" + (f" and replaces {live} keys" if live else ""))
            if asked.look:
                return
            if live and not undo:
                _save(wanted, former, tell)
            put(wanted, source, kept)
        with wanted.live() as client:
            refuse_difference(kept, client.info("persistence"), client.keyspace)
        if undo:
            end(former.directory)
        tell(f"the server has what {kept.label} holds; keys whose time has come since are gone")


def choose(shelf: Snapshots, asked: Restore) -> Kept:
    """The backup that is restored."""
    if asked.into:
        raise Refused(f"Redis is restored whole: restore_into is for engines that have names within. {UNCHANGED}")
    if asked.action == "undo":
        if not shelf.directory.exists():
            raise Refused(f"no restore of {shelf.name} keeps what it replaced. {UNCHANGED}")
        return shelf.newest()
    kept = {one.label: one for one in shelf.all()}
    if not kept:
        raise Refused(f"there is no backup of {shelf.name} in {shelf.where}; bring one there. {UNCHANGED}")
    if asked.set and asked.set not in kept:
        raise Refused(f"there is no backup {asked.set}; there are {', '.join(kept)}. {UNCHANGED}")
    return kept[asked.set] if asked.set else shelf.newest()


def look(wanted: Plan) -> int:
    """How many keys the live server has. A replica gets its data from its primary."""
    with wanted.live() as client:
        told = client.info("replication")
        if told["role"] != "master":
            raise RedisError(f"this server is a replica of {told.get('master_host')}: restore that, and it follows")
        refuse_failover(wanted)
        return sum(counts["keys"] for counts in client.keyspace().values())


def refuse_failover(wanted: Plan) -> None:
    """A restore stops the server. A replica that takes over meanwhile has the old data, and everybody follows it."""
    said = look_at_all(Settings.read(Path(wanted.sentinel)))[0] if wanted.sentinel else {}
    if said:
        raise RedisError(
            f"the sentinels on {', '.join(said)} would replace this server while it is stopped, and what is restored"
            " would be lost: systemctl stop slipway-redis-sentinel there, restore, then start them again"
        )


def refuse_unconfirmed(asked: Restore, live: int, confirmation: str) -> None:
    """What is there is replaced when that was typed, and never by a recovery."""
    if live and asked.action == "recover":
        raise Refused(
            f"the server has {live} keys: recover.yml fills an empty server alone. If they are to go: restore.yml with"
            f" restore_confirm={confirmation}. {UNCHANGED}"
        )
    if live and asked.confirm != confirmation:
        raise Refused(
            f"the server has {live} keys that would be replaced: restore_confirm={confirmation} (--confirm on the host)"
            f" does that. {UNCHANGED}"
        )


def _refusing(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Refused:
        raise
    except (DataError, OSError) as error:
        raise Refused(f"{error}. {UNCHANGED}") from error


def _save(wanted: Plan, former: Snapshots, tell: Tell) -> None:
    begin(former.directory, whole=former.directory.exists() and bool(former.all()))
    make_directory(former.directory, 0o700)
    try:
        make(wanted, former, lambda _: None)
    except (DataError, OSError) as error:
        end(former.directory)
        raise Refused(f"what is there cannot be saved, so it is not replaced: {error}. {UNCHANGED}") from error
    tell("what is there is kept: restore_undo=true puts it back, restore_discard=true removes it")


def put(wanted: Plan, shelf: Snapshots, kept: Kept) -> None:
    """The server starts on the snapshot. An append-only file that is not there would be begun empty, whatever snapshot
    lies beside it: so the snapshot becomes its base."""
    fresh = wanted.data / ".slipway-restore"
    shutil.rmtree(fresh, ignore_errors=True)
    make_directory(fresh, 0o700)
    name = BASE if wanted.appendonly else RDB
    shelf.unseal(shelf.sealed(kept.label), fresh / name)
    if wanted.appendonly:
        (fresh / "appendonly.aof.manifest").write_text(f"file {BASE} seq 1 type b\n", encoding="utf-8")
    for path in (fresh, *fresh.iterdir()):
        shutil.chown(path, wanted.flavour, wanted.flavour)
    unit = f"{wanted.flavour}-server.service"
    _systemctl("stop", unit)
    _exchange(wanted, fresh)
    _systemctl("start", unit)
    _until_loaded(wanted)
    shutil.rmtree(_replaced(wanted), ignore_errors=True)


def _exchange(wanted: Plan, fresh: Path) -> None:
    """By names alone: a host that dies while gigabytes are removed would start on nothing."""
    aside = _replaced(wanted)
    shutil.rmtree(aside, ignore_errors=True)
    if (wanted.data / APPEND).exists():
        (wanted.data / APPEND).rename(aside)
    if wanted.appendonly:
        fresh.rename(wanted.data / APPEND)
        (wanted.data / RDB).unlink(missing_ok=True)
    else:
        (fresh / RDB).replace(wanted.data / RDB)
        fresh.rmdir()


def _replaced(wanted: Plan) -> Path:
    return wanted.data / ".slipway-replaced"


def refuse_difference(
    kept: Kept, loaded: Mapping[str, str], found: Callable[[], Mapping[str, Mapping[str, int]]]
) -> None:
    """Clients are back as soon as it has loaded, so what is there a moment later is theirs, too: the server says itself
    how many keys it loaded. One before 7.0 does not; what it has more than the snapshot is of clients."""
    other = f"the restored server is not what {kept.label} holds"
    counts = [loaded.get(f"rdb_last_load_keys_{name}") for name in ("loaded", "expired")]
    if None not in counts:
        there = sum(int(count or 0) for count in counts)
        if there != keys(kept):
            raise RedisError(
                f"the restored server is not what {kept.label} holds: it loaded {there} keys of {keys(kept)}"
            )
        return
    now, wrong = found(), []
    for name, of in kept.holds["databases"].items():
        has = now.get(name, {}).get("keys", 0)
        if has < of["keys"] - of["expires"]:
            wrong.append(f"{name} has {has} keys instead of {of['keys']}")
    if wrong:
        raise RedisError(
            f"{other}: {'; '.join(wrong[:5])}. A client that removes keys makes that, too: look before you restore"
            " again"
        )


def _until_loaded(wanted: Plan) -> None:
    deadline = time.monotonic() + _LONGEST
    while True:
        try:
            with wanted.live() as client:
                if client.info("persistence")["loading"] == "0":
                    return
        except RedisError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _systemctl(verb: str, unit: str) -> None:
    ended = subprocess.run(["systemctl", verb, unit], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RedisError(f"systemctl {verb} {unit} failed: {ended.stderr.strip()}; journalctl -u {unit} says why")
