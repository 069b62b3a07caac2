# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of a host's variables documents read, and what of those that hold secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.plugin_utils.documents.evidence import LIMITS
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.inventory import RULES
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.register import variables

PATH, DAYS = "/var/lib/pgbackrest", 30  # as the roles have it when an entry does not say
VARIABLES: tuple[str, ...] = tuple(sorted({*variables(), *RULES, *LIMITS.values()}))


def repositories(value: Any) -> list[dict[str, str]]:
    """Where backups are, whether they are encrypted and for how long they stay; no key."""
    return [_repository(one) for one in value or [] if isinstance(one, Mapping)]


def _repository(one: Mapping[str, Any]) -> dict[str, str]:
    kind = str(one.get("type") or "host")
    place = one.get("s3_bucket" if kind == "s3" else kind) or PATH
    return {
        "place": f"{kind} {place}",
        "encrypted": "AES-256" if one.get("encryption", True) else "—",
        "retention": f"{one.get('retention_days', DAYS)}d",
    }


def sources(value: Any) -> list[dict[str, str]]:
    """What files are backed up."""
    return [
        {
            "name": str(one.get("name") or "—"),
            "paths": ", ".join(map(str, one.get("paths") or [])) or "—",
            "retention": f"{one.get('retention_days', DAYS)}d",
        }
        for one in value or []
        if isinstance(one, Mapping)
    ]


def bucket(value: Any) -> str | None:
    """Where an S3 store keeps backups; nothing where none is meant, and None where it is not told."""
    return repository(value.get("url")) if value else ""


def repository(value: Any) -> str | None:
    """A place without the name and password that may open it."""
    return None if value is None else re.sub(r"//[^/]*@", "//", str(value))


PICKS: Mapping[str, Callable[[Any], Any]] = {
    "pgbackrest_repositories": repositories,
    "restic_sources": sources,
    "mongodump_s3": bucket,
    "redis_s3": bucket,
    "restic_repository": repository,
}
