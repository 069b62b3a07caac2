# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The recovery of a lost server on a new host: when it began and how far it is, so that one that was killed goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.status import moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError, journal
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import Cluster

SOURCE = "postgresql_recovery 0.1.0"


@dataclass(frozen=True)
class Recovery:
    """``began`` is Unix time. ``run`` is the playbook run that began it, which its restore is named after as well."""

    run: str
    directory: str
    began: float


def path(cluster: Cluster) -> Path:
    return journal.STATE / f"{cluster.version}-{cluster.name}.recovery.json"


def load(cluster: Cluster) -> Recovery | None:
    """The recovery that is under way, None for none."""
    place = path(cluster)
    try:
        return Recovery(**json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise RestoreError(f"{place} is damaged ({error}); remove it when you know whose data is where") from error


def begin(cluster: Cluster, host: str, run: str, now: float, check_mode: bool = False) -> Recovery:
    """The recovery that is under way, or a new one, which is noted. RestoreError where somebody's data is."""
    found = load(cluster)
    if found and found.directory == str(cluster.directory):
        return found
    if cluster.entries:
        what = f"the {cluster.keeper.name}" if cluster.running() else "the data of a stopped server"
        raise RestoreError(
            f"{cluster.directory} on {host} has {what}; recover.yml fills an empty directory alone. If site.yml made"
            f" that server or it is to go, restore.yml -e restore_host={host} -e restore_confirm={host}/{cluster.name}"
            " replaces it and keeps it beside. Nothing was changed"
        )
    begun = Recovery(run, str(cluster.directory), now)
    if not check_mode:
        journal.write(path(cluster), asdict(begun))
    return begun


def is_restored(cluster: Cluster, begun: Recovery) -> bool:
    """Whether the data came back already."""
    last = journal.load(journal.path(cluster.version, cluster.name))
    return last is not None and last.finished and last.run == begun.run


def end(cluster: Cluster, host: str, now: float) -> list[Result]:
    """What came out of the recovery that is under way, if any; ``forget`` it when that is kept."""
    begun = load(cluster)
    if begun is None:
        return []
    if not is_restored(cluster, begun):
        raise RestoreError(f"the recovery {begun.run} has not restored anything yet: run recover.yml again")
    took = round(now - begun.began, 3)
    return [
        Result(
            id="data.recover.postgresql.result",
            area="data",
            subject=cluster.stanza,
            claim=f"{cluster.stanza} was rebuilt on the new host {host} from the repository, and backed up",
            verdict="pass",
            measured=took,
            unit="s",
            at=moment(begun.began),
            took=took,
            source=SOURCE,
        )
    ]


def forget(cluster: Cluster) -> None:
    path(cluster).unlink(missing_ok=True)


def line(begun: Recovery, host: str, restored: bool, now: float) -> str:
    """For a terminal."""
    age = max(0.0, now - begun.began)
    if restored:
        return f"goes on with the recovery {begun.run} of {to_duration(round(age))} ago, which has its data"
    return f"recovers {begun.directory} on {host}" + (f", begun {to_duration(round(age))} ago" if age > 1 else "")
