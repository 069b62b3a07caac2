# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One dump: made, read back from the disk, and only then kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Tell, skipped
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import digest
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import Server, connected
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.store import (
    Dump,
    Plan,
    Store,
    shrunk,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import (
    contents,
    run_pipe,
    tool_config,
    uri_of,
)

SOURCE = "slipway-backup 0.1.0"


def back_up(wanted: Plan, tell: Tell) -> list[Result]:
    """A dump, and what is recorded of it."""
    at, began = timestamp(), time.monotonic()
    claim = f"A dump of {wanted.name} succeeds"
    try:
        store = Store(wanted)
        with store.alone():
            store.tidy()  # what a killed run left may have filled the disk
            before = store.all()
            made = dump(store, tell)
            for label in store.expire(time.time()):
                tell(f"{label} is beyond its {wanted.retention:g} days and removed")
    except Busy as busy:
        tell(f"skip: {busy}")
        return [skipped("full", wanted.name, claim, busy, SOURCE)]
    except (DataError, OSError) as error:
        tell(f"fail: {error}")
        took = round(time.monotonic() - began, 2)
        return [_result(wanted, "full", claim, "fail", at=at, took=took, reason=f"{wanted.name}: {error}")]
    took = round(time.monotonic() - began, 2)
    less = shrunk(made, before)
    tell(f"{made.label}: {made.documents} documents of {len(made.data())} collections, {to_byte_size(made.stored)}")
    return [
        _result(wanted, "full", claim, "pass", at=at, took=took, measured=took, unit="s"),
        _result(wanted, "documents", f"The dump of {wanted.name} has documents", "pass", measured=made.documents),
        _result(wanted, "collections", f"The dump of {wanted.name} has collections", "pass", measured=len(made.data())),
        _result(
            wanted,
            "shrinkage",
            f"The dump of {wanted.name} is not much less than the five before",
            "warn" if less else "pass",
            measured=len(less),
            limit="= 0",
            reason=f"the newest dump of {wanted.name} shrank: {'; '.join(less)}" if less else None,
        ),
    ]


def verify(wanted: Plan, tell: Tell) -> list[Result]:
    """Reads every archive to its end."""
    at, began = timestamp(), time.monotonic()
    claim = f"Every dump of {wanted.name} can be read to its end"
    try:
        store = Store(wanted)
        troubles = store.troubles(store.check, tell, " is whole")
    except Busy as busy:
        tell(f"skip: {busy}")
        return [skipped("verified", wanted.name, claim, busy, SOURCE)]
    except (DataError, OSError) as error:
        troubles = [str(error)]
        tell(f"fail: {error}")
    took = round(time.monotonic() - began, 2)
    verdict: Verdict = "fail" if troubles else "pass"
    reason = f"the verification of {wanted.name} found trouble: {'; '.join(troubles[:5])}" if troubles else None
    return [_result(wanted, "verified", claim, verdict, at=at, took=took, measured=took, unit="s", reason=reason)]


def dump(store: Store, tell: Tell) -> Dump:
    """Made, read back, and kept in the store when nothing is missing."""
    wanted, began = store.plan, time.time()
    label = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    partial = store.partial(label)
    uri = uri_of(wanted.secrets)
    try:
        with connected(uri) as server, tool_config(uri) as config:
            oplog = with_oplog(wanted, server)
            tell(f"a dump of {wanted.name} begins, {'with' if oplog else 'without'} the oplog")
            before, version = server.collections(wanted.database), server.version()
            run_pipe([dump_argv(wanted, config, oplog), ["age", "--encrypt", f"--identity={wanted.key}"]], sink=partial)
            # What came or went meanwhile may or may not be in the dump.
            there = set(before) & set(server.collections(wanted.database))
        tell("it is read back")
        found = contents([store.decrypt()], partial)
        refuse_lacking(found, there, wanted.required)
        stored = partial.stat().st_size
        consistency = "oplog" if oplog else "collection"
        made = Dump(label, began, time.time(), version, consistency, digest(partial), stored, found)
        if store.bucket:
            tell(f"it is sent to {store.where}")
        store.keep(made)
        return made
    except (DataError, OSError) as error:
        free = store.free()
        store.forget(label)
        if free < 2**20:
            raise MongodbError(f"the disk of {store.directory} is full ({error}): enlarge it") from error
        raise


def dump_argv(wanted: Plan, config: str, oplog: bool) -> list[str]:
    """mongodump, to standard output."""
    return [
        "mongodump",
        f"--config={config}",
        "--archive",
        "--gzip",
        *(["--oplog"] if oplog else []),
        *([f"--db={wanted.database}"] if wanted.database else []),
        *(["--readPreference=secondaryPreferred"] if wanted.secondary else []),
    ]


def with_oplog(wanted: Plan, server: Server) -> bool:
    """Whether the dump takes the oplog along, so that all collections are of one moment."""
    if wanted.database:
        return False  # mongodump refuses it for a single database
    return server.has_oplog() if wanted.oplog == "auto" else wanted.oplog == "always"


def refuse_lacking(found: Mapping[str, Collection], there: Iterable[str], required: Iterable[str]) -> None:
    """mongodump of a collection that is missing dumps nothing and ends with 0."""
    lacking = sorted({*there, *required} - set(found))
    if lacking:
        raise MongodbError(f"the dump lacks {', '.join(lacking[:5])}, so it was not kept")


def _result(wanted: Plan, name: str, claim: str, verdict: Verdict, **given: object) -> Result:
    return Result(f"data.backup.{name}", "data", wanted.name, claim, verdict, source=SOURCE, **given)  # type: ignore[arg-type]
