# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pgBackRest's configuration from the inventory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.settings import (
    clients_of,
    problems,
    sections,
    site,
    text,
)


def pgbackrest(data: Mapping[str, Any]) -> dict[str, Any]:
    """See pgbackrest.yml."""
    place = site(data)
    found = problems(place)
    return {
        "problems": found,
        "text": "" if found else text(sections(place)),
        "keepers": place.keepers,
        "keeps": place.keeps,
        "runs_backups": place.runs_backups,
        "stanzas": place.stanzas,
        "paths": [
            entry["path"]
            for entry in place.repositories
            if entry["type"] != "s3" and entry.get("host") in (None, "", place.name)
        ],
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pgbackrest": pgbackrest, "pgbackrest_clients": clients_of}
