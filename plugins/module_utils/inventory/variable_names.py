# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds variables whose names begin like ours and that nothing of ours knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Set

Known = Mapping[str, Set[str]]

# What AWX adds to the variables of every job; playbook awx.yml has names with the same beginning.
AWX_GIVES = re.compile(
    r"awx_((job|user|schedule|workflow_job|parent_job|webhook)_\w+|inventory_(id|name)|project_(revision|scm_branch))"
)


def unknown_names(names: Iterable[str], known: Known, foreign: Iterable[str] = ()) -> dict[str, tuple[str, str | None]]:
    """Each name that nothing knows, with the owner of its prefix and the nearest known name.

    ``known`` is, by prefix, the names that there are. A name belongs to its longest prefix: ``postgresql_exporter_x``
    is no variable of ``postgresql`` where there is a ``postgresql_exporter``. ``foreign`` names are somebody else's.
    """
    found = {}
    for name in sorted(name for name in set(names) - set(foreign) if not AWX_GIVES.fullmatch(name)):
        owner = max((prefix for prefix in known if name.startswith(f"{prefix}_")), key=len, default=None)
        if owner is not None and name not in known[owner]:
            found[name] = (owner, nearest(name, known[owner]))
    return found


def describe(name: str, owner: str, near: str | None) -> str:
    """One sentence an operator can act on."""
    meant = f"; did you mean {near}?" if near else ";"
    return (
        f"{name}: Slipway knows no such variable of {owner}{meant} "
        "If something else reads it, list it in slipway_foreign_variables."
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)), None)
