# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dump back into a server, under the same names or others: documents, then indexes, then read back and compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Compared
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import CONFIGURATION, configuration
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import Server, connected
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.store import ENGINE, Dump, Plan, Store, plan
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import (
    contents,
    renaming,
    restored,
    run_pipe,
    tool_config,
    uri_of,
)


def put(store: Store, dump: Dump, config: str, names: Mapping[str, str], drop: bool) -> None:
    """Documents of these databases, each under its other name. MongodbError unless every one arrived."""
    argv = ["mongorestore", f"--config={config}", "--archive", "--gzip", "--noIndexRestore", *renaming(names)]
    said = run_pipe([store.decrypt(), [*argv, *(["--drop"] if drop else [])]], source=store.archive(dump.label))
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
    """Each collection against the server's, and whose indexes are not the same."""
    there: dict[str, Collection] = {}
    for other in names.values():
        there |= contents([["mongodump", f"--config={config}", f"--db={other}", "--archive"]], packed=False)
    compared, unlike = [], []
    for name, one in of(dump, names).items():
        found = there.get(name)
        rows, hashed = (found.documents, found.hash) if found else (None, None)
        compared.append(Compared(name, one.documents, one.hash, rows, hashed))
        if found and server.indexes(name) != one.indexes:
            unlike.append(name)
    return compared, unlike


def databases(dump: Dump) -> list[str]:
    """Those with data."""
    return sorted({name.partition(".")[0] for name in dump.data()})


def restore(wanted: Plan, label: str, into: Mapping[str, str], replace: bool, tell: Tell) -> None:
    """Restores databases under these names, and compares. Refuses to replace what is there unless told to."""
    store = Store(wanted)
    with store.alone():
        dumps = {dump.label: dump for dump in store.dumps()}
        if label and label not in dumps:
            raise MongodbError(f"there is no dump {label}; there are {', '.join(dumps) or 'none'}. Nothing was changed")
        dump = dumps[label] if label else store.newest()
        names = dict(into) or {name: name for name in databases(dump)}
        unknown = sorted(set(names) - set(databases(dump)))
        if unknown:
            raise MongodbError(f"{dump.label} has no database {', '.join(unknown)}. Nothing was changed")
        store.check(dump)
        uri = uri_of(wanted.secrets)
        with connected(uri) as server, tool_config(uri) as config:
            live = sorted(set(names.values()) & set(server.databases()))
            if live and not replace:
                raise MongodbError(
                    f"{', '.join(live)} is there already: --replace drops and replaces the dump's collections in it,"
                    " --into OLD=NEW restores beside it. Nothing was changed"
                )
            tell(f"{dump.label} is restored to {', '.join(names.values())}")
            put(store, dump, config, names, drop=replace)
            server.make_indexes(of(dump, names))
            compared, unlike = compare(dump, config, names, server)
        bad = [one.difference for one in compared if not one.same] + [f"{name} has other indexes" for name in unlike]
        if bad:
            raise MongodbError(f"{len(bad)} differences from the dump after the restore: {'; '.join(bad[:5])}")
        documents = sum(one.rows for one in compared)
        tell(f"{documents} documents of {len(compared)} collections are the same as in the dump, indexes too")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``slipway-mongodb-restore``."""
    parser = argparse.ArgumentParser(prog="slipway-mongodb-restore", description="Restore a dump and compare.")
    parser.add_argument("--label", default="", help="the dump; default the newest")
    parser.add_argument("--into", action="append", default=[], metavar="OLD=NEW", help="only this database, so named")
    parser.add_argument("--replace", action="store_true", help="replace collections that are there")
    parser.add_argument("--configuration", default=CONFIGURATION, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    try:
        pairs = [pair.partition("=") for pair in given.into]
        wanted = plan(configuration(ENGINE, given.configuration))
        restore(wanted, given.label, {old: new or old for old, _, new in pairs}, given.replace, print)
    except (DataError, KeyError, OSError) as error:
        print(f"slipway-mongodb-restore: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
