# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dump back into a server, under the same names or others: documents, then indexes, then read back and compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Compared
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Refused, Restore, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.former import begin, discard, end
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError, backup
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import Server, connected
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.store import Dump, Plan, Store
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import (
    contents,
    renaming,
    restored,
    run_pipe,
    tool_config,
    uri_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

UNCHANGED = "Nothing was changed"


def put(store: Store, dump: Dump, config: str, names: Mapping[str, str], drop: bool) -> None:
    """Documents of these databases, each under its other name. MongodbError unless every one arrived."""
    argv = ["mongorestore", f"--config={config}", "--archive", "--gzip", "--noIndexRestore", *renaming(names)]
    said = run_pipe([store.decrypt(), [*argv, *(["--drop"] if drop else [])]], source=store.sealed(dump.label))
    wanted, arrived = sum(one.documents for one in of(dump, names).values()), restored(said)
    if arrived != wanted:
        raise MongodbError(f"mongorestore restored {arrived} documents of {wanted}, and ended as if all were well")


def of(dump: Dump, names: Mapping[str, str]) -> dict[str, Collection]:
    """The dump's collections of these databases, under their other names."""
    return {_renamed(name, names): one for name, one in dump.data().items() if name.partition(".")[0] in names}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    database, _, inner = name.partition(".")
    return f"{names[database]}.{inner}"


def compare(dump: Dump, config: str, names: Mapping[str, str], server: Server) -> tuple[list[Compared], list[str]]:
    """Each collection against the server's, and whose indexes are not the same.

    A view is in a dump as an empty collection without indexes, and no server lists those of a view: it refuses.
    """
    there: dict[str, Collection] = {}
    for other in names.values():
        there |= contents([["mongodump", f"--config={config}", f"--db={other}", "--archive"]], packed=False)
    compared, unlike = [], []
    for name, one in of(dump, names).items():
        found = there.get(name)
        rows, hashed = (found.documents, found.hash) if found else (None, None)
        compared.append(Compared(name, one.documents, one.hash, rows, hashed))
        if found and one.indexes and server.indexes(name) != one.indexes:
            unlike.append(name)
    return compared, unlike


def databases(dump: Dump) -> list[str]:
    """Those with data."""
    return sorted({name.partition(".")[0] for name in dump.data()})


def restore(wanted: Plan, host: str, asked: Restore, tell: Tell) -> None:
    """Restores databases, under other names if asked to, and compares. Nothing is replaced that is not confirmed, and
    what is replaced is dumped before."""
    store = Store(wanted)
    former = Former(store)
    with store.alone():
        if asked.action == "discard":
            former.discard(tell, asked.look)
            return
        undo = asked.action == "undo"
        with refusing():
            dump, names = former.newest() if undo else choose(store, asked)
        source = former.store if undo else store
        with ExitStack() as held:
            with refusing():
                held.enter_context(source.at_hand(dump))
                source.check(dump)
            uri = uri_of(wanted.secrets)
            server, config = held.enter_context(connected(uri)), held.enter_context(tool_config(uri))
            live = sorted(set(names.values()) & set(server.databases()))
            refuse_unconfirmed(asked, live, f"{host}/{wanted.name}")
            tell(f"{dump.label} is restored to {', '.join(names.values())}")
            if live:
                tell(f"collections of it that are in {', '.join(live)} are replaced")
            if asked.look:
                return
            if live and not undo:
                former.keep(names.values(), live, tell)
            put(source, dump, config, names, drop=bool(live))
            server.make_indexes(of(dump, names))
            refuse_difference(*compare(dump, config, names, server))
            if undo:
                server.drop_others(of(dump, names), names.values())
                former.put_back(tell)
        documents = sum(one.documents for one in of(dump, names).values())
        tell(f"{documents} documents of {len(of(dump, names))} collections are the same as in the dump, indexes too")


def refuse_difference(compared: Iterable[Compared], unlike: Iterable[str]) -> None:
    """A restore that is not the same as its dump failed."""
    bad = [one.difference for one in compared if not one.same] + [f"{name} has other indexes" for name in unlike]
    if bad:
        raise MongodbError(f"{len(bad)} differences from the dump after the restore: {'; '.join(bad[:5])}")


def choose(store: Store, asked: Restore) -> tuple[Dump, dict[str, str]]:
    """The dump, and the names that its databases get."""
    dumps = {dump.label: dump for dump in store.all()}
    if not dumps:
        raise Refused(f"there is no backup of {store.plan.name} in {store.where}; bring one there. {UNCHANGED}")
    if asked.set and asked.set not in dumps:
        raise Refused(f"there is no dump {asked.set}; there are {', '.join(dumps)}. {UNCHANGED}")
    dump = dumps[asked.set] if asked.set else store.newest()
    names = dict(asked.into) or {name: name for name in databases(dump)}
    if unknown := sorted(set(names) - set(databases(dump))):
        raise Refused(f"{dump.label} has no database {', '.join(unknown)}. {UNCHANGED}")
    if len(set(names.values())) < len(names):
        raise Refused(f"two databases cannot both become {', '.join(sorted(names.values()))}. {UNCHANGED}")
    return dump, names


def refuse_unconfirmed(asked: Restore, live: Sequence[str], confirmation: str) -> None:
    """What is there is replaced when that was typed, and never by a recovery."""
    if live and asked.action == "recover":
        raise Refused(
            f"the server has {', '.join(live)}: recover.yml fills an empty server alone. If it is to go: restore.yml"
            f" with restore_confirm={confirmation}. {UNCHANGED}"
        )
    if live and asked.confirm != confirmation:
        beside = "" if asked.action == "undo" else "; restore_into with other names restores beside it"
        raise Refused(
            f"{', '.join(live)} is there and would be replaced: restore_confirm={confirmation} (--confirm on the host)"
            f" does that{beside}. {UNCHANGED}"
        )


@contextmanager
def refusing() -> Iterator[None]:
    """A dump that is damaged or out of reach is refused like whatever else cannot be."""
    try:
        yield
    except Refused:
        raise
    except DataError as error:
        raise Refused(f"{error}. {UNCHANGED}") from error


class Former:
    """What the last restore replaced: a dump of its own, in a place where no restore, drill or retention looks."""

    def __init__(self, store: Store) -> None:
        place = store.directory / "former"
        self.store = Store(replace(store.plan, directory=place, database="", required=(), oplog="never", bucket={}))
        self._names = place / "databases"

    def keep(self, names: Iterable[str], live: Sequence[str], tell: Tell) -> None:
        """Dumps what is there and notes which databases are replaced. mongodump takes one database or all: one alone is
        dumped alone, by whoever may read no other, and in its own size."""
        begin(self.store.directory, whole=self._names.exists())
        make_directory(self.store.directory, 0o700)
        tell("what is there is dumped first")
        try:
            only = live[0] if len(live) == 1 else ""
            backup.dump(Store(replace(self.store.plan, database=only)), lambda _: None)
        except DataError as error:
            end(self.store.directory)
            raise Refused(f"what is there cannot be dumped, so it is not replaced: {error}. {UNCHANGED}") from error
        self._names.write_text(json.dumps(sorted(names)), encoding="utf-8")
        tell("restore_undo=true puts it back, restore_discard=true removes it")

    def newest(self) -> tuple[Dump, dict[str, str]]:
        """The dump, and the databases that go back to it."""
        try:
            replaced = json.loads(self._names.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise Refused(f"no restore of {self.store.plan.name} keeps what it replaced. {UNCHANGED}") from error
        return self.store.newest(), {name: name for name in replaced}

    def discard(self, tell: Tell, look: bool = False) -> None:
        kept = self._names.exists()
        tell("what restores replaced is removed" if kept else "nothing is kept that a restore replaced")
        if not look:
            discard(self.store.directory)

    def put_back(self, tell: Tell) -> None:
        """It is in the server again; what the restore before replaced is kept on."""
        end(self.store.directory)
        tell("what the restore replaced is back")
