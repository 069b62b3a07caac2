# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds variables that carry a role's prefix but that the role's argument specs do not know."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_names(
    role: str, names: Iterable[str], known: set[str], other_roles: Iterable[str]
) -> dict[str, str | None]:
    """Names in ``names`` that start with ``<role>_`` and are not in ``known``, each with the nearest known name.

    A name that belongs to a role with a longer name (``postgresql_exporter_x`` beside ``postgresql``) is not ours.
    """
    longer = tuple(f"{other}_" for other in other_roles if other.startswith(f"{role}_"))
    ours = sorted(name for name in names if name.startswith(f"{role}_") and not (longer and name.startswith(longer)))
    return {name: _nearest(name, known) for name in ours if name not in known}


def describe(role: str, unknown: dict[str, str | None]) -> str:
    """One sentence an operator can act on."""
    parts = [f"{name} (did you mean {near}?)" if near else name for name, near in unknown.items()]
    noun = "variables" if len(parts) > 1 else "variable"
    return (
        f"role {role} does not know the {noun} {', '.join(parts)}. Nothing was changed. "
        f"Correct the name in the inventory or on the command line; roles/{role}/README.md lists every variable."
    )


def _nearest(name: str, known: set[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)), None)
